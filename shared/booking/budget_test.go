package booking_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"stayhold/shared/booking"
	"stayhold/shared/postgres/postgrestest"
)

// lostMessages are what a message is sent for. Each begins with a paid booking.
var lostMessages = map[string]struct {
	lose func(w *world, b booking.Booking) // does what a message was promised for
	want booking.Status
	kept string
}{
	"a refund": {func(w *world, b booking.Booking) {
		if _, err := w.cancel(b); err != nil {
			w.t.Fatal(err)
		}
	}, booking.Cancelled, "0.00"},
	"a refund that was never handed over": {func(w *world, b booking.Booking) {
		w.queue.fail = errors.New("the queue is away")
		if r, err := w.cancel(b); err != nil || r.Deferred == nil {
			w.t.Fatalf("cancel: %v, deferred %v", err, r.Deferred)
		}
		w.queue.fail = nil
	}, booking.Cancelled, "0.00"},
	"the unit of a sold booking": {func(w *world, b booking.Booking) {
		if _, err := w.complete(b); err != nil {
			w.t.Fatal(err)
		}
		step := w.cancelStep()
		step.Gate = deaf{w.gate}
		if _, err := step.Run(w.t.Context(), booking.Cancellation{UserID: b.UserID, BookingID: b.ID}); err != nil {
			w.t.Fatal(err)
		}
	}, booking.Cancelled, "0.00"},
}

// TestTheNextSweepMakesALostMessageGood: what a message was to do, one run of the sweep
// does without it. The schedule's interval is what passes until then.
func TestTheNextSweepMakesALostMessageGood(t *testing.T) {
	for name, c := range lostMessages {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			product := w.product(1)
			b := w.register(w.reserve(7, product), card("100000"))
			if _, err := w.approve(b, "ok-7"); err != nil {
				t.Fatal(err)
			}
			c.lose(w, b)
			w.queue.take()
			w.sweep()
			w.wantStatus(b, c.want)
			w.wantNet(c.kept)
			w.wantAvailable(product, 1)
		})
	}
	t.Run("a charge whose answer is unknown", func(t *testing.T) {
		w := newWorld(t)
		b := w.register(w.reserve(7, w.product(1)), card("100000"))
		if r, err := w.approve(b, "lost-7"); err != nil || !r.Pending {
			t.Fatal(err)
		}
		w.queue.take()
		w.sweep()
		w.wantStatus(b, booking.PaymentPending, booking.PaymentSuccess)
		w.wantNet("100000.00")
	})
}

// TestSweepLocksOneBookingForOneStatement counts the sweep's round trips: each lapsed
// booking is one statement that commits by itself, so no row stays locked while a
// message travels, or while another booking is worked on.
func TestSweepLocksOneBookingForOneStatement(t *testing.T) {
	const lapsed = 30
	w := newWorld(t)
	product := w.product(lapsed)
	for user := int64(1); user <= lapsed; user++ {
		w.stage.lapse(w.reserve(user, product))
	}
	wire := postgrestest.Proxy(t, w.databaseURL)
	w.store = w.openStore(wire.URL())
	w.plain()
	step := w.sweepStep()
	step.Batch = 10
	if _, err := step.Run(t.Context()); err != nil { // statements are known after it
		t.Fatal(err)
	}
	w.exec(`UPDATE booking SET status = 'INIT', failure_code = NULL, failure_detail = NULL`)
	wire.Reset()
	report, err := step.Run(t.Context())
	if err != nil || report.Lapsed != lapsed {
		t.Fatalf("swept: %+v %v", report, err)
	}
	// Three full batches and an empty one: each round lists six kinds of work, and looks at the product once.
	if most := lapsed + 4*6 + 8; wire.Trips() > most {
		t.Errorf("%d round trips for %d bookings, want at most %d\n%v", wire.Trips(), lapsed, most, wire.Trace())
	}
	for _, trip := range wire.Trace() {
		if strings.Contains(strings.ToLower(trip), "(begin") {
			t.Errorf("the sweep opens a transaction: %s", trip)
		}
	}
}

// TestSweepKeepsNobodyElseWaiting stops the sweep in the middle of each booking, at a latch in a trigger, and takes every
// other row beside it: it has locked that one booking and nothing else.
func TestSweepKeepsNobodyElseWaiting(t *testing.T) {
	const lapsed = 5
	w := newWorld(t)
	product := w.product(lapsed)
	for user := int64(1); user <= lapsed; user++ {
		w.grant(user, "1")
		w.stage.lapse(w.reserve(user, product))
	}
	w.exec(`CREATE FUNCTION latch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		PERFORM pg_advisory_xact_lock(4711 + NEW.id); RETURN NEW; END $$`)
	w.exec(`CREATE TRIGGER latch BEFORE UPDATE OF status ON booking FOR EACH ROW EXECUTE FUNCTION latch()`)
	var releases []func()
	for id := range lapsed {
		releases = append(releases, postgrestest.Lock(t, w.databaseURL, `SELECT pg_advisory_xact_lock(4711 + $1)`, id+1))
	}
	swept := make(chan error, 1)
	go func() {
		report, err := w.sweepStep().Run(t.Context())
		if err == nil && report.Lapsed != lapsed {
			err = fmt.Errorf("swept: %+v", report)
		}
		swept <- err
	}()
	ask := postgrestest.Answers(t, w.databaseURL)
	for n, release := range releases {
		postgrestest.AwaitWaiting(t, w.databaseURL, 1)
		for table, want := range map[string]string{"booking.id": fmt.Sprint(n + 1), "product.id": "", "user_point.user_id": ""} {
			name, key, _ := strings.Cut(table, ".")
			got, err := ask(fmt.Sprintf(`WITH free AS MATERIALIZED (SELECT %[2]s FROM %[1]s FOR UPDATE SKIP LOCKED)
				SELECT coalesce(string_agg(%[2]s::text, ' '), '') FROM %[1]s WHERE %[2]s NOT IN (TABLE free)`, name, key))
			if err != nil || got != want {
				t.Errorf("at booking %d is locked of %s: %q (%v), want %q", n+1, name, got, err, want)
			}
		}
		release()
	}
	if err := <-swept; err != nil {
		t.Error(err)
	}
}
