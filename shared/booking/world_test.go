package booking_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"stayhold/shared/booking"
	"stayhold/shared/hold"
	"stayhold/shared/hold/holdtest"
	"stayhold/shared/paymentgateway"
	"stayhold/shared/paymentgateway/paymentgatewaytest"
	"stayhold/shared/postgres"
	"stayhold/shared/postgres/migrations"
	"stayhold/shared/postgres/postgrestest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	postgrestest.Shutdown()
	holdtest.Shutdown()
	os.Exit(code)
}

func migrate(ctx context.Context, url string) error {
	_, err := migrations.Run(ctx, postgres.Options{URL: url})
	return err
}

// world is the steps on real servers: a database of its own, a key prefix of its own
// in Redis, and a payment simulator of its own.
type world struct {
	prefix string
	t      *testing.T
	databaseURL,
	redisURL string
	store *postgres.Store
	gate  *hold.Gate
	// What the steps are given: the servers' adapters, or something around them.
	storePort  booking.Store
	gatePort   booking.Gate
	queuePort  booking.Queue
	gateway    booking.Gateway
	ledger     booking.Ledger
	stage      stage
	under      *world // without the cutter, where there is one
	gatewayURL string
	simulator  *paymentgatewaytest.Simulator
	queue      *recorder
	holdTTL    time.Duration
	window     time.Duration
	timeout    time.Duration
	session    time.Duration
	maxHolds   int
	beside     func(sql string, args ...any) error // beside the store: moves a row's time
	besideGate func(words ...any) error            // beside the gate: loses a key
}

// recorder is a queue that keeps what it is given; the tests decide what arrives.
type recorder struct {
	sync.Mutex
	sent []booking.Message
	fail error
}

func (r *recorder) Send(_ context.Context, messages ...booking.Message) error {
	r.Lock()
	defer r.Unlock()
	if r.fail != nil {
		return r.fail
	}
	r.sent = append(r.sent, messages...)
	return nil
}

func (r *recorder) take() []booking.Message {
	r.Lock()
	defer r.Unlock()
	sent := r.sent
	r.sent = nil
	return sent
}

type clock struct{}

func (clock) Now() time.Time { return time.Now() }

var prefixes atomic.Int64

func newWorld(t *testing.T) *world {
	t.Helper()
	t.Parallel()
	return worldOn(t, postgrestest.Database(t, migrate))
}

func worldOn(t *testing.T, databaseURL string) *world {
	t.Helper()
	w := &world{
		t: t, databaseURL: databaseURL, redisURL: holdtest.URL(t), queue: &recorder{},
		holdTTL: 300 * time.Second, window: 120 * time.Second, timeout: 500 * time.Millisecond, session: 10 * time.Minute, maxHolds: 5,
	}
	w.beside = postgrestest.Session(t, w.databaseURL)
	w.store = w.openStore(w.databaseURL)
	w.prefix = fmt.Sprintf("%d-%d:", os.Getpid(), prefixes.Add(1))
	w.gate = w.openGate(w.redisURL, w.prefix)
	w.besideGate = holdtest.Session(t, w.redisURL)
	w.stage = servers{w}
	w.plain()
	w.openGateway(time.Second)
	return w
}

// openGateway gives the world a payment simulator, whose late charges happen so long
// after they were asked for.
func (w *world) openGateway(late time.Duration) {
	w.t.Helper()
	simulator, err := paymentgatewaytest.New(paymentgatewaytest.Options{Secret: "secret", LateAfter: late})
	if err != nil {
		w.t.Fatal(err)
	}
	server := httptest.NewServer(simulator)
	w.t.Cleanup(func() {
		_ = simulator.Close()
		server.Close()
	})
	w.simulator, w.gatewayURL = simulator, server.URL
	client := w.gatewayWith("secret")
	w.gateway, w.ledger = client, client
}

