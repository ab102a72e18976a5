package booking_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"stayhold/shared/booking"
)

// clone is the same world through connections of its own, as another environment of
// the function has them.
func (w *world) clone() *world {
	c := *w
	c.store = w.openStore(w.databaseURL)
	c.gate = w.openGate(w.redisURL, w.prefix)
	c.plain()
	return &c
}

// atOnce runs n calls from n environments, let go together.
func atOnce(w *world, n int, run func(w *world, i int) error) []error {
	w.t.Helper()
	clones := make([]*world, n)
	for i := range clones {
		clones[i] = w.clone()
	}
	errs := make([]error, n)
	start := make(chan struct{})
	var all sync.WaitGroup
	for i, c := range clones {
		all.Go(func() {
			<-start
			errs[i] = run(c, i)
		})
	}
	close(start)
	all.Wait()
	return errs
}

func count(errs []error, target error) (n int) {
	for _, err := range errs {
		if errors.Is(err, target) || target == nil && err == nil {
			n++
		}
	}
	return n
}

func TestTwentyClicksOnEachStep(t *testing.T) {
	w := newWorld(t)
	w.timeout = 10 * time.Second // twenty new connections may take longer than a charge is given otherwise
	w.gateway = w.gatewayWith("secret")
	product := w.product(5)
	w.grant(7, "50000")

	errs := atOnce(w, 20, func(w *world, _ int) error {
		_, err := w.reserveStep().Run(w.t.Context(), booking.ReserveCommand{UserID: 7, ProductID: product})
		return err
	})
	if count(errs, nil) != 1 || count(errs, booking.ErrDuplicateReservation) != 19 {
		t.Fatalf("reserve: %v", errs)
	}
	list, _, err := w.query().Bookings(t.Context(), 7, "", booking.Page{Limit: 20})
	if err != nil || len(list) != 1 {
		t.Fatalf("bookings: %v %v", list, err)
	}
	b := list[0]

	set := both("50000", booking.Card, "50000")
	created := make([]bool, 20)
	errs = atOnce(w, 20, func(w *world, i int) error {
		r, err := booking.Register{Store: w.storePort}.Run(w.t.Context(), booking.Registration{UserID: 7, BookingID: b.ID, Set: set})
		created[i] = r.Created
		return err
	})
	if count(errs, nil) != 20 {
		t.Fatalf("register: %v", errs)
	}
	if got := w.read(b); len(got.Payments) != 2 {
		t.Fatalf("payments: %+v", got.Payments)
	}

	errs = atOnce(w, 20, func(w *world, _ int) error {
		_, err := w.approve(b, "slow-200-1")
		return err
	})
	if count(errs, nil)+count(errs, booking.ErrPaymentInProgress) != 20 || count(errs, nil) < 1 {
		t.Fatalf("approve: %v", errs)
	}
	if charges := w.simulator.Ledger().Charges; len(charges) != 1 || charges[0].Confirms != 1 {
		t.Errorf("charges: %+v", charges)
	}

	errs = atOnce(w, 20, func(w *world, _ int) error {
		_, err := w.complete(b)
		return err
	})
	if count(errs, nil) != 20 {
		t.Fatalf("complete: %v", errs)
	}
	w.wantAvailable(product, 4)
	w.wantPoints(7, "0.00")

	errs = atOnce(w, 20, func(w *world, _ int) error {
		_, err := w.cancel(b)
		return err
	})
	if count(errs, nil) != 20 {
		t.Fatalf("cancel: %v", errs)
	}
	w.deliver()
	w.wantNet("0.00")
	w.wantPoints(7, "50000.00")
	w.wantAvailable(product, 5)
	w.wantSound()
}

func TestFiftyUsersForTenUnitsOnAColdGate(t *testing.T) {
	w := newWorld(t)
	product := w.product(10)
	errs := atOnce(w, 50, func(w *world, i int) error {
		_, err := w.reserveStep().Run(w.t.Context(), booking.ReserveCommand{UserID: int64(100 + i), ProductID: product})
		return err
	})
	if count(errs, nil) != 10 || count(errs, booking.ErrSoldOut) != 40 {
		t.Fatalf("reserve: %v", errs)
	}
	w.wantSound()
}

