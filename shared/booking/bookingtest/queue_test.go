package bookingtest_test

import (
	"slices"
	"testing"

	"stayhold/shared/booking"
	"stayhold/shared/booking/bookingtest"
)

func TestQueueKeepsWhatItIsGiven(t *testing.T) {
	t.Parallel()
	q := bookingtest.NewQueue()
	first := booking.Message{Task: booking.TaskResolve, BookingID: 2}
	second := booking.Message{Task: booking.TaskCompensate, BookingID: 1}
	must(t, q.Send(t.Context(), first, second))
	must(t, q.Send(t.Context(), first))
	must(t, q.Send(t.Context()))
	if got := q.Take(); !slices.Equal(got, []booking.Message{first, second, first}) {
		t.Errorf("%v", got)
	}
	if got := q.Take(); len(got) != 0 {
		t.Errorf("taken twice: %v", got)
	}
}