func (w *world) gatewayWith(secret string) *paymentgateway.Client {
	return paymentgateway.New(paymentgateway.Options{CardURL: w.gatewayURL, CardSecret: secret, Timeout: w.timeout})
}

// plain gives the steps the adapters as they are.
func (w *world) plain() { w.storePort, w.gatePort, w.queuePort = w.store, w.gate, w.queue }

// openStore opens the database as the functions do, with no rights but theirs; url is its owner's.
func (w *world) openStore(url string) *postgres.Store {
	w.t.Helper()
	store, err := postgres.Open(postgres.Options{URL: postgrestest.Functions(url)})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(store.Close)
	return store
}

func (w *world) openGate(url, prefix string) *hold.Gate {
	w.t.Helper()
	gate, err := hold.New(hold.Options{URL: url, Prefix: prefix})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = gate.Close() })
	return gate
}

func (w *world) product(stock int64) int64 {
	w.t.Helper()
	return w.priced(stock, amount("100000"))
}

func (w *world) priced(stock int64, price decimal.Decimal) int64 {
	w.t.Helper()
	now := time.Now()
	id, err := w.admin().PutProduct(w.t.Context(), booking.ProductDraft{
		Name: "Sea view", Price: price, Stock: &stock, Status: "ACTIVE",
		SaleStartAt: now.Add(-time.Hour), CheckInAt: now.Add(240 * time.Hour), CheckOutAt: now.Add(264 * time.Hour),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

func (w *world) grant(user int64, points string) {
	w.t.Helper()
	if _, err := w.admin().GrantPoints(w.t.Context(), user, amount(points), "test"); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) reserveStep() booking.Reserve {
	return booking.Reserve{Store: w.storePort, Gate: w.gatePort, HoldTTL: w.holdTTL, MaxOpenHolds: w.maxHolds}
}

func (w *world) approveStep() booking.Approve {
	return booking.Approve{Store: w.storePort, Gate: w.gatePort, Gateway: w.gateway, Queue: w.queuePort, Clock: clock{},
		HoldTTL: w.holdTTL, Window: w.window, GatewayTimeout: w.timeout}
}

func (w *world) completeStep() booking.Complete {
	return booking.Complete{Store: w.storePort, Gate: w.gatePort, Queue: w.queuePort, Window: w.window}
}

func (w *world) cancelStep() booking.Cancel {
	return booking.Cancel{Store: w.storePort, Gate: w.gatePort, Queue: w.queuePort}
}

func (w *world) compensateStep() booking.Compensate {
	return booking.Compensate{Store: w.storePort, Gate: w.gatePort, Gateway: w.gateway, GatewayTimeout: w.timeout, GatewaySession: w.session}
}

func (w *world) sweepStep() booking.Sweep {
	return booking.Sweep{Compensate: w.compensateStep(), Queue: w.queuePort, Batch: 100,
		Reconcile: booking.Reconcile{Store: w.storePort, Gate: w.gatePort}}
}

func (w *world) admin() booking.Admin {
	return booking.Admin{Store: w.storePort, Gate: w.gatePort, Cancel: w.cancelStep(), Compensate: w.compensateStep(),
		Reconciler: booking.Reconcile{Store: w.storePort, Gate: w.gatePort}, Ledger: w.ledger,
		StrayLimit: booking.StrayLimit(w.holdTTL, w.window, 0)}
}

func (w *world) query() booking.Query { return booking.Query{Store: w.storePort, Gate: w.gatePort} }

func (w *world) reserve(user, product int64) booking.Booking {
	w.t.Helper()
	r, err := w.reserveStep().Run(w.t.Context(), booking.ReserveCommand{UserID: user, ProductID: product})
	if err != nil {
		w.t.Fatalf("reserve: %v", err)
	}
	return r.Booking
}

func (w *world) register(b booking.Booking, set booking.Set) booking.Booking {
	w.t.Helper()
	r, err := booking.Register{Store: w.storePort}.Run(w.t.Context(), booking.Registration{UserID: b.UserID, BookingID: b.ID, Set: set})
	if err != nil {
		w.t.Fatalf("register: %v", err)
	}
	return r.Booking
}

func (w *world) approve(b booking.Booking, paymentKey string) (booking.Result, error) {
	return w.approveStep().Run(w.t.Context(), booking.ApproveCommand{UserID: b.UserID, BookingID: b.ID, PaymentKey: paymentKey})
}

func (w *world) complete(b booking.Booking) (booking.Result, error) {
	return w.completeStep().Run(w.t.Context(), booking.CompleteCommand{UserID: b.UserID, BookingID: b.ID})
}

func (w *world) cancel(b booking.Booking) (booking.Result, error) {
	return w.cancelStep().Run(w.t.Context(), booking.Cancellation{UserID: b.UserID, BookingID: b.ID, Reason: "changed my mind"})
}

// deliver hands every message that the queue has to compensate.
func (w *world) deliver() {
	w.t.Helper()
	for _, m := range w.queue.take() {
		if err := w.compensateStep().Run(w.t.Context(), m); err != nil && !errors.Is(err, booking.ErrLeftToSweep) {
			w.t.Fatalf("compensate %v: %v", m, err)
		}
	}
}

func (w *world) read(b booking.Booking) booking.Booking {
	w.t.Helper()
	got, err := w.query().Booking(w.t.Context(), b.UserID, b.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	return got
}

// exec runs SQL beside the store, to move time for one row.
func (w *world) exec(sql string, args ...any) {
	w.t.Helper()
	if err := w.beside(sql, args...); err != nil {
		w.t.Fatal(err)
	}
}

// wantStatus holds a booking against its status, and the payments against theirs.
func (w *world) wantStatus(b booking.Booking, status booking.Status, payments ...booking.PaymentStatus) booking.Booking {
	w.t.Helper()
	got := w.read(b)
	if got.Status != status {
		w.t.Errorf("booking is %s, want %s\n%v", got.Status, status, got.Timeline)
	}
	for i, want := range payments {
		if i >= len(got.Payments) || got.Payments[i].Status != want {
			w.t.Errorf("payments are %+v, want %v", got.Payments, payments)
			break
		}
	}
	return got
}

// wantNet holds the gateway's ledger against the money that must have stayed there.
func (w *world) wantNet(want string) {
	w.t.Helper()
	if got := w.simulator.Ledger().Net; got != want {
		w.t.Errorf("the gateway keeps %s, want %s", got, want)
	}
}

func (w *world) wantAvailable(product, want int64) {
	w.t.Helper()
	p, err := w.query().Product(w.t.Context(), product)
	if err != nil {
		w.t.Fatal(err)
	}
	if p.Available != want {
		w.t.Errorf("%d units are available, want %d", p.Available, want)
	}
}

func (w *world) wantPoints(user int64, want string) {
	w.t.Helper()
	got, err := w.query().Points(w.t.Context(), user)
	if err != nil {
		w.t.Fatal(err)
	}
	if got.StringFixed(2) != want {
		w.t.Errorf("user %d has %s points, want %s", user, got, want)
	}
}

func (w *world) wantSound() {
	w.t.Helper()
	breaches, err := w.admin().Audit(w.t.Context(), 0)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, b := range breaches {
		w.t.Errorf("%s: %s %v", b.Invariant, b.Detail, b.BookingIDs)
	}
}

func amount(s string) decimal.Decimal { return decimal.RequireFromString(s) }

func card(s string) booking.Set { return booking.Set{{Method: booking.Card, Amount: amount(s)}} }

func points(s string) booking.Set { return booking.Set{{Method: booking.Point, Amount: amount(s)}} }

func both(p string, m booking.Method, s string) booking.Set {
	return append(points(p), booking.Part{Method: m, Amount: amount(s)})
}
