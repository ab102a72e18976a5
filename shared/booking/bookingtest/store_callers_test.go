package bookingtest_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"stayhold/shared/booking"
	"stayhold/shared/booking/bookingtest"
)

// TestDatabaseServesManyAtOnce lets many callers have one unit: one confirms.
func TestDatabaseServesManyAtOnce(t *testing.T) {
	t.Parallel()
	now := time.Now()
	d := bookingtest.NewDatabase(func() time.Time { return now })
	stock, callers := int64(1), int64(50)
	room, err := d.PutProduct(t.Context(), booking.ProductDraft{Name: "Room", Price: amount("100"), Stock: &stock, Status: "ACTIVE",
		SaleStartAt: now, CheckInAt: now.Add(time.Hour), CheckOutAt: now.Add(2 * time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	for user := range callers {
		hold := booking.Hold{UserID: user + 1, ProductID: room, Token: "token-" + string(rune('A'+user))}
		b, err := d.Open(t.Context(), booking.Opening{Hold: hold, Deadline: now.Add(time.Hour), MaxOpenHolds: 1})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.GrantPoints(t.Context(), user+1, amount("100"), "gift"); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Register(t.Context(), booking.Registration{UserID: user + 1, BookingID: b.Booking.ID, Set: points()}); err != nil {
			t.Fatal(err)
		}
	}
	var all sync.WaitGroup
	for user := range callers {
		all.Go(func() {
			_, _ = d.Complete(context.Background(), booking.Completion{UserID: user + 1, BookingID: user + 1})
		})
	}
	all.Wait()
	confirmed := 0
	for _, b := range d.Rows().Bookings {
		if b.Status == booking.Confirmed {
			confirmed++
		}
	}
	if breaches, err := d.Breaches(t.Context(), 0); confirmed != 1 || err != nil || len(breaches) != 0 {
		t.Errorf("%d have the one unit: %v %v", confirmed, breaches, err)
	}
}
