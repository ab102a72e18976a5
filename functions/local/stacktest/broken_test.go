package stacktest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
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
		simulator.ServeHTTP(w, r)
	}))
	t.Cleanup(gateway.Close)
	s.stack = ownStack(t, "DATABASE_URL="+s.wire.URL(), "PAYMENT_GATEWAY_URL="+gateway.URL, "PAYMENT_GATEWAY_SECRET="+secret,
		"SWEEP_INTERVAL=1h", "GATEWAY_TIMEOUT=2s")
	return s
}

// Each dependency fails while the stack runs: the codes for it, and that nothing is lost by it.
func TestBrokenDependencies(t *testing.T) {
	t.Parallel()
	s := bringYourOwn(t)
	b := s.buyer(t)
	b.grant(t, "3000")
	product := s.product(t, 5)

	t.Run("a gateway that does not know our key", func(t *testing.T) {
		r := b.registered(t, product, oneCard)
		s.refuses.Store(true)
		b.approve(r.BookingID, key("ok")).problem(t, 503, "DEPENDENCY_UNAVAILABLE")
		s.refuses.Store(false)
		s.noCharge(t, r)
		b.approve(r.BookingID, key("ok")).want(t, 200)
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
// which is nobody's commit, and the next buyer tries.
func (s *brought) loseCommits(t *testing.T, product int64) {
	for range 4 {
		b := s.buyer(t)
		r := b.approved(t, product, oneCard)
		s.wire.Reset()
		s.wire.LoseReply(1)
		a := b.complete(r.BookingID)
		s.wire.Reset()
		if a.err != nil || a.status != 503 {
			t.Fatalf("the reply was lost: %v", a)
		}
		unknown := oneOf(a, []string{"COMMIT_RESULT_UNKNOWN"})
		if unknown {
			a.problem(t, 503, "COMMIT_RESULT_UNKNOWN")
		}
		// The same request again tells how it went, and the purchase is whole.
		b.complete(r.BookingID).want(t, 200)
		s.oneCharge(t, r, "100000.00", false)
		if unknown {
			return
		}
		b.cancel(r.BookingID).want(t, 200)
	}
	t.Error("no commit was left unknown in four tries")
}
