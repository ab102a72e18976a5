package booking_test

import (
	"context"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"stayhold/shared/booking"
	"stayhold/shared/queue"
)

// gatehouse stands before the gateway and writes down when each request came.
type gatehouse struct {
	sync.Mutex
	behind http.Handler
	came   map[string][]time.Time // by method and path
	hold   chan struct{}          // if not nil: the next request waits until it is closed
	here   chan struct{}          // gets one when that request is there
}

func (g *gatehouse) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	g.Lock()
	what := r.Method + " " + r.URL.Path
	g.came[what] = append(g.came[what], time.Now())
	hold := g.hold
	g.hold = nil
	g.Unlock()
	if hold != nil {
		g.here <- struct{}{}
		<-hold
	}
	g.behind.ServeHTTP(rw, r)
}

// visits are the requests since the last call of forget.
func (g *gatehouse) visits() map[string][]time.Time {
	g.Lock()
	defer g.Unlock()
	return maps.Clone(g.came)
}

func (g *gatehouse) forget() {
	g.Lock()
	defer g.Unlock()
	g.came = map[string][]time.Time{}
}

// watchGateway puts a gatehouse before the world's simulator.
func (w *world) watchGateway() *gatehouse {
	w.t.Helper()
	g := &gatehouse{behind: w.simulator, came: map[string][]time.Time{}, here: make(chan struct{}, 1)}
	server := httptest.NewServer(g)
	w.t.Cleanup(func() {
		_ = w.simulator.Close() // or those that it never answers would keep the server
		server.Close()
	})
	w.gatewayURL = server.URL
	w.gateway = w.gatewayWith("secret")
	return g
}

// wantPaced fails unless the n-th failed call (from 1) kept the next one waiting that long. A row's time is the database's:
// it may differ from ours by what a clock is corrected meanwhile.
func wantPaced(t *testing.T, what string, when []time.Time, pause func(n int) time.Duration) {
	t.Helper()
	for i := 1; i < len(when); i++ {
		if apart := when[i].Sub(when[i-1]); apart < pause(i)-50*time.Millisecond {
			t.Errorf("%s: call %d came %v after the one before it, want %v at least", what, i+1, apart, pause(i))
		}
	}
}

// TestOneMessageAThousandTimes repeats a true message, from four environments at once: the gateway is asked once per
// backoff, however often the message comes.
func TestOneMessageAThousandTimes(t *testing.T) {
	for name, c := range map[string]struct {
		make func(w *world, product int64) booking.Booking
		task booking.Task
		// pause is the backoff behind the n-th call of all.
		pause func(n int) time.Duration
		// asks is how many things the gateway is asked in a round: once it is stuck, a refund is looked up too.
		asks func(round int) int
	}{
		"a refund that is refused": {
			func(w *world, product int64) booking.Booking {
				b := w.register(w.reserve(7, product), card("100000"))
				if _, err := w.approve(b, "stuckcancel-1"); err != nil {
					w.t.Fatal(err)
				}
				if _, err := w.cancel(b); err != nil {
					w.t.Fatal(err)
				}
				return b
			},
			booking.TaskCompensate, func(n int) time.Duration { return min(time.Second<<min(n, 10), 300*time.Second) },
			func(round int) int { return 1 + round/3 },
		},
		"a charge that is not known": {
			func(w *world, product int64) booking.Booking { return w.unknown(7, product, "timeout-1") },
			booking.TaskResolve, func(int) time.Duration { return 2 * time.Second },
			func(int) int { return 1 },
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.timeout = 5 * time.Second // what a busy machine may need before it sends
			gateway := w.watchGateway()
			w.gateway = impatient{w.gateway, w.simulator}
			b := c.make(w, w.product(1))
			w.queue.take()
			gateway.forget()
			body, err := queue.Encode(booking.Message{Task: c.task, BookingID: b.ID})
			if err != nil {
				t.Fatal(err)
			}
			event := []byte(`{"Records":[` + strings.Join(slices.Repeat([]string{`{"messageId":"m","body":` + quoted(body) + `}`}, 10), ",") + `]}`)
			calls := 0
			for round := range 5 {
				w.later(b, false)
				atOnce(w, 4, func(w *world, _ int) error {
					for range 5 {
						if failed := w.handed(w.compensateFunction(), event); len(failed) > 0 {
							w.t.Errorf("round %d: reported %v", round, failed)
						}
					}
					return nil
				})
				came := gateway.visits()
				gateway.forget()
				if len(came) != c.asks(round) {
					t.Errorf("round %d: the gateway was asked %v", round, came)
				}
				before := calls
				for what, when := range came {
					wantPaced(t, what, when, func(n int) time.Duration { return c.pause(before + n) })
					calls = max(calls, before+len(when))
				}
			}
			w.wantSound()
		})
	}
}

// TestMessagesBesideACallToTheGateway lets a message come again and again while the first one's call is on its way: the
// lease keeps all others from the gateway.
func TestMessagesBesideACallToTheGateway(t *testing.T) {
	w := newWorld(t)
	w.timeout = 30 * time.Second
	gateway := w.watchGateway()
	b := w.register(w.reserve(7, w.product(1)), card("100000"))
	if _, err := w.approve(b, "ok-1"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.cancel(b); err != nil {
		t.Fatal(err)
	}
	m := w.queue.take()[0]
	gateway.forget()
	release := make(chan struct{})
	gateway.hold = release
	ended := make(chan error)
	first := w.clone()
	go func() { ended <- first.compensateStep().Run(context.WithoutCancel(t.Context()), m) }()
	<-gateway.here
	for range 100 {
		if err := w.compensateStep().Run(t.Context(), m); err != nil {
			t.Errorf("beside the call: %v", err)
		}
	}
	close(release)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for what, when := range gateway.visits() {
		if len(when) != 1 {
			t.Errorf("%s, %d times", what, len(when))
		}
	}
	w.wantStatus(b, booking.Cancelled, booking.PaymentCancelled)
	w.wantNet("0.00")
	w.wantSound()
}
