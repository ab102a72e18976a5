package booking_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"stayhold/shared/api"
	"stayhold/shared/booking"
	"stayhold/shared/hold/holdtest"
	"stayhold/shared/postgres"
	"stayhold/shared/postgres/postgrestest"
)

// trips are round trips: commands to the gate, answers of the database that are waited for.
type trips struct{ gate, database int }

// budgets is what each path may take, and does: on open connections that know statement and script, without an
// Idempotency-Key. Cancel and the lists have none of their own; here is what they take.
var budgets = map[string]trips{
	"reserve": {1, 1}, "reserve again": {1, 1}, "reserve, sold out": {1, 0}, "reserve, not open": {1, 0}, "reserve after purchase": {1, 0},
	"register": {0, 1}, "pg-approve": {1, 2}, "complete": {1, 1}, "complete, hold lapsed": {2, 2},
	"get booking": {0, 1}, "get product": {1, 1}, "checkout": {1, 1}, "points": {0, 1}, "bookings": {0, 1}, "cancel": {1, 2},
}

// withKey is what an Idempotency-Key adds to a path: it is looked up first, but where the gate has said no without asking
// the database, which it then has to.
const withKey = 1

// rig is the edge's handlers on one world, behind proxies that count.
type rig struct {
	*world
	handlers map[string]lambda.Handler
	database *postgrestest.Wire
	gates    []*holdtest.Wire
	keys     int
}

