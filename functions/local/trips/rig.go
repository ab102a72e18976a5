package trips

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"stayhold/shared/api"
	"stayhold/shared/booking"
	"stayhold/shared/booking/bookingtest"
	"stayhold/shared/hold"
	"stayhold/shared/hold/holdtest"
	"stayhold/shared/paymentgateway"
	"stayhold/shared/paymentgateway/paymentgatewaytest"
	"stayhold/shared/postgres"
	"stayhold/shared/postgres/postgrestest"
)

// As the template has them.
const (
	holdTTL        = 5 * time.Minute
	window         = 2 * time.Minute
	gatewayTimeout = 10 * time.Second
	maxOpenHolds   = 5
)

// Config says which servers a Rig works on, and through which proxies it reaches them.
type Config struct {
	Owner    string // URL of the migrated database's owner, past its proxy: moves a row's time
	Database *postgrestest.Wire
	Pooler   bool // a pooler in transaction mode stands behind that proxy
	Gates    []*holdtest.Wire
	Prefix   string // of the gate's keys
}

// Rig is one environment of each function that buyers call.
type Rig struct {
	Config
	handlers map[string]lambda.Handler
	store    *postgres.Store
	gate     *hold.Gate
	admin    booking.Admin
	calls    *atomic.Int64 // of the payment gateway
	products products
	user     int64 // the last flow's
	keys     int
	undo     []func()
}

// products are what a flow needs: two to buy, one that is gone, one whose sale has not begun.
type products struct{ sold, lapsing, gone, later int64 }

// Open opens the clients, and makes what is sold. Close ends them.
func Open(ctx context.Context, c Config) (_ *Rig, err error) {
	r := &Rig{Config: c, calls: &atomic.Int64{}}
	defer func() {
		if err != nil {
			r.Close()
		}
	}()
	if r.store, err = postgres.Open(postgres.Options{URL: postgrestest.Functions(c.Database.URL()), Pooler: c.Pooler}); err != nil {
		return nil, err
	}
	r.undo = append(r.undo, r.store.Close)
	var urls []string
	for _, g := range c.Gates {
		urls = append(urls, g.URL())
	}
	if r.gate, err = hold.New(hold.Options{URL: strings.Join(urls, ","), Prefix: c.Prefix}); err != nil {
		return nil, err
	}
	r.undo = append(r.undo, func() { _ = r.gate.Close() }) // nothing is lost with it
	gateway, err := r.openGateway()
	if err != nil {
		return nil, err
	}
	r.wire(gateway)
	return r, r.stock(ctx)
}

// Close ends what Open has opened.
func (r *Rig) Close() {
	for _, undo := range slices.Backward(r.undo) {
		undo()
	}
	r.undo = nil
}

// openGateway starts a payment gateway that counts its calls.
func (r *Rig) openGateway() (booking.Gateway, error) {
	const secret = "secret"
	simulator, err := paymentgatewaytest.New(paymentgatewaytest.Options{Secret: secret})
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(err, simulator.Close())
	}
	server := &http.Server{ReadHeaderTimeout: gatewayTimeout, Handler: http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		r.calls.Add(1)
		simulator.ServeHTTP(w, q)
	})}
	go func() { _ = server.Serve(listener) }() // it ends when it is closed
	r.undo = append(r.undo, func() { _ = errors.Join(simulator.Close(), server.Close()) })
	return paymentgateway.New(paymentgateway.Options{CardURL: "http://" + listener.Addr().String(), CardSecret: secret, Timeout: gatewayTimeout}), nil
}

// wire makes the handlers, as the functions' mains do.
func (r *Rig) wire(gateway booking.Gateway) {
	edge := func(recaller booking.Recaller) *api.Edge {
		return api.New(api.Options{Recaller: recaller, Log: io.Discard})
	}
	queue := bookingtest.NewQueue()
	complete := booking.Complete{Store: r.store, Gate: r.gate, Queue: queue, Window: window}
	cancel := booking.Cancel{Store: r.store, Gate: r.gate, Queue: queue}
	r.handlers = map[string]lambda.Handler{
		"reserve":  edge(r.store).Reserve(booking.Reserve{Store: r.store, Gate: r.gate, HoldTTL: holdTTL, MaxOpenHolds: maxOpenHolds}.Run),
		"register": edge(r.store).Register(booking.Register{Store: r.store}.Run),
		"pg-approve": edge(r.store).Approve(booking.Approve{
			Store: r.store, Gate: r.gate, Gateway: gateway, Queue: queue, Clock: api.Clock{},
			HoldTTL: holdTTL, Window: window, GatewayTimeout: gatewayTimeout,
		}.Run),
		"complete": edge(complete).Complete(complete.Run),
		"cancel":   edge(r.store).Cancel(cancel.Run),
		"GET":      edge(r.store).Query(booking.Query{Store: r.store, Gate: r.gate}),
	}
	r.admin = booking.Admin{Store: r.store, Gate: r.gate, Cancel: cancel}
}

// took is what has been asked of the servers since the last call of it, and how. What a cluster's client learns of the
// slots it learns once, and each minute.
func (r *Rig) took() (got Trips, trace string) {
	var commands []string
	for _, g := range r.Gates {
		commands = append(commands, slices.DeleteFunc(g.Commands(), func(name string) bool { return name == "CLUSTER" })...)
		g.Reset()
	}
	got = Trips{len(commands), r.Database.Trips(), int(r.calls.Swap(0))}
	trace = fmt.Sprint(commands, r.Database.Trace())
	r.Database.Reset()
	return got, trace
}

// request is what a buyer sends. Without a key it bears none.
type request struct {
	route, body string
	user, id    int64
	key         string
}

// send hands a request to its handler, as API Gateway does, and gives the booking that the answer is about. An answer
// with another status is an error.
func (r *Rig) send(ctx context.Context, q request, want int) (about int64, err error) {
	method, path, _ := strings.Cut(q.route, " ")
	headers := map[string]string{"content-type": "application/json"}
	if q.key != "" {
		headers["idempotency-key"] = q.key
	}
	event, err := json.Marshal(map[string]any{
		"version": "2.0", "routeKey": q.route, "rawPath": path, "headers": headers, "body": q.body,
		"pathParameters": map[string]string{"bookingId": fmt.Sprint(q.id), "productId": fmt.Sprint(q.id)},
		"requestContext": map[string]any{"requestId": "r", "authorizer": map[string]any{"jwt": map[string]any{"claims": map[string]string{"sub": fmt.Sprint(q.user)}}}},
	})
	if err != nil {
		return 0, err
	}
	name := path[strings.LastIndexByte(path, '/')+1:]
	if method == http.MethodGet {
		name = method
	}
	out, err := r.handlers[name].Invoke(ctx, event)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", q.route, err)
	}
	var answer struct {
		StatusCode int
		Body       string
	}
	var told struct{ BookingID int64 }
	if err := json.Unmarshal(out, &answer); err != nil {
		return 0, fmt.Errorf("%s: %s: %w", q.route, out, err)
	}
	if answer.StatusCode != want {
		return 0, fmt.Errorf("%s: %s, want %d", q.route, out, want)
	}
	err = json.Unmarshal([]byte(answer.Body), &told)
	return told.BookingID, err
}
