package stacktest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// One user reaches for forty products with a hundred hands, and lets go of some meanwhile: at no moment has he more than
// five, and of what he was refused nothing stays taken.
func TestHoldLimitUnderAFlood(t *testing.T) {
	t.Parallel()
	s := mainStack.get(t)
	b := s.buyer(t)
	const limit, goods = 5, 40
	products := make([]int64, goods)
	for i := range products {
		products[i] = s.product(t, 1)
	}
	var open atomic.Int64
	stop := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() { open.Store(b.mostOpen(t, stop)) })

	var mu sync.Mutex
	var held []int64
	refused := 0
	atOnce(100, func(i int) {
		a := b.reserve(products[i%goods])
		if a.err == nil && a.status == 201 && i%2 == 0 { // every other one is given back while the rest still comes
			if left := b.cancel(bookingOf(t, a.body).BookingID); left.err != nil || left.status != 200 {
				t.Errorf("%v", left)
			}
			return
		}
		mu.Lock()
		defer mu.Unlock()
		switch {
		case a.err == nil && a.status == 201:
			held = append(held, bookingOf(t, a.body).BookingID)
		case a.err == nil && a.status == 429:
			a.problem(t, 429, "HOLD_LIMIT") // which holds Retry-After too
			refused++
		default:
			if a.err != nil || !oneOf(a, []string{"DUPLICATE_RESERVATION", "SOLD_OUT"}) {
				t.Errorf("%v", a)
			}
		}
	})
	close(stop)
	watching.Wait()
	var most int64
	s.row(t, overlapSQL, []any{b.id}, &most)
	t.Logf("%d held at the end, %d refused, at most %d at a time", len(held), refused, most)
	if refused == 0 || most > limit || open.Load() > limit {
		t.Errorf("%d refused; at most %d open by their events, %d as seen on the way", refused, most, open.Load())
	}
	// Gate and rows agree on each product: a refused place is free again, and a held one is held.
	free := 0
	for _, product := range products {
		if b.available(t, product) == 1 {
			free++
		}
	}
	if free != goods-len(held) {
		t.Errorf("%d of %d products are free in the gate, and %d are held", free, goods, len(held))
	}
	for _, id := range held {
		if got := b.booking(t, id); got.Status != "INIT" {
			t.Errorf("%+v", got)
		}
		b.cancel(id).want(t, 200)
	}
	b.held(t, products[0])
}

// overlapSQL is how many bookings of a user were open at once, at most: each counts from the event that it was held until
// the event that it was given back, both by the clock of the moment and under the locks that order them.
const overlapSQL = `SELECT max(open) FROM (
	SELECT sum(CASE e.event WHEN 'HELD' THEN 1 ELSE -1 END) OVER (ORDER BY e.at, e.id) AS open
	FROM booking_event e JOIN booking b ON b.id = e.booking_id WHERE b.user_id = $1 AND e.event IN ('HELD', 'CANCELLED')) AS o`

// mostOpen looks at the user's open bookings until it is told to stop, and returns the most that it saw.
func (b *buyer) mostOpen(t testing.TB, stop <-chan struct{}) (most int64) {
	conn, ctx := b.s.connect(t), background(t)
	defer conn.Close(ctx) //nolint:errcheck // nothing to lose
	for {
		select {
		case <-stop:
			return most
		default:
		}
		var n int64
		if err := conn.QueryRow(ctx, `SELECT count(*) FROM booking WHERE user_id = $1 AND status IN ('INIT', 'PAYMENT_PENDING')`, b.id).Scan(&n); err != nil {
			t.Error(err)
			return most
		}
		most = max(most, n)
		time.Sleep(2 * time.Millisecond)
	}
}

// Somebody takes the last unit and gives it back, as fast as he can. Between his release and his next place it is free, so
// whoever keeps asking gets it: how often he has to ask is measured here, at a place where the churner has no way to go. So
// it is with somebody who may hold no more, and has the gate's place until the database refuses him. The limits are some ten
// times of what was seen; a unit that is not free in between is never got.
func TestChurnStarvesNobody(t *testing.T) {
	t.Parallel()
	s := mainStack.get(t)
	for _, c := range []struct {
		name               string
		hands, held, limit int
	}{{"one hand", 1, 0, 2000}, {"four hands", 4, 0, 5000}, {"four hands that may hold no more", 4, 5, 5000}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			product := s.product(t, 1)
			churner := s.buyer(t)
			for range c.held {
				churner.held(t, s.product(t, 1))
			}
			stop := make(chan struct{})
			var cycles atomic.Int64
			var hands sync.WaitGroup
			for range c.hands {
				hands.Go(func() { churner.churns(t, product, stop, &cycles) })
			}
			var asked []int
			var during []int64
			for _, b := range s.buyers(t, 5) {
				before := cycles.Load()
				eventually(t, 20*time.Second, "the churn", func() error {
					if cycles.Load() < before+3 {
						return fmt.Errorf("%d cycles", cycles.Load()-before)
					}
					return nil
				})
				before = cycles.Load()
				n, a := 1, b.reserve(product)
				for ; a.status == 409 && n < c.limit; n++ {
					a = b.reserve(product)
				}
				asked, during = append(asked, n), append(during, cycles.Load()-before)
				if a.err != nil || a.status != 201 {
					t.Errorf("asked %d times: %v", n, a)
					break
				}
				b.cancel(a.booking(t).BookingID).want(t, 200)
			}
			close(stop)
			hands.Wait()
			t.Logf("buyers asked %v times, during %v turns of the other's", asked, during)
			s.buyer(t).free(t, product)
		})
	}
}

// churns reserves, and cancels or is refused, until it is told to stop, and holds nothing then. Its hands are in each other's way: one
// finds the hold that another is giving back, and is told to try again.
func (b *buyer) churns(t testing.TB, product int64, stop <-chan struct{}, cycles *atomic.Int64) {
	for {
		a := b.reserve(product)
		switch {
		case a.err == nil && a.status == 201:
			if c := b.cancel(bookingOf(t, a.body).BookingID); c.err != nil || c.status != 200 {
				t.Errorf("%v", c)
			}
			cycles.Add(1)
		case a.err == nil && a.status == 429:
			cycles.Add(1)
		case a.err != nil || !oneOf(a, []string{"SOLD_OUT", "DUPLICATE_RESERVATION", "DEPENDENCY_UNAVAILABLE"}):
			t.Errorf("%v", a)
		}
		select {
		case <-stop:
			return
		default:
		}
	}
}
