package stacktest

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

// persist walks a purchase to its end as a person does whose page shows errors now and then: what failed is tried again.
// It returns the CONFIRMED booking, or what stopped it.
func (b *buyer) persist(product int64, within time.Duration, broken *sync.Map) (int64, error) {
	deadline := time.Now().Add(within)
	paymentKey := key("slow-100")
	var id int64
	try := func(call func() answer, good func(a answer) bool) error {
		for {
			a := call()
			if a.err == nil && good(a) {
				return nil
			}
			transient := a.err != nil || a.status >= 500 || a.status == 202 || oneOf(a, []string{"PAYMENT_IN_PROGRESS", "IDEMPOTENCY_IN_PROGRESS"})
			if a.err == nil && a.status >= 500 {
				broken.Store(fmt.Sprintf("%d %.60s", a.status, a.body), a.status)
			}
			if !transient {
				return fmt.Errorf("%v", a)
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("not within %v: %v", within, a)
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
	for _, step := range []struct {
		call func() answer
		good func(a answer) bool
	}{
		{func() answer { return b.reserve(product) }, func(a answer) bool {
			var got struct{ BookingID int64 }
			if (a.status == 201 || oneOf(a, []string{"DUPLICATE_RESERVATION"})) && decode(a.body, &got) {
				id = got.BookingID
			}
			return id != 0
		}},
		{func() answer { return b.register(id, oneCard) }, func(a answer) bool { return a.status == 200 || a.status == 201 }},
		{func() answer { return b.approve(id, paymentKey) }, func(a answer) bool { return a.status == 200 }},
		{func() answer { return b.complete(id) }, func(a answer) bool { return a.status == 200 }},
	} {
		if err := try(step.call, step.good); err != nil {
			return id, err
		}
	}
	return id, nil
}

// While people buy, every kind of part dies. Everybody gets a room in the end, and pays for one.
func TestDeathsWhileBuyersAreAtWork(t *testing.T) {
	t.Parallel()
	s := ownStack(t, "GATEWAY_TIMEOUT=2s", "SWEEP_INTERVAL=2s", "SWEEP_GRACE=5s")
	const crowd = 6
	product := s.product(t, 2000)
	people := s.buyers(t, crowd)
	stop := make(chan struct{})
	var mu sync.Mutex
	var broken sync.Map
	bought := map[int64]*buyer{}
	var all sync.WaitGroup
	for i, b := range people {
		all.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				if n > 0 {
					b = s.user(t, int64(10_000_000+100_000*i+n))
				}
				id, err := b.persist(product, 45*time.Second, &broken)
				if err != nil {
					t.Errorf("booking %d: %v", id, err)
					return
				}
				mu.Lock()
				bought[id] = b
				mu.Unlock()
			}
		})
	}
	progress := func(t *testing.T, what string) {
		t.Helper()
		mu.Lock()
		before := len(bought)
		mu.Unlock()
		began := time.Now()
		eventually(t, 30*time.Second, "sales after the death of "+what, func() error {
			mu.Lock()
			defer mu.Unlock()
			if len(bought) < before+crowd {
				return fmt.Errorf("%d sold since", len(bought)-before)
			}
			return nil
		})
		t.Logf("%s: %d sales more after %v", what, crowd, time.Since(began).Round(100*time.Millisecond))
	}
	for _, what := range []string{
		"ApproveFunction/bootstrap", "redis-server", "CompleteFunction/bootstrap", "/postgres/", "ReserveFunction/bootstrap",
		"RegisterFunction/bootstrap", "CompensateFunction/bootstrap", "/postgres/", "redis-server", "SweepFunction/bootstrap",
	} {
		s.killEvery(t, what)
		progress(t, what)
	}
	close(stop)
	all.Wait()
	broken.Range(func(k, _ any) bool { t.Logf("seen on the way: %v", k); return true })
	for id, b := range bought {
		if got := b.booking(t, id); got.Status != "CONFIRMED" {
			t.Errorf("booking %d was sold and is %s", id, got.Status)
		} else {
			s.oneCharge(t, got, "100000.00", false)
		}
	}
	total, remaining, confirmed, _ := s.stock(t, product)
	if confirmed != int64(len(bought)) || total != remaining+confirmed {
		t.Errorf("total %d, remaining %d, %d CONFIRMED, %d seen by buyers", total, remaining, confirmed, len(bought))
	}
	s.admin(t, fmt.Sprintf(`{"action":"reconcile","productId":%d}`, product), nil)
	if got := people[0].available(t, product); got != remaining {
		t.Errorf("the gate has %d, the database %d", got, remaining)
	}
	s.audited(t, 0)
}

// killEvery kills the children of the front that have the text on their command line, without a warning.
func (s *stack) killEvery(t *testing.T, text string) {
	t.Helper()
	found, err := s.children(text)
	if err != nil || len(found) == 0 {
		t.Errorf("no child %s: %v", text, err)
	}
	for _, p := range found {
		if err := kill9(p.PID); err != nil {
			t.Logf("killing %d: %v", p.PID, err)
		}
	}
}

// A function that dies in the middle of a charge: its caller is told at once, and can finish.
func TestAFunctionDiesInTheMiddleOfACharge(t *testing.T) {
	t.Parallel()
	s := ownStack(t, "GATEWAY_TIMEOUT=6s", "SWEEP_INTERVAL=1s")
	b := s.buyer(t)
	r := b.registered(t, s.product(t, 1), oneCard)
	paymentKey, k := key("slow-5000"), newKey()
	answered := make(chan answer)
	go func() { answered <- b.approve(r.BookingID, paymentKey, k...) }()
	b.charging(t, r.BookingID)
	s.killEvery(t, "ApproveFunction/bootstrap")
	began := time.Now()
	a := <-answered
	a.message(t, 500, "Internal Server Error")
	// Long before the function's own timeout, that is; these machines are busy.
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the caller was told after %v", took)
	}
	// Its claim on the key ends with its lease, and the key is the next one's.
	var healed answer
	eventually(t, 60*time.Second, "the charge of a function that died", func() error {
		if healed = b.approve(r.BookingID, paymentKey, k...); healed.status == 200 {
			return nil
		}
		if healed.status == 409 && !oneOf(healed, []string{"IDEMPOTENCY_IN_PROGRESS", "PAYMENT_IN_PROGRESS"}) {
			t.Errorf("%v", healed)
		}
		healed.want(t, 202, 409)
		return fmt.Errorf("%v", healed)
	})
	replayed(t, healed, b.approve(r.BookingID, paymentKey, k...))
	if n := s.kept(t, k); n != 1 {
		t.Errorf("%d rows under the key", n)
	}
	b.finishes(t, r.BookingID)
	s.oneCharge(t, r, "100000.00", false)
}
