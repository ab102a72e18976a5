package booking_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"stayhold/shared/booking"
)

// between is a gate that lets something happen just before it releases.
type between struct {
	booking.Gate
	release func()
}

func (g between) Release(ctx context.Context, h booking.Hold) error {
	g.release()
	return g.Gate.Release(ctx, h)
}

func TestInactiveProductKeepsTheHoldOfAnOpenBooking(t *testing.T) {
	w := newWorld(t)
	product := w.product(1)
	b := w.reserve(7, product)
	w.exec(`UPDATE product SET status = 'INACTIVE' WHERE id = $1`, product) // the gate does not know yet
	_, err := w.reserveStep().Run(t.Context(), booking.ReserveCommand{UserID: 7, ProductID: product})
	if !errors.Is(err, booking.ErrProductNotFound) {
		t.Errorf("reserve: %v", err)
	}
	if got, err := w.gate.Occupancies(t.Context(), product); err != nil || got[0].Held != 1 {
		t.Errorf("the hold of booking %d: %+v %v", b.ID, got, err)
	}
}

func TestRefusedTokenIsAdoptedByNobody(t *testing.T) {
	w := newWorld(t)
	w.maxHolds = 1
	other, product := w.reserve(7, w.product(1)), w.product(1)
	var second booking.Booking
	step := w.reserveStep()
	step.Gate = between{w.gate, func() {
		if second.ID != 0 {
			return
		}
		// The refusal is committed, its hold not released: the user frees a place and asks again.
		second.ID = -1
		if _, err := w.cancel(other); err != nil {
			t.Error(err)
		}
		second = w.reserve(7, product)
	}}
	_, err := step.Run(t.Context(), booking.ReserveCommand{UserID: 7, ProductID: product})
	if !errors.Is(err, booking.ErrHoldLimit) {
		t.Fatalf("reserve over the limit: %v", err)
	}
	w.wantAvailable(product, 0)
	w.wantStatus(second, booking.Init)
	w.wantSound()
}

func TestMissingProductKeepsNobodyWaiting(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second) // a forgotten mark would stand for 3 s
	defer cancel()
	for range 5 {
		_, err := w.reserveStep().Run(ctx, booking.ReserveCommand{UserID: 7, ProductID: 424242})
		if !errors.Is(err, booking.ErrProductNotFound) {
			t.Fatalf("reserve: %v", err)
		}
	}
}

// slowRead is a store whose reading of a product's places takes its time.
type slowRead struct {
	booking.Store
	takes time.Duration
}

func (s slowRead) GatePlaces(ctx context.Context, product int64) (booking.Facts, []booking.Place, error) {
	timer := time.NewTimer(s.takes)
	defer timer.Stop()
	<-timer.C
	return s.Store.GatePlaces(ctx, product)
}

func TestApprovesAtOnceWarmAColdGate(t *testing.T) {
	w := newWorld(t)
	w.timeout = 5 * time.Second // twenty new connections at once come before anything is sent
	product := w.product(20)
	bookings := make([]booking.Booking, 20)
	for i := range bookings {
		bookings[i] = w.register(w.reserve(int64(100+i), product), card("100000"))
	}
	w.prefix += "flushed:" // a gate that knows nothing
	errs := atOnce(w, len(bookings), func(w *world, i int) error {
		w.storePort = slowRead{w.store, 50 * time.Millisecond}
		r, err := w.approve(bookings[i], "ok-"+bookings[i].HoldToken)
		if err == nil && r.Pending {
			err = errors.New("pending")
		}
		return err
	})
	if count(errs, nil) != len(bookings) {
		t.Errorf("approve: %v", errs)
	}
}

func TestRefusedReserveKeepsTheLapsedBooking(t *testing.T) {
	w := newWorld(t)
	w.maxHolds = 1
	product := w.product(2)
	lapsed := w.reserve(7, product)
	w.stage.lapse(lapsed)
	w.reserve(7, w.product(1))
	_, err := w.reserveStep().Run(t.Context(), booking.ReserveCommand{UserID: 7, ProductID: product})
	if !errors.Is(err, booking.ErrHoldLimit) {
		t.Errorf("reserve: %v", err)
	}
	w.wantStatus(lapsed, booking.Init)
}

