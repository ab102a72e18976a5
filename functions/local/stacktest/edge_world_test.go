package stacktest

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"stayhold/functions/local/httpapi"
	"stayhold/functions/local/sandbox"
	"stayhold/functions/local/template"
	"stayhold/shared/hold/holdtest"
	"stayhold/shared/postgres"
	"stayhold/shared/postgres/migrations"
	"stayhold/shared/postgres/postgrestest"
)

// owner has booking 1, of product 1, and points; stranger has neither. Both are among the demo's users.
const (
	owner    = "7"
	stranger = "8"
)

// edges are the functions that answer HTTP, as they are deployed, one environment each, on a demo database and a gate that
// are watched on the wire; with the front's API before them for what a client can say.
type edges struct {
	host     *sandbox.Host
	bin      string // the executables, under a path of this world's own
	front    string // the API's URL
	token    func(t testing.TB, user int64) string
	database *postgrestest.Wire
	gate     *holdtest.Wire
	rows     *pgx.Conn // past the wire
	digest   string    // the statement that digests every table
	redis    string    // past the wire
	started  map[string]bool
}

// newEdges starts an environment of each function and sends none of them anything.
func newEdges(t *testing.T) *edges {
	t.Helper()
	url := postgrestest.Database(t, migrated)
	if err := postgrestest.SeedDemo(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	gate, err := holdtest.Start(t.Context(), holdtest.Config{Dir: t.TempDir()})
	if err != nil {
		skipWithoutServers(t, err.Error())
		t.Fatal(err)
	}
	t.Cleanup(gate.Stop)
	e := &edges{bin: filepath.Join(ownDir(t), "bin"), redis: gate.URL(), database: postgrestest.Proxy(t, url), gate: holdtest.Proxy(t, gate.URL()), started: map[string]bool{}}
	if e.rows, err = pgx.Connect(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.rows.Close(context.Background()) })
	if e.host, err = sandbox.Listen(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopWithinBusy)
		defer cancel()
		if err := e.host.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	e.open(t)
	e.settle(t)
	return e
}

func migrated(ctx context.Context, url string) error {
	_, err := migrations.Run(ctx, postgres.Options{URL: url})
	return err
}

