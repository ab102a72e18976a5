package bookingtest_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"stayhold/shared/booking"
	"stayhold/shared/booking/bookingtest"
)

// TestBreachesAreSeen breaks rows on both sides beside the store: each database names
// the same invariants and bookings.
func TestBreachesAreSeen(t *testing.T) {
	w := newTale(t)
	defer w.ends()
	room := w.product(3)
	w.grant(1, "100")
	sold := w.register(w.open(1, room, time.Hour), points())
	w.complete(sold, nil)
	dead := w.register(w.open(2, room, time.Hour), card())
	w.cancel(dead)
	w.open(2, room, time.Hour)
	breaches := func() []booking.Breach {
		t.Helper()
		for _, product := range []int64{room, 999} {
			want(w, nil, func(s *party) ([]booking.Breach, error) { return s.Breaches(context.Background(), product) })
		}
		return want(w, nil, func(s *party) ([]booking.Breach, error) { return s.Breaches(context.Background(), 0) })
	}
	if found := breaches(); len(found) != 0 {
		t.Fatalf("breaches of nothing: %v", found)
	}
	rows := w.memory.Tables()
	for _, c := range []struct {
		sql, mended string
		fake        func(whole bool)
		names       []string
	}{
		{`UPDATE product SET total_stock = total_stock + 1`, `UPDATE product SET total_stock = total_stock - 1`, func(whole bool) {
			rows.Products[0].TotalStock += step(whole)
			rows.Products[0].Version++ // as the trigger does
		}, []string{"I1", "I1"}},
		{`UPDATE product SET remaining_stock = remaining_stock - 1`, `UPDATE product SET remaining_stock = remaining_stock + 1`, func(whole bool) {
			rows.Products[0].RemainingStock -= step(whole)
		}, []string{"I1"}},
		{`UPDATE payment SET status = 'READY' WHERE booking_id = 1`, `UPDATE payment SET status = 'SUCCESS' WHERE booking_id = 1`, func(whole bool) {
			rows.Payments[0].Status = either(whole, booking.PaymentSuccess, booking.PaymentReady)
		}, []string{"I3", "I6"}},
		{`UPDATE payment SET status = 'SUCCESS' WHERE booking_id = 2`, `UPDATE payment SET status = 'CANCELLED' WHERE booking_id = 2`, func(whole bool) {
			rows.Payments[1].Status = either(whole, booking.PaymentCancelled, booking.PaymentSuccess)
		}, []string{"I4"}},
		{`UPDATE user_point SET balance = 0.5`, `UPDATE user_point SET balance = 0`, func(whole bool) {
			rows.Balances[0].Balance = amount(either(whole, "0", "0.5"))
		}, []string{"I6"}},
		{`UPDATE booking SET user_id = 1 WHERE id = 3`, `UPDATE booking SET user_id = 2 WHERE id = 3`, func(whole bool) {
			rows.Bookings[2].UserID = either(whole, int64(2), 1)
		}, []string{"I2"}},
		{`UPDATE booking SET hold_expires_at = hold_expires_at - interval '2 hours' WHERE id = 3`,
			`UPDATE booking SET hold_expires_at = hold_expires_at + interval '2 hours' WHERE id = 3`, func(whole bool) {
				rows.Bookings[2].HoldExpiresAt = rows.Bookings[2].HoldExpiresAt.Add(-2 * time.Hour * time.Duration(step(whole)))
			}, []string{"I7"}},
	} {
		if c.names[0] == "I2" {
			w.exec(`DROP INDEX booking_one_open`)
		}
		w.exec(c.sql)
		c.fake(false)
		var names []string
		for _, b := range breaches() {
			names = append(names, b.Invariant)
		}
		if !slices.Equal(names, c.names) {
			t.Errorf("%s: breaches of %v, want %v", c.sql, names, c.names)
		}
		w.exec(c.mended)
		c.fake(true)
	}
}

func step(whole bool) int64 { return either(whole, int64(-1), 1) }

func either[T any](first bool, a, b T) T {
	if first {
		return a
	}
	return b
}

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