// TestLateFindings are those of an owner that was paused while others settled the
// charge and the buyer went on.
func TestLateFindings(t *testing.T) {
	w := newWorld(t)
	product := w.product(2)
	b := w.register(w.reserve(7, product), card("100000"))
	stale := w.begin(b, "ok-1")
	if _, err := w.store.EndApproval(t.Context(), stale, booking.Finding{Code: booking.FoundDeclined, DeclineCode: "ABORTED", ByLookup: true}); !errors.Is(err, booking.ErrPaymentDeclined) {
		t.Fatal(err)
	}
	b = w.register(b, card("100000"))
	live := w.begin(b, "ok-2")

	r, err := w.store.EndApproval(t.Context(), stale, booking.Finding{Code: booking.FoundMismatched, ByLookup: true, Amount: amount("1")})
	if !errors.Is(err, booking.ErrPaymentIncomplete) {
		t.Errorf("a late mismatch: %v", err)
	}
	if got := r.Booking.Payments; got[1].Status != booking.PaymentReady || got[0].RefundState != booking.RefundPending {
		t.Errorf("payments: %+v", got)
	}
	if r, err := w.store.EndApproval(t.Context(), live, booking.Finding{Code: booking.FoundApproved}); err != nil || r.Booking.Status != booking.PaymentPending {
		t.Errorf("the live charge: %v", err)
	}

	other := w.register(w.reserve(8, product), card("100000"))
	closed := w.begin(other, "ok-3")
	if _, err := w.store.EndApproval(t.Context(), closed, booking.Finding{Code: booking.FoundDeclined, DeclineCode: "ABORTED", ByLookup: true}); err == nil {
		t.Fatal("not declined")
	}
	r, err = w.store.EndApproval(t.Context(), closed, booking.Finding{Code: booking.FoundApproved})
	if !errors.Is(err, booking.ErrPaymentIncomplete) || r.Booking.Payments[0].RefundState != booking.RefundPending {
		t.Errorf("a late charge: %v %+v", err, r.Booking.Payments)
	}
}

func (w *world) begin(b booking.Booking, key string) booking.Intent {
	w.t.Helper()
	in, _, err := w.store.BeginApproval(w.t.Context(), booking.ApprovalRequest{UserID: b.UserID, BookingID: b.ID, PaymentKey: key,
		Owner: key, Lease: time.Minute, SendTime: time.Second, Window: time.Minute, Limit: time.Hour})
	if err != nil || in == nil {
		w.t.Fatalf("begin: %v %v", in, err)
	}
	return *in
}

// TestHangingGatewayKeepsNothingElseWaiting gives the sweep look-ups that take all of
// its time, and other work beside them.
func TestHangingGatewayKeepsNothingElseWaiting(t *testing.T) {
	w := newWorld(t)
	product := w.product(9)
	for user := int64(1); user <= 8; user++ {
		b := w.register(w.reserve(user, product), card("100000"))
		w.begin(b, "timeout-x")
		w.exec(`UPDATE payment_attempt SET lease_until = now(), next_try_at = now() - interval '1 hour' WHERE booking_id = $1`, b.ID)
	}
	paid := w.register(w.reserve(9, product), card("100000"))
	if _, err := w.approve(paid, "ok-1"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.cancel(paid); err != nil {
		t.Fatal(err)
	}
	w.exec(`UPDATE product SET total_stock = total_stock + 1, remaining_stock = remaining_stock + 1 WHERE id = $1`, product)
	w.exec(`INSERT INTO stock_adjustment (product_id, delta, reason) VALUES ($1, 1, 'found')`, product)

	step := w.sweepStep()
	step.Gateway = hanging{w.gateway}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	report, _ := step.Run(ctx) // what hangs is a fault of this run
	if !report.Unfinished || report.Reconciled != 1 {
		t.Errorf("swept: %+v", report)
	}
	w.wantStatus(paid, booking.Cancelled, booking.PaymentCancelled)
}

// hanging is a gateway whose look-ups never answer.
type hanging struct{ booking.Gateway }

func (hanging) Lookup(ctx context.Context, _ booking.Charge) booking.Answer {
	<-ctx.Done()
	return booking.Answer{Verdict: booking.VerdictUnknown, Cause: ctx.Err()}
}

func TestOnePaymentKeyOnTwoOrders(t *testing.T) {
	w := newWorld(t)
	product := w.product(2)
	first, second := w.register(w.reserve(7, product), card("100000")), w.register(w.reserve(8, product), card("100000"))
	for _, b := range []booking.Booking{first, second} {
		if _, err := w.approve(b, "ok-same"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.cancel(first); err != nil {
		t.Fatal(err)
	}
	w.deliver()
	for _, c := range w.simulator.Ledger().Charges {
		if mine := c.OrderID == first.Payments[0].OrderID; mine != c.Cancelled {
			t.Errorf("charge %+v", c)
		}
	}
}
