package booking_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"stayhold/shared/booking"
)

// unrecorded is a store that cannot be reached once the gateway has answered.
type unrecorded struct{ booking.Store }

func (unrecorded) EndApproval(context.Context, booking.Intent, booking.Finding) (booking.Result, error) {
	return booking.Result{}, booking.ErrUnavailable.Because(errors.New("no connection"))
}

// TestNobodyIsToldThatNothingHappenedWhenItDid: the intent is committed and the card may be
// charged, and what came of it cannot be written down.
func TestNobodyIsToldThatNothingHappenedWhenItDid(t *testing.T) {
	for key, net := range map[string]string{"ok-1": "100000.00", "lost-1": "100000.00", "decline-1": "0.00"} {
		t.Run(key, func(t *testing.T) {
			w := newWorld(t)
			b := w.register(w.reserve(7, w.product(1)), card("100000"))
			w.storePort = unrecorded{w.store}
			if _, err := w.approve(b, key); !errors.Is(err, booking.ErrCommitResultUnknown) {
				t.Errorf("approve: %v", err)
			}
			w.wantNet(net)
		})
	}
	t.Run("nothing was sent", func(t *testing.T) {
		w := newWorld(t)
		b := w.register(w.reserve(7, w.product(1)), card("100000"))
		w.storePort, w.gatePort = unrecorded{w.store}, unheld{w.gate}
		if _, err := w.approve(b, "ok-1"); !errors.Is(err, booking.ErrUnavailable) || errors.Is(err, booking.ErrCommitResultUnknown) {
			t.Errorf("approve: %v", err)
		}
		w.wantNet("0.00")
	})
}

// unheld is a gate that cannot say whether it holds the unit.
type unheld struct{ booking.Gate }

func (unheld) Ensure(context.Context, booking.Hold, time.Time) (booking.EnsureCode, error) {
	return "", booking.ErrUnavailable
}

// factless is a gate that takes no facts.
type factless struct{ booking.Gate }

func (factless) PutFacts(context.Context, booking.Facts) (bool, error) {
	return false, booking.ErrUnavailable
}

// TestAStockThatMovedIsSaidToHaveMoved: the rows have it, and the gate does not hear of it before the
// next sweep.
func TestAStockThatMovedIsSaidToHaveMoved(t *testing.T) {
	w := newWorld(t)
	product := w.product(1)
	w.reserve(7, product) // the gate is warm
	admin := w.admin()
	admin.Gate = factless{w.gate}
	stock, err := admin.AdjustStock(t.Context(), product, 2, "found")
	if !errors.Is(err, booking.ErrGateBehind) || stock.Total != 3 {
		t.Errorf("adjusted: %+v %v", stock, err)
	}
	now := time.Now()
	draft := booking.ProductDraft{
		ID: product, Name: "room", Price: decimal.NewFromInt(100_000), Status: "ACTIVE",
		SaleStartAt: now.Add(-time.Hour), CheckInAt: now.AddDate(0, 1, 0), CheckOutAt: now.AddDate(0, 1, 1),
	}
	if id, err := admin.PutProduct(t.Context(), draft); !errors.Is(err, booking.ErrGateBehind) || id != product {
		t.Errorf("changed: %d %v", id, err)
	}
	if report := w.sweep(); report.Reconciled != 1 {
		t.Errorf("swept: %+v", report)
	}
	w.reserve(8, product)
	w.reserve(9, product)
	w.wantSound()
}

// doubtful is a store that loses what it was answered.
type doubtful struct{ booking.Store }

func (s doubtful) GrantPoints(ctx context.Context, user int64, amount decimal.Decimal, reason string) (decimal.Decimal, error) {
	_, err := s.Store.GrantPoints(ctx, user, amount, reason)
	return decimal.Zero, errors.Join(booking.ErrCommitResultUnknown, err)
}

func (s doubtful) AdjustStock(ctx context.Context, product, delta int64, reason string) (booking.Stock, error) {
	_, err := s.Store.AdjustStock(ctx, product, delta, reason)
	return booking.Stock{}, errors.Join(booking.ErrCommitResultUnknown, err)
}

func (doubtful) PutProduct(context.Context, booking.ProductDraft) (int64, error) {
	return 0, booking.ErrCommitResultUnknown
}