func TestHoldLimitIsExactOverProducts(t *testing.T) {
	w := newWorld(t)
	products := make([]int64, 20)
	for i := range products {
		products[i] = w.product(1)
	}
	errs := atOnce(w, len(products), func(w *world, i int) error {
		_, err := w.reserveStep().Run(w.t.Context(), booking.ReserveCommand{UserID: 7, ProductID: products[i]})
		return err
	})
	if count(errs, nil) != 5 || count(errs, booking.ErrHoldLimit) != 15 {
		t.Fatalf("reserve: %v", errs)
	}
	for i, err := range errs {
		want := int64(1)
		if err == nil {
			want = 0
		}
		w.wantAvailable(products[i], want)
	}
}

func TestSamePointsAreSpentOnce(t *testing.T) {
	w := newWorld(t)
	w.grant(7, "100000")
	bookings := make([]booking.Booking, 4)
	for i := range bookings {
		bookings[i] = w.register(w.reserve(7, w.product(1)), points("100000"))
	}
	errs := atOnce(w, len(bookings), func(w *world, i int) error {
		_, err := w.complete(bookings[i])
		return err
	})
	if count(errs, nil) != 1 || count(errs, booking.ErrInsufficientPoints) != 3 {
		t.Fatalf("complete: %v", errs)
	}
	w.wantPoints(7, "0.00")
	w.wantSound()
}

func TestIdempotencyKeyAtOnce(t *testing.T) {
	w := newWorld(t)
	product := w.product(30)
	key := booking.IdempotencyKey{UserID: 7, Scope: "POST /bookings/reserve", Key: "k", Fingerprint: "f"}
	errs := atOnce(w, 20, func(w *world, i int) error {
		k := key
		k.RequestID = fmt.Sprint(i)
		_, err := w.reserveStep().Run(w.t.Context(), booking.ReserveCommand{UserID: 7, ProductID: product, Key: &k})
		return err
	})
	if count(errs, nil) != 1 || count(errs, booking.ErrKeyTaken) != 19 {
		t.Fatalf("reserve: %v", errs)
	}
	recalled, err := w.store.Recall(t.Context(), key)
	if err != nil || recalled == nil || recalled.Err != nil || !recalled.Result.Created || recalled.Result.Booking.UserID != 7 {
		t.Fatalf("recall: %+v %v", recalled, err)
	}
	key.Fingerprint = "other"
	if _, err := w.store.Recall(t.Context(), key); !errors.Is(err, booking.ErrIdempotencyKeyReused) {
		t.Errorf("recall of another body: %v", err)
	}
	w.wantAvailable(product, 29)
}

func TestIdempotencyKeyOfAnApproval(t *testing.T) {
	w := newWorld(t)
	b := w.register(w.reserve(7, w.product(1)), card("100000"))
	key := booking.IdempotencyKey{UserID: 7, Scope: fmt.Sprintf("POST /bookings/%d/payments/pg-approve", b.ID), Key: "k", Fingerprint: "f", RequestID: "r1"}
	run := func(paymentKey string, timeout context.Context) (booking.Result, error) {
		return w.approveStep().Run(timeout, booking.ApproveCommand{UserID: 7, BookingID: b.ID, PaymentKey: paymentKey, Key: &key})
	}
	if r, err := run("flaky-1", t.Context()); err != nil || !r.Pending {
		t.Fatalf("approve: %v", err)
	}
	if recalled, err := w.store.Recall(t.Context(), key); err != nil || recalled != nil {
		t.Fatalf("an unknown answer was stored: %+v %v", recalled, err)
	}
	if r, err := run("flaky-1", t.Context()); err != nil || r.Pending {
		t.Fatalf("approve again: %v", err)
	}
	if recalled, err := w.store.Recall(t.Context(), key); err != nil || recalled == nil || recalled.Result.Booking.Status != booking.PaymentPending {
		t.Fatalf("recall: %+v %v", recalled, err)
	}
	if _, err := run("flaky-1", t.Context()); !errors.Is(err, booking.ErrKeyTaken) {
		t.Errorf("a third run: %v", err)
	}
}