// open adds the functions that the template routes to, and the API.
func (e *edges) open(t *testing.T) {
	t.Helper()
	// No request here gets as far as these two.
	nobody := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("gateway or queue was asked: %s %s", r.Method, r.URL)
	}))
	t.Cleanup(nobody.Close)
	tpl, err := template.Read(filepath.Join(root, "template.yaml"), template.Options{
		Parameters: map[string]string{"JwtIssuer": "https://issuer.example", "JwtAudience": "edges", "UserIdClaim": "sub"},
		QueueURL:   func(string) string { return nobody.URL },
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range tpl.Functions {
		if !slices.ContainsFunc(tpl.Routes, func(r template.Route) bool { return r.Function == f.Name }) {
			continue
		}
		pool := e.host.Add(sandbox.Function{
			Name: f.Name, Executable: filepath.Join(e.bin, f.Name, "bootstrap"), Handler: f.Handler,
			Timeout: f.Timeout, Memory: f.Memory, Output: t.Output(), Variables: []string{
				"DATABASE_URL=" + e.database.URL(), "REDIS_URL=" + e.gate.URL(), "PAYMENT_GATEWAY_URL=" + nobody.URL,
				"PAYMENT_GATEWAY_SECRET=none", "COMPENSATION_QUEUE_URL=" + nobody.URL, "AWS_ENDPOINT_URL_SQS=" + nobody.URL,
			},
		}, 1)
		if err := pool.Prepare(t.Context()); err != nil {
			t.Fatal(err)
		}
		e.started[f.Name] = false
	}
	authorizer, err := httpapi.NewAuthorizer(filepath.Join(t.TempDir(), "key.pem"), tpl.Authority.Issuer, tpl.Authority.Audiences)
	if err != nil {
		t.Fatal(err)
	}
	e.token = func(t testing.TB, user int64) string {
		t.Helper()
		token, err := authorizer.Issue(user, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	front := httptest.NewServer(httpapi.New(httpapi.Config{
		Routes: tpl.Routes, Cors: tpl.Cors, Authorizer: authorizer,
		Invoker: func(function string) httpapi.Invoker { return e.host.Pool(function) },
	}))
	t.Cleanup(front.Close)
	e.front = front.URL
}

// The functions that open connections before their first request, in the background.
const (
	eagerAtDatabase = 2 // approve, complete
	eagerAtGate     = 3 // those and reserve
)

// settle waits until the functions have opened what they open in their init, and begins to count from there.
func (e *edges) settle(t *testing.T) {
	t.Helper()
	eventually(t, 20*time.Second, "the connections of the functions' init", func() error {
		d, g := e.database.Connections(), e.gate.Connections()
		if d < eagerAtDatabase || g < eagerAtGate {
			return fmt.Errorf("%d to the database, %d to the gate", d, g)
		}
		return nil
	})
	// A connection is there when it has said what it opens with: a trip of pgx's or go-redis's own would show in the first case.
	if d, g := e.database.Connections(), e.gate.Connections(); d != eagerAtDatabase || g != eagerAtGate {
		t.Fatalf("the functions' init made %d connections to the database and %d to the gate", d, g)
	}
	e.reset()
}

func (e *edges) reset() {
	e.database.Reset()
	e.gate.Reset()
}

// invoke runs a function on a payload, which need not be an event, and not even JSON.
func (e *edges) invoke(t testing.TB, function string, payload []byte) answer {
	t.Helper()
	a := answer{what: function + " " + short(string(payload))}
	r, err := e.host.Pool(function).Invoke(t.Context(), payload)
	if err != nil {
		t.Fatal(err)
	}
	if r.Failed {
		t.Fatalf("%s failed: %s %s", a.what, r.Payload, r.Detail)
	}
	if r.Cold && e.started[function] {
		t.Errorf("%s runs in a new environment: the one before has died", a.what)
	}
	e.started[function] = true
	p := proxyAnswer(t, answer{body: r.Payload})
	a.status, a.body, a.header, a.took = p.StatusCode, []byte(p.Body), http.Header{}, r.Took
	for name, value := range p.Headers {
		a.header.Set(name, value)
	}
	return a
}

// state is a digest of every table and of every key of the gate, by name.
func (e *edges) state(t testing.TB) map[string]string {
	t.Helper()
	if e.digest == "" {
		err := e.rows.QueryRow(t.Context(), `SELECT string_agg(format(
			'SELECT %L, count(*) || '' '' || coalesce(sum(hashtextextended(r::text, 0)), 0) FROM %I.%I r', table_name, table_schema, table_name), ' UNION ALL ')
			FROM information_schema.tables WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema')`).Scan(&e.digest)
		if err != nil {
			t.Fatal(err)
		}
	}
	rows, err := e.rows.Query(t.Context(), e.digest)
	if err != nil {
		t.Fatal(err)
	}
	state := map[string]string{}
	var table, sum string
	if _, err := pgx.ForEachRow(rows, []any{&table, &sum}, func() error { state["table "+table] = sum; return nil }); err != nil {
		t.Fatal(err)
	}
	if len(state) < 10 {
		t.Fatalf("digests of only %d tables", len(state))
	}
	keys, err := holdtest.Dump(t.Context(), e.redis)
	if err != nil {
		t.Fatal(err)
	}
	for key, value := range keys {
		state["key "+key] = value
	}
	return state
}

// changed names what differs between two states.
func changed(before, after map[string]string) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(after)) {
		if was, ok := before[name]; !ok || was != after[name] {
			names = append(names, name)
		}
	}
	for name := range before {
		if _, ok := after[name]; !ok {
			names = append(names, name+" is gone")
		}
	}
	return names
}

// told is an answer on one line, as the tables have it: the status; the code of a problem, or the message of API Gateway;
// what is wrong where, the reason only where it is another than the code; and in brackets who was asked for it.
func (e *edges) told(t testing.TB, a answer) string {
	t.Helper()
	var body struct {
		Code, Message string
		Errors        []struct{ Pointer, Code string }
	}
	if err := json.Unmarshal(a.body, &body); err != nil {
		t.Fatalf("%v: %v", err, a)
	}
	words := []string{fmt.Sprint(a.status)}
	if body.Code != "" {
		words = append(words, body.Code)
	}
	if body.Message != "" {
		words = append(words, fmt.Sprintf("%q", body.Message))
	}
	for _, one := range body.Errors {
		words = append(words, short(one.Pointer))
		if one.Code != body.Code {
			words = append(words, one.Code)
		}
	}
	if e.gate.Trips() > 0 {
		words = append(words, "(gate)")
	}
	if e.database.Trips() > 0 {
		words = append(words, "(database)")
	}
	return strings.Join(words, " ")
}
