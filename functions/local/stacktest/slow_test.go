package stacktest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"stayhold/shared/postgres/postgrestest"
)

// apiTimeout is how long API Gateway waits for a function.
const apiTimeout = 29 * time.Second

// The gateway takes half a minute for each charge. All environments of approve fill up with it and more buyers wait for
// one, while others go on to reserve; everybody is answered in time, and nobody's money is lost.
func TestAHangingGatewayKeepsNobodyElseWaiting(t *testing.T) {
	t.Parallel()
	s := ownStack(t, "GATEWAY_TIMEOUT=8s", "SWEEP_INTERVAL=2s")
	const environments, charging = 8, 12
	product := s.product(t, 1000)
	crowd := s.buyers(t, charging)
	var ids [charging]int64
	var keys [charging]string
	for i, b := range crowd {
		ids[i], keys[i] = b.held(t, product).BookingID, key("slow-30000")
	}
	// Nothing to charge yet: this only brings all environments up, so that none has to start while the others hang.
	eventually(t, 60*time.Second, "all environments of approve", func() error {
		atOnce(charging, func(i int) { crowd[i].approve(ids[i], keys[i]) })
		up, err := s.children("ApproveFunction/bootstrap")
		if err == nil && len(up) < environments {
			err = fmt.Errorf("%d are up", len(up))
		}
		return err
	})
	for i, b := range crowd {
		b.register(ids[i], oneCard).want(t, 201)
	}
	pace := func(d []time.Duration) time.Duration {
		slices.Sort(d)
		return d[len(d)/2].Round(time.Millisecond)
	}
	var before, beside []time.Duration
	for _, b := range s.buyers(t, 20) {
		before = append(before, b.reserve(product).want(t, 201).took)
	}
	others := s.buyers(t, 200)

	var answers [charging]answer
	done := make(chan struct{})
	go func() {
		defer close(done)
		atOnce(charging, func(i int) { answers[i] = crowd[i].approve(ids[i], keys[i]) })
	}()
	hanging := func() (n int) {
		s.row(t, `SELECT count(*) FROM payment_attempt WHERE state = 'REQUESTED'`, nil, &n)
		return n
	}
	eventually(t, 20*time.Second, "charges that hang in all environments", func() error {
		if n := hanging(); n < environments {
			return fmt.Errorf("%d charges", n)
		}
		return nil
	})
	for _, b := range others {
		took := b.reserve(product).want(t, 201).took
		if hanging() < environments {
			break
		}
		beside = append(beside, took)
	}
	if len(beside) < 3 { // a machine that is busy with other tests does not do many in these seconds
		t.Errorf("only %d reserves while the gateway hung", len(beside))
	} else {
		t.Logf("a reserve took %v before, and %v beside %d hanging charges", pace(before), pace(beside), environments)
	}
	<-done
	for i, a := range answers {
		if a.err != nil || a.status != 202 || a.took > apiTimeout || a.header.Get("Retry-After") == "" {
			t.Errorf("after %v, Retry-After %q: %v", a.took, a.header.Get("Retry-After"), a)
			continue
		}
		if got := a.booking(t); got.Payments[0].Approval != "UNKNOWN" {
			t.Errorf("charge %d: %+v", i, got.Payments[0])
		}
	}
	for i, b := range crowd {
		eventually(t, 60*time.Second, "the slow charge", func() error {
			a := b.approve(ids[i], keys[i])
			if a.status == 200 {
				return nil
			}
			a.want(t, 202, 409)
			return fmt.Errorf("%v", a)
		})
		got := b.complete(ids[i]).want(t, 200).booking(t)
		if c := s.oneCharge(t, got, "100000.00", false); c.Confirms < 1 {
			t.Errorf("%+v", c)
		}
	}
	s.audited(t, 0)
}

// The database keeps everybody waiting, at a locked row or by the length of the line: whoever asks is told so in time, and
// once it is over nothing is left behind.
func TestASlowDatabaseIsAnsweredInTime(t *testing.T) {
	t.Parallel()
	s := bringYourOwn(t)
	b, c, late := s.buyer(t), s.buyer(t), s.buyer(t)
	product := s.product(t, 3)
	paid := b.approved(t, product, oneCard)

	s.buyer(t).reserve(product).want(t, 201) // the gate is warm, and there is a connection
	release := postgrestest.Lock(t, s.real, `SELECT FROM product WHERE id = $1 FOR UPDATE`, product)
	k := newKey()
	calls := []func() answer{
		func() answer { return b.complete(paid.BookingID, k...) },
		func() answer { return c.reserve(product, k...) },
	}
	inTime(t, calls)
	// Nobody waits on for those who have been answered.
	eventually(t, 10*time.Second, "the end of what was given up", func() error {
		var waiting int
		s.row(t, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`, nil, &waiting)
		if waiting > 0 {
			return fmt.Errorf("%d sessions wait for the lock", waiting)
		}
		return nil
	})
	if n := s.kept(t, k); n != 0 {
		t.Errorf("%d answers stored under the key of requests that came to nothing", n)
	}
	release()
	b.complete(paid.BookingID, k...).want(t, 200)
	// The place that the gate gave is the buyer's own still.
	held := c.reserve(product, k...).want(t, 201).booking(t)
	if got := c.available(t, product); got != 0 {
		t.Errorf("%d available beside two holds and a sale on 3 units", got)
	}

	s.wire.Delay(11 * time.Second) // a second more than these functions have
	inTime(t, []func() answer{
		func() answer { return b.get("/points") },
		func() answer { return c.register(held.BookingID, oneCard) },
		func() answer { return late.reserve(product) }, // sold out, which the gate knows by itself
	}, 503, 503, 409)
	s.wire.Reset()
	s.wire.Cut()
	eventually(t, 15*time.Second, "the database is near again", func() error {
		if a := b.get("/points"); a.status != 200 {
			return fmt.Errorf("%v", a)
		}
		return nil
	})
	eventually(t, 15*time.Second, "the same register again", func() error {
		if a := c.register(held.BookingID, oneCard); a.status != 200 && a.status != 201 {
			return errors.New(a.String())
		}
		return nil
	})
	c.approve(held.BookingID, key("ok")).want(t, 200)
	c.complete(held.BookingID).want(t, 200)
	s.audited(t, product)
}

// inTime makes the calls at once and fails the test unless each is answered with its status (503 where none is given)
// before API Gateway gives up, by us and with Retry-After where it is a 503.
func inTime(t *testing.T, calls []func() answer, statuses ...int) {
	t.Helper()
	answers := make([]answer, len(calls))
	atOnce(len(calls), func(i int) { answers[i] = calls[i]() })
	for i, a := range answers {
		want := 503
		if statuses != nil {
			want = statuses[i]
		}
		a.want(t, want)
		if a.took > apiTimeout {
			t.Errorf("answered after %v: %v", a.took, a)
		}
		if want == 503 && !oneOf(a, []string{"COMMIT_RESULT_UNKNOWN"}) {
			a.problem(t, 503, "DEPENDENCY_UNAVAILABLE")
		}
		if want == 503 && a.header.Get("Retry-After") == "" {
			t.Errorf("no Retry-After: %v", a)
		}
		t.Logf("answered after %v: %v", a.took.Round(100*time.Millisecond), a)
	}
}
