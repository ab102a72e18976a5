package postgres_test

import (
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"stayhold/shared/booking"
	"stayhold/shared/postgres/postgrestest"
)

// TestWhatIsOutstandingHasAnAge brings one kind of work after the other to be, and lets the rows grow old.
func TestWhatIsOutstandingHasAnAge(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t, migrate)
	store := open(t, url, false)
	ctx := t.Context()
	look := func(want booking.Outstanding) {
		t.Helper()
		got, err := store.Outstanding(ctx)
		// Some seconds go by while the test runs.
		near := func(got, want int64) bool { return want == 0 && got <= 0 || want > 0 && got >= want && got < want+60 }
		if err != nil || got.StuckRefunds != want.StuckRefunds || !near(got.UnknownCharge, want.UnknownCharge) || !near(got.PendingRefund, want.PendingRefund) ||
			!near(got.UnsentMessage, want.UnsentMessage) || !near(got.LapsedHold, want.LapsedHold) {
			t.Errorf("%+v %v\nwant %+v", got, err, want)
		}
	}
	age := func(sql string) {
		t.Helper()
		if err := postgrestest.Exec(ctx, url, sql); err != nil {
			t.Fatal(err)
		}
	}
	paid := sold(t, store)
	look(booking.Outstanding{})

	r, err := store.Open(ctx, opening(2, product(t, store, 5)))
	if err != nil {
		t.Fatal(err)
	}
	look(booking.Outstanding{})
	age(`UPDATE booking SET hold_expires_at = now() - interval '200 seconds' WHERE status = 'INIT'`)
	look(booking.Outstanding{LapsedHold: 200})
	age(`UPDATE booking SET hold_expires_at = now() + interval '1 hour' WHERE status = 'INIT'`)

	set := booking.Set{{Method: booking.Card, Amount: decimal.NewFromInt(100)}}
	if _, err := store.Register(ctx, booking.Registration{UserID: 2, BookingID: r.Booking.ID, Set: set}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := store.BeginApproval(ctx, booking.ApprovalRequest{UserID: 2, BookingID: r.Booking.ID, PaymentKey: "k",
		Owner: "o", Lease: time.Minute, SendTime: time.Second, Window: time.Second, Limit: time.Hour}); err != nil {
		t.Fatal(err)
	}
	age(`UPDATE payment_attempt SET created_at = now() - interval '300 seconds' WHERE state = 'REQUESTED'`)
	look(booking.Outstanding{UnknownCharge: 300})

	if _, err := store.Cancel(ctx, booking.Cancellation{UserID: 1, BookingID: paid.ID}); err != nil {
		t.Fatal(err)
	}
	age(`UPDATE payment_attempt SET created_at = now() - interval '400 seconds' WHERE kind = 'CANCEL'`)
	age(`UPDATE outbox SET created_at = now() - interval '500 seconds'`)
	look(booking.Outstanding{UnknownCharge: 300, PendingRefund: 400, UnsentMessage: 500})
	age(`UPDATE payment_attempt SET tries = 3 WHERE kind = 'CANCEL'`)
	age(`UPDATE outbox SET sent_at = now()`)
	look(booking.Outstanding{UnknownCharge: 300, PendingRefund: 400, StuckRefunds: 1})
}