// TestWhatARepeatWouldDoTwiceIsLookedAtFirst holds the advice to an administrator, whose
// actions bear no key.
func TestWhatARepeatWouldDoTwiceIsLookedAtFirst(t *testing.T) {
	w := newWorld(t)
	product := w.product(1)
	admin := w.admin()
	admin.Store = doubtful{w.store}
	put := func(id int64) error {
		_, err := admin.PutProduct(t.Context(), booking.ProductDraft{ID: id})
		return err
	}
	_, granted := admin.GrantPoints(t.Context(), 7, decimal.NewFromInt(5), "gift")
	_, adjusted := admin.AdjustStock(t.Context(), product, 1, "found")
	for _, c := range []struct {
		name  string
		err   error
		twice bool
	}{{"points", granted, true}, {"stock", adjusted, true}, {"a new product", put(0), true}, {"a product's change", put(product), false}} {
		told, ok := errors.AsType[*booking.Error](c.err)
		if !ok || !errors.Is(c.err, booking.ErrCommitResultUnknown) || (told.Detail != booking.ErrCommitResultUnknown.Detail) != c.twice {
			t.Errorf("%s: %v, told %+v", c.name, c.err, told)
		}
	}
}

// obstinate is a gateway that answers a cancel for ever as it did first: it refuses.
type obstinate struct{ booking.Gateway }

func (obstinate) Cancel(context.Context, booking.Charge, string) booking.Answer {
	return booking.Answer{Verdict: booking.VerdictUnknown, Cause: errors.New("NOT_CANCELABLE_PAYMENT")}
}

// TestARefundByHandIsSeen: the gateway keeps refusing, somebody gives the money back there, and the
// next try sees it.
func TestARefundByHandIsSeen(t *testing.T) {
	w := newWorld(t)
	b := w.register(w.reserve(7, w.product(1)), card("100000"))
	if _, err := w.approve(b, "ok-1"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.cancel(b); err != nil {
		t.Fatal(err)
	}
	simulator := w.gateway
	w.gateway = obstinate{simulator}
	for range 4 {
		w.later(b, false)
		w.sweep()
	}
	w.wantStatus(b, booking.Cancelled, booking.PaymentSuccess)
	charge := booking.Charge{Method: booking.Card, OrderID: b.Payments[0].OrderID, PaymentKey: "ok-1", Amount: decimal.NewFromInt(100_000), Key: "by hand"}
	if a := simulator.Cancel(t.Context(), charge, "by hand"); a.Verdict != booking.VerdictReturned {
		t.Fatalf("by hand: %+v", a)
	}
	w.later(b, false)
	w.sweep()
	w.wantStatus(b, booking.Cancelled, booking.PaymentCancelled)
	w.wantNet("0.00")
	w.wantSound()
}

// TestNoLookUpIsBegunThatCannotEnd: what is left of the time belongs to the record of the cancel.
func TestNoLookUpIsBegunThatCannotEnd(t *testing.T) {
	w := newWorld(t)
	b := w.register(w.reserve(7, w.product(1)), card("100000"))
	if _, err := w.approve(b, "ok-1"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.cancel(b); err != nil {
		t.Fatal(err)
	}
	looked := 0
	w.timeout = time.Hour
	w.gateway = &noting{Gateway: obstinate{w.gateway}, lookedUp: func(booking.Charge) { looked++ }}
	for range 5 {
		w.later(b, false)
		w.exec(`UPDATE payment_attempt SET lease_until = NULL WHERE booking_id = $1`, b.ID)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		if err := w.compensateStep().Refund(ctx, b.ID); !errors.Is(err, booking.ErrLeftToSweep) {
			t.Errorf("refund: %v", err)
		}
		cancel()
	}
	if looked != 0 {
		t.Errorf("looked up %d times", looked)
	}
}

// TestTheTimelineTellsEachChangeOfState goes forth and back with points, which no gateway tells of.
func TestTheTimelineTellsEachChangeOfState(t *testing.T) {
	w := newWorld(t)
	w.grant(7, "100000")
	b := w.register(w.reserve(7, w.product(1)), points("100000"))
	w.register(b, card("100000"))
	w.register(b, points("100000"))
	if _, err := w.complete(b); err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, e := range w.read(b).Timeline {
		told = append(told, e.Event)
	}
	want := []string{"HELD", "REGISTERED", "PAYMENT_PENDING", "REGISTERED", "INIT", "REGISTERED", "PAYMENT_PENDING", "POINTS_DEBITED", "CONFIRMED"}
	if !slices.Equal(told, want) {
		t.Errorf("told %v, want %v", told, want)
	}
	w.wantSound()
}