// modes are the ways in which servers are deployed.
var modes = map[string]func(t *testing.T) *rig{
	"direct": func(t *testing.T) *rig {
		w := newWorld(t)
		return newRig(w, w.databaseURL, false, []*holdtest.Wire{holdtest.Proxy(t, w.redisURL)})
	},
	"pooler": func(t *testing.T) *rig {
		w := newWorld(t)
		pooler, err := postgrestest.StartPooler(t.Context(), postgrestest.PoolerConfig{Dir: filepath.Join(t.TempDir(), "pooler"), DatabaseURL: w.databaseURL, Size: 2})
		if errors.Is(err, postgrestest.ErrPoolerMissing) && os.Getenv("CI") == "" {
			t.Skip(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(pooler.Stop)
		return newRig(w, pooler.URL(), true, []*holdtest.Wire{holdtest.Proxy(t, w.redisURL)})
	},
	"cluster": func(t *testing.T) *rig {
		w := newWorld(t)
		return newRig(w, w.databaseURL, false, holdtest.Cluster(t).Proxies(t))
	},
}

func newRig(w *world, database string, pooler bool, gates []*holdtest.Wire) *rig {
	w.t.Helper()
	r := &rig{world: w, database: postgrestest.Proxy(w.t, database), gates: gates}
	store, err := postgres.Open(postgres.Options{URL: postgrestest.Functions(r.database.URL()), Pooler: pooler})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(store.Close)
	var urls []string
	for _, g := range gates {
		urls = append(urls, g.URL())
	}
	w.store, w.gate = store, w.openGate(strings.Join(urls, ","), w.prefix)
	w.plain()
	edge := api.New(api.Options{Recaller: store, Log: io.Discard, Metrics: io.Discard})
	r.handlers = map[string]lambda.Handler{
		"reserve": edge.Reserve(w.reserveStep().Run), "register": edge.Register(booking.Register{Store: store}.Run),
		"pg-approve": edge.Approve(w.approveStep().Run), "complete": edge.Complete(w.completeStep().Run),
		"cancel": edge.Cancel(w.cancelStep().Run), "GET": edge.Query(w.query()),
	}
	return r
}

// took is what has been asked of the servers since the last call of it. What a cluster's client learns of the slots it
// learns once, and each minute.
func (r *rig) took() (got trips, trace string) {
	var commands []string
	for _, g := range r.gates {
		commands = append(commands, slices.DeleteFunc(g.Commands(), func(name string) bool { return name == "CLUSTER" })...)
		g.Reset()
	}
	got, trace = trips{len(commands), r.database.Trips()}, fmt.Sprint(commands, r.database.Trace())
	r.database.Reset()
	return got, trace
}

// ask sends a request as API Gateway does, and gives the booking that it is about.
func (r *rig) ask(route string, user, id int64, body string, keyed bool, want int) (about int64) {
	r.t.Helper()
	method, path, _ := strings.Cut(route, " ")
	headers := map[string]string{"content-type": "application/json"}
	if keyed && method == "POST" {
		r.keys++
		headers["idempotency-key"] = fmt.Sprintf("key-%d", r.keys)
	}
	event, err := json.Marshal(map[string]any{
		"version": "2.0", "routeKey": route, "rawPath": path, "headers": headers, "body": body,
		"pathParameters": map[string]string{"bookingId": fmt.Sprint(id), "productId": fmt.Sprint(id)},
		"requestContext": map[string]any{"requestId": "r", "authorizer": map[string]any{"jwt": map[string]any{"claims": map[string]string{"sub": fmt.Sprint(user)}}}},
	})
	if err != nil {
		r.t.Fatal(err)
	}
	name := path[strings.LastIndexByte(path, '/')+1:]
	if method == "GET" {
		name = method
	}
	out, err := r.handlers[name].Invoke(r.t.Context(), event)
	var answer struct {
		StatusCode int
		Body       string
	}
	if err != nil || json.Unmarshal(out, &answer) != nil || answer.StatusCode != want {
		r.t.Fatalf("%s: %s %v, want %d", route, out, err, want)
	}
	var told struct{ BookingID int64 }
	if err := json.Unmarshal([]byte(answer.Body), &told); err != nil {
		r.t.Fatal(err)
	}
	return told.BookingID
}

// flow goes through every path once. After each, check hears what it was.
func (r *rig) flow(user int64, p products, keyed bool, check func(path string)) {
	r.t.Helper()
	reserve := func(product int64, want int) int64 {
		return r.ask("POST /bookings/reserve", user, 0, fmt.Sprintf(`{"productId":%d}`, product), keyed, want)
	}
	step := func(route, name string, id int64, body string, want int) {
		r.ask(route, user, id, body, keyed, want)
		check(name)
	}
	const (
		set = `{"payments":[{"method":"POINT","amount":"3000"},{"method":"CARD","amount":"97000"}]}`
		one = "POST /bookings/{bookingId}"
	)
	id := reserve(p.sold, 201)
	check("reserve")
	reserve(p.sold, 409)
	check("reserve again")
	reserve(p.gone, 409)
	check("reserve, sold out")
	reserve(p.later, 409)
	check("reserve, not open")
	step(one+"/payments/register", "register", id, set, 201)
	step(one+"/payments/pg-approve", "pg-approve", id, fmt.Sprintf(`{"paymentKey":"ok-%d"}`, id), 200)
	step(one+"/complete", "complete", id, "", 200)
	reserve(p.sold, 409)
	check("reserve after purchase")
	step("GET /bookings/{bookingId}", "get booking", id, "", 200)
	step("GET /products/{productId}", "get product", p.sold, "", 200)
	step("GET /checkout/{productId}", "checkout", p.sold, "", 200)
	step("GET /points", "points", 0, "", 200)
	step("GET /bookings", "bookings", 0, "", 200)
	step(one+"/cancel", "cancel", id, "", 200)

	id = reserve(p.lapsing, 201)
	r.ask(one+"/payments/register", user, id, set, keyed, 201)
	r.ask(one+"/payments/pg-approve", user, id, fmt.Sprintf(`{"paymentKey":"ok-%d"}`, id), keyed, 200)
	r.stage.lapse(r.read(booking.Booking{UserID: user, ID: id}))
	r.took()
	step(one+"/complete", "complete, hold lapsed", id, "", 200)
}

// products are what a flow needs.
type products struct{ sold, gone, later, lapsing int64 }

// opensLater is a product whose sale has not begun.
func (r *rig) opensLater() int64 {
	r.t.Helper()
	now, stock := time.Now(), int64(1)
	id, err := r.admin().PutProduct(r.t.Context(), booking.ProductDraft{
		Name: "Sea view", Price: amount("100000"), Stock: &stock, Status: "ACTIVE",
		SaleStartAt: now.Add(time.Hour), CheckInAt: now.Add(240 * time.Hour), CheckOutAt: now.Add(264 * time.Hour),
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return id
}

// TestRoundTrips holds each path against its budget on the wire, from event to answer, in each of the three modes, with
// a key and without, and as the first of its kind on new connections.
func TestRoundTrips(t *testing.T) {
	for name, open := range modes {
		t.Run(name, func(t *testing.T) {
			r := open(t)
			for user := int64(1); user <= 9; user++ {
				r.grant(user, "50000")
			}
			p := products{sold: r.product(100), gone: r.product(1), later: r.opensLater(), lapsing: r.product(100)}
			r.ask("POST /bookings/reserve", 99, 0, fmt.Sprintf(`{"productId":%d}`, p.gone), false, 201)
			r.took()
			// Cold: each statement is prepared once, each script sent once. The first reserve of a product warms its gate, which
			// is a look at the gate, a read of the database, the seeding, and the same reserve again: four commands of three
			// scripts.
			cold := map[string]trips{}
			r.flow(1, p, false, func(path string) { cold[path], _ = r.took() })
			for path, want := range budgets {
				if got := cold[path]; got.gate > want.gate+3+3 || got.database > 2*(want.database+1) {
					t.Errorf("%s, for the first time: %+v, in the end %+v", path, got, want)
				}
			}
			r.flow(2, p, true, func(string) {})
			for _, keyed := range []bool{false, true} {
				user, seen := int64(3), 0
				if keyed {
					user++
				}
				r.took()
				r.flow(user, p, keyed, func(path string) {
					seen++
					got, trace := r.took()
					want := budgets[path]
					if most := want.database + withKey; got.gate != want.gate || got.database != want.database && (!keyed || got.database != most) {
						t.Errorf("%s, with a key %v: %+v, its budget is %+v\n%s", path, keyed, got, want, trace)
					}
				})
				if seen != len(budgets) {
					t.Errorf("%d paths were counted, of %d", seen, len(budgets))
				}
			}
		})
	}
}
