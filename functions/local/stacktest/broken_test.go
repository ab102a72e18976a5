package stacktest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"stayhold/shared/paymentgateway/paymentgatewaytest"
	"stayhold/shared/postgres/postgrestest"
)

// brought is a stack on a database and a gateway that the test holds in its hands.
type brought struct {
	*stack
	wire    *postgrestest.Wire
	real    string // the database without the wire
	refuses atomic.Bool
	hangs   atomic.Pointer[chan struct{}] // requests to the gateway wait until it is closed
}

// hang has the gateway answer nobody from now on, until go on is called.
func (s *brought) hang() (goOn func()) {
	until := make(chan struct{})
	s.hangs.Store(&until)
	return sync.OnceFunc(func() {
		s.hangs.Store(nil)
		close(until)
	})
}

// charging waits until the charge of the booking is under way.
func (b *buyer) charging(t testing.TB, id int64) {
	t.Helper()
	eventually(t, 20*time.Second, "the charge under way", func() error {
		if p := b.booking(t, id).Payments[0]; p.Approval != "REQUESTED" {
			return fmt.Errorf("%s", p.Approval)
		}
		return nil
	})
}

func bringYourOwn(t *testing.T) *brought {
	t.Helper()
	s := &brought{real: postgrestest.Database(t, nil)}
	s.wire = postgrestest.Proxy(t, s.real)
	const secret = "brought-secret"
	simulator, err := paymentgatewaytest.New(paymentgatewaytest.Options{Secret: secret})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = simulator.Close() })
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.refuses.Load() && r.URL.Path != "/ledger" {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"code":"UNAUTHORIZED_KEY","message":"who are you"}`))
			return
		}
		if until := s.hangs.Load(); until != nil && r.URL.Path != "/ledger" {
			select {
			case <-*until:
			case <-r.Context().Done():
				return
			}
		}
		simulator.ServeHTTP(w, r)
	}))
	t.Cleanup(gateway.Close)
	s.stack = ownStack(t, "DATABASE_URL="+s.wire.URL(), "PAYMENT_GATEWAY_URL="+gateway.URL, "PAYMENT_GATEWAY_SECRET="+secret, "SWEEP_INTERVAL=1h")
	return s
}

// Each dependency fails while the stack runs: the codes for it, and that nothing is lost by it.
func TestBrokenDependencies(t *testing.T) {
	t.Parallel()
	s := bringYourOwn(t)
	b := s.buyer(t)
	b.grant(t, "3000")
	product := s.product(t, 10)

	t.Run("a gateway that does not know our key", func(t *testing.T) {
		r := b.registered(t, product, oneCard)
		s.refuses.Store(true)
		k := newKey()
		b.approve(r.BookingID, key("ok"), k...).problem(t, 503, "DEPENDENCY_UNAVAILABLE")
		s.refuses.Store(false)
		s.noCharge(t, r)
		if n := s.kept(t, k); n != 0 {
			t.Errorf("a 503 keeps its key")
		}
		b.approve(r.BookingID, key("ok"), k...).want(t, 200)
		b.complete(r.BookingID).want(t, 200)
		s.oneCharge(t, r, "100000.00", false)
	})
	t.Run("a commit whose reply is lost", func(t *testing.T) { s.loseCommits(t, product) })
	t.Run("a database that is gone", func(t *testing.T) {
		defer s.wire.Reset()
		s.wire.Refuse(true)
		s.wire.Cut()
		b.get("/points").problem(t, 503, "DEPENDENCY_UNAVAILABLE")
		b.cancel(1).problem(t, 503, "DEPENDENCY_UNAVAILABLE")
		a := send("GET", s.api+"/health", "").want(t, 503)
		var health map[string]string
		if err := json.Unmarshal(a.body, &health); err != nil || len(health) != 3 || health["status"] == "ok" || health["redis"] != "ok" || health["database"] == "ok" {
			t.Errorf("%v", a)
		}
		// Somebody new is not admitted without a row. A function whose open connection was cut cannot know how far it came.
		c := s.buyer(t)
		if a := c.reserve(product).want(t, 503); !oneOf(a, []string{"COMMIT_RESULT_UNKNOWN"}) {
			a.problem(t, 503, "DEPENDENCY_UNAVAILABLE")
		}
		s.wire.Reset()
		eventually(t, 10*time.Second, "the database is back", func() error {
			if a := b.get("/points"); a.status != 200 {
				return fmt.Errorf("%v", a)
			}
			return nil
		})
		c.held(t, product)
	})
	t.Run("rows that cannot be read", func(t *testing.T) {
		ctx := context.Background()
		if err := postgrestest.Exec(ctx, s.real, `ALTER TABLE user_point RENAME TO user_point_away`); err != nil {
			t.Fatal(err)
		}
		a := b.get("/points")
		if err := postgrestest.Exec(ctx, s.real, `ALTER TABLE user_point_away RENAME TO user_point`); err != nil {
			t.Fatal(err)
		}
		a.problem(t, 500, "INTERNAL")
		if got := b.points(t); got != "3000.00" {
			t.Errorf("points %s", got)
		}
	})
	s.audited(t, product)
}

// loseCommits loses the reply of what complete does last. A cold function asks more before that: then another is lost,
// which is nobody's commit, and the next buyer tries. Nobody cancels: the messages would be worked on over the same wire.
func (s *brought) loseCommits(t *testing.T, product int64) {
	for range 4 {
		b := s.buyer(t)
		r := b.approved(t, product, oneCard)
		k := newKey()
		s.wire.Reset()
		s.wire.LoseReply(2) // the first is the look for the key
		a := b.complete(r.BookingID, k...)
		s.wire.Reset()
		if a.err != nil || a.status != 503 {
			t.Fatalf("the reply was lost: %v", a)
		}
		unknown := oneOf(a, []string{"COMMIT_RESULT_UNKNOWN"})
		if unknown {
			a.problem(t, 503, "COMMIT_RESULT_UNKNOWN")
		}
		// The same request again tells how it went, and the purchase is whole.
		again := b.complete(r.BookingID, k...).want(t, 200)
		s.oneCharge(t, r, "100000.00", false)
		if unknown {
			if again.header.Get("Idempotency-Replayed") != "true" {
				t.Errorf("what was committed was not stored with it: %v", again)
			}
			return
		}
	}
	t.Error("no commit was left unknown in four tries")
}
