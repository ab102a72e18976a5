package booking_test

import (
	"errors"
	"slices"
	"testing"

	"stayhold/shared/booking"
	"stayhold/shared/hold/holdtest"
	"stayhold/shared/postgres/postgrestest"
)

// TestRoundTrips holds each path against its budget, on the wire: answers of Postgres
// that were waited for, and Redis commands. The connections know statement and script.
func TestRoundTrips(t *testing.T) {
	w := newWorld(t)
	database := postgrestest.Proxy(t, w.databaseURL)
	redis := holdtest.Proxy(t, w.redisURL)
	w.store = w.openStore(database.URL())
	w.gate = w.openGate(redis.URL(), w.prefix)
	w.plain()

	hot, cool := w.product(3), w.product(100)
	for user := int64(1); user <= 3; user++ {
		w.grant(user, "50000")
	}
	w.grant(50, "50000")
	flow := func(user, product int64, check func(step string, run func())) {
		var b booking.Booking
		check("reserve", func() { b = w.reserve(user, product) })
		check("reserve again", func() {
			_, err := w.reserveStep().Run(t.Context(), booking.ReserveCommand{UserID: user, ProductID: product})
			if !errors.Is(err, booking.ErrDuplicateReservation) {
				t.Errorf("reserve again: %v", err)
			}
		})
		check("register", func() { b = w.register(b, both("3000", booking.Card, "97000")) })
		check("pg-approve", func() {
			if _, err := w.approve(b, "ok-"+b.HoldToken); err != nil {
				t.Errorf("approve: %v", err)
			}
		})
		check("complete", func() {
			if _, err := w.complete(b); err != nil {
				t.Errorf("complete: %v", err)
			}
		})
		check("reserve after purchase", func() {
			_, err := w.reserveStep().Run(t.Context(), booking.ReserveCommand{UserID: user, ProductID: product})
			if !errors.Is(err, booking.ErrAlreadyPurchased) {
				t.Errorf("reserve after purchase: %v", err)
			}
		})
		check("get booking", func() { w.read(b) })
		check("get product", func() {
			if _, err := w.query().Product(t.Context(), product); err != nil {
				t.Error(err)
			}
		})
		check("checkout", func() {
			if _, err := w.query().Checkout(t.Context(), user, product); err != nil {
				t.Error(err)
			}
		})
	}
	flow(50, cool, func(_ string, run func()) { run() }) // warm: statements, scripts, gates
	w.reserve(1, hot)
	w.reserve(2, hot)

	type trips struct{ gate, database int }
	budget := map[string]trips{
		"reserve": {1, 1}, "reserve again": {1, 1}, "register": {0, 1}, "pg-approve": {1, 2}, "complete": {1, 1},
		"reserve after purchase": {1, 0}, "get booking": {0, 1}, "get product": {1, 1}, "checkout": {1, 1},
		"sold out": {1, 0},
	}
	measure := func(step string, run func()) {
		database.Reset()
		redis.Reset()
		run()
		if got, want := (trips{len(redis.Commands()), database.Trips()}), budget[step]; got != want {
			t.Errorf("%s took %+v, its budget is %+v\n%v\n%v", step, got, want, redis.Commands(), database.Trace())
		}
	}
	flow(3, hot, measure)
	measure("sold out", func() {
		_, err := w.reserveStep().Run(t.Context(), booking.ReserveCommand{UserID: 4, ProductID: hot})
		if !errors.Is(err, booking.ErrSoldOut) {
			t.Errorf("reserve: %v", err)
		}
	})
	if i := slices.IndexFunc(redis.Commands(), func(c string) bool { return c == "EVAL" }); i >= 0 {
		t.Error("a known script was sent whole")
	}
}
