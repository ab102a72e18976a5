package booking_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"stayhold/shared/booking"
	"stayhold/shared/postgres/postgrestest"
)

// failover is buyers who go on buying, whatever becomes of the database.
type failover struct {
	*world
	pair    *postgrestest.Pair
	product int64

	sold, unknown, refused atomic.Int64
	mu                     sync.Mutex
	confirmed              []booking.Booking // as they were answered
}

// insist repeats a step until it is answered, as the 503 tells the buyer to. A charge that was begun when the database
// died has a lease to the end of which he is told that it is in progress.
func (f *failover) insist(ctx context.Context, what string, step func() (booking.Result, error)) booking.Booking {
	for ctx.Err() == nil {
		r, err := step()
		switch {
		case err == nil && !r.Pending, errors.Is(err, booking.ErrDuplicateReservation):
			return r.Booking
		case errors.Is(err, booking.ErrCommitResultUnknown):
			f.unknown.Add(1)
		case errors.Is(err, booking.ErrUnavailable):
			f.refused.Add(1)
		case err != nil && !errors.Is(err, booking.ErrPaymentInProgress):
			f.t.Errorf("%s: %v", what, err)
			return booking.Booking{}
		}
		time.Sleep(time.Millisecond)
	}
	f.t.Errorf("%s: no answer to the end of the test", what)
	return booking.Booking{}
}

// buy takes one buyer to his paid booking, by card and points, and to its confirmation unless that is left to the test.
func (f *failover) buy(ctx context.Context, w *world, user int64, whole bool) booking.Booking {
	b := f.insist(ctx, "reserve", func() (booking.Result, error) {
		return w.reserveStep().Run(ctx, booking.ReserveCommand{UserID: user, ProductID: f.product})
	})
	f.insist(ctx, "register", func() (booking.Result, error) {
		return booking.Register{Store: w.storePort}.Run(ctx, booking.Registration{UserID: user, BookingID: b.ID, Set: both("1000", booking.Card, "99000")})
	})
	f.insist(ctx, "approve", func() (booking.Result, error) {
		return w.approveStep().Run(ctx, booking.ApproveCommand{UserID: user, BookingID: b.ID, PaymentKey: "ok-" + b.HoldToken})
	})
	if !whole {
		return b
	}
	sold := f.insist(ctx, "complete", func() (booking.Result, error) {
		return w.completeStep().Run(ctx, booking.CompleteCommand{UserID: user, BookingID: b.ID})
	})
	if sold.Status == booking.Confirmed {
		f.mu.Lock()
		f.confirmed = append(f.confirmed, sold)
		f.mu.Unlock()
		f.sold.Add(1)
	}
	return b
}

// TestFailoverLosesNothingAcknowledged kills a primary under buyers at work whose commits wait for the standby, and has
// their address lead to the standby, first before and then after its promotion.
func TestFailoverLosesNothingAcknowledged(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	const buyers, stock = 6, 900
	pair := postgrestest.NewPair(t)
	must(migrate(ctx, pair.URL()))
	w := worldOn(t, pair.URL())
	f := &failover{world: w, pair: pair, product: w.product(stock)}
	w.exec(`WITH users AS (INSERT INTO user_point (user_id, balance) SELECT n, 1000 FROM generate_series(1, 1000) AS n RETURNING user_id, balance)
		INSERT INTO point_ledger (user_id, delta, kind, reason) SELECT user_id, balance, 'GRANT', 'test' FROM users`)

	// One sale whose commit is written down twice and whose answer is lost, and one that the standby will never hear of.
	f.buy(ctx, w, 1, true) // the statements are known: what is lost is the commit
	answerLost, commitLost := f.buy(ctx, w, 2, false), f.buy(ctx, w, 3, false)
	pair.LoseReply(1)
	if _, err := w.complete(answerLost); !errors.Is(err, booking.ErrCommitResultUnknown) {
		t.Errorf("the answer to a commit was lost: %v", err)
	}

	stop := make(chan struct{})
	var all sync.WaitGroup
	finish := sync.OnceFunc(func() { close(stop); all.Wait() })
	defer finish()
	for i := range int64(buyers) {
		env := w.clone()
		all.Go(func() {
			for user := 10 + i; user < stock && !t.Failed(); user += buyers {
				select {
				case <-stop:
					return
				default:
					f.buy(ctx, env, user, true)
				}
			}
		})
	}
	w.await("sales before the failover", func() bool { return f.sold.Load() >= 2*buyers })
	must(pair.Part(ctx))
	waiting := make(chan error, 1)
	go func() {
		_, err := w.complete(commitLost)
		waiting <- err
	}()
	must(pair.AwaitCommits(ctx, buyers+1))
	before, refused := f.sold.Load(), f.refused.Load()
	must(pair.Kill())
	if err := <-waiting; !errors.Is(err, booking.ErrCommitResultUnknown) {
		t.Errorf("the primary died in the commit: %v", err)
	}
	w.await("each commit under way to be told as unknown", func() bool { return f.unknown.Load() >= buyers })
	w.await("calls that come to the standby", func() bool { return f.refused.Load() >= refused+2*buyers })
	if n := f.sold.Load(); n != before {
		t.Errorf("%d sales were acknowledged that nobody has", n-before)
	}
	must(pair.Promote(ctx))
	w.await("sales after the failover", func() bool { return f.sold.Load() >= before+2*buyers })
	finish()

	w.wantStatus(commitLost, booking.PaymentPending)
	w.wantStatus(answerLost, booking.Confirmed)
	for _, b := range []booking.Booking{answerLost, commitLost} {
		if r, err := w.complete(b); err != nil || r.Booking.Status != booking.Confirmed {
			t.Errorf("the repeat of what was unknown: %v", err)
		}
		f.confirmed = append(f.confirmed, b)
	}
	f.judge()
	t.Logf("%d sold, %d of them before; %d unknown, %d refused", len(f.confirmed), before, f.unknown.Load(), f.refused.Load())
}

// judge holds every acknowledged sale against rows, gate and gateway.
func (f *failover) judge() {
	f.t.Helper()
	f.deliver()
	for _, b := range f.confirmed {
		f.wantStatus(b, booking.Confirmed, booking.PaymentSuccess, booking.PaymentSuccess)
		f.wantPoints(b.UserID, "0.00")
	}
	n := int64(len(f.confirmed))
	f.wantHeld(f.product, 0, n)
	f.wantNet(amount("99000").Mul(decimal.NewFromInt(n)).StringFixed(2))
	if charges := f.simulator.Ledger().Charges; int64(len(charges)) != n {
		f.t.Errorf("%d charges for %d sales", len(charges), n)
	}
	f.wantSound()
}
