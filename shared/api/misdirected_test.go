package api

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shopspring/decimal"

	"stayhold/shared/booking"
)

// idle fails the test whenever an operator's action reaches it.
type idle struct {
	Operations
	t *testing.T
}

func (o idle) Audit(context.Context, int64) ([]booking.Breach, error) {
	o.t.Error("an audit was run")
	return nil, nil
}

func (o idle) GrantPoints(context.Context, int64, decimal.Decimal, string) (decimal.Decimal, error) {
	o.t.Error("points were granted")
	return decimal.Zero, nil
}

// samples are the events of one kind: those that have the member.
func samples(t *testing.T, member string) map[string]string {
	t.Helper()
	files, err := filepath.Glob("../../events/*.json")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var members map[string]json.RawMessage
		if err := json.Unmarshal(text, &members); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if members[member] != nil {
			found[filepath.Base(file)] = string(text)
		}
	}
	if len(found) == 0 {
		t.Fatalf("no sample event has %s", member)
	}
	return found
}

// TestOperatorsFunctionsTakeNoRequests hands each function without a route every request, as a route that was wired to it
// by mistake would, and what comes from a queue to those that read none.
func TestOperatorsFunctionsTakeNoRequests(t *testing.T) {
	b := newBench()
	admin := b.Admin(idle{t: t})
	compensate := b.Batch(0, parseTest, func(context.Context, booking.Message) error {
		t.Error("a message was handled")
		return nil
	})
	sweep := b.Sweep(func(context.Context) (booking.SweepReport, error) {
		t.Error("a sweep ran")
		return booking.SweepReport{}, nil
	}, nothingLeft)
	migrate := b.Migrate(func(context.Context) ([]string, int64, error) {
		t.Error("a migration ran")
		return nil, 0, nil
	})
	for name, event := range samples(t, "requestContext") {
		// Nothing that a caller writes is taken for an action or a batch.
		var members map[string]json.RawMessage
		if err := json.Unmarshal([]byte(event), &members); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		members["body"] = json.RawMessage(`"{\"action\":\"audit\",\"Records\":[]}"`)
		forged, err := json.Marshal(members)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, payload := range []string{event, string(forged)} {
			refused(t, admin, payload, "INVALID_REQUEST")
			refused(t, compensate, payload, "INVALID_REQUEST")
			refused(t, sweep, payload, "INVALID_REQUEST")
			refused(t, migrate, payload, "INVALID_REQUEST")
		}
	}
	for _, event := range samples(t, "Records") {
		refused(t, admin, event, "INVALID_REQUEST")
		refused(t, sweep, event, "INVALID_REQUEST")
		refused(t, migrate, event, "INVALID_REQUEST")
	}
}

// TestEventWithoutClaimsIsOur401 hands each function that has a route events that no authorizer has passed: its own
// without the claim, those of another kind of authorizer, and those of a queue and of the schedule.
func TestEventWithoutClaimsIsOur401(t *testing.T) {
	var got any
	handlers := every(newBench(), &got)
	wantRefusal := func(name, event string) {
		t.Helper()
		out, err := handlers[name].Invoke(context.Background(), []byte(event))
		var a response
		if err != nil || json.Unmarshal(out, &a) != nil || a.Status != 401 || !strings.Contains(a.Body, `"code":"UNAUTHENTICATED"`) ||
			a.Headers["Content-Type"] != "application/problem+json" {
			t.Errorf("%s of %.160s: %s %v", name, event, out, err)
		}
	}
	for file, event := range samples(t, "requestContext") {
		name, _, _ := strings.Cut(strings.TrimSuffix(file, ".json"), "-")
		if file != "query-health.json" {
			wantRefusal(name, strings.Replace(event, `"sub": "7"`, `"other": "7"`, 1))
		}
	}
	foreign := []string{`{}`, `{"requestContext":null}`, `{"requestContext":{"authorizer":{"jwt":null}}}`,
		`{"requestContext":{"authorizer":{"jwt":{"claims":null}}}}`, `{"requestContext":{"authorizer":{"lambda":{"sub":"7"}}}}`,
		`{"requestContext":{"authorizer":{"claims":{"sub":"7"}}}}`, `{"requestContext":{"authorizer":{"jwt":{"claims":{"SUB":"7"}}}}}`,
		`{"requestContext":{"authorizer":{"jwt":{"claims":{"username":"7","scope":"sub"}}}}}`, `{"headers":{"sub":"7","x-user-id":"7"}}`,
		`{"headers":{"sub":"7","x-user-id":"7"},"requestContext":{"authorizer":{"principalId":"7","jwt":{"claims":{}}}}}`}
	for _, kind := range []string{"Records", "source"} {
		for _, event := range samples(t, kind) {
			foreign = append(foreign, event)
		}
	}
	for _, event := range foreign {
		// QueryFunction goes by the route; without one there is nothing to be let into.
		wantRefusal("query", strings.Replace(strings.Replace(event, "{", `{"routeKey":"GET /points",`, 1), ",}", "}", 1))
		for _, name := range []string{"reserve", "register", "approve", "complete", "cancel"} {
			wantRefusal(name, event)
		}
	}
	for _, name := range []string{"reserve", "register", "approve", "complete", "cancel"} {
		for _, event := range []string{`null`, `1`, `[]`, ``, `{`, "\xff"} {
			wantRefusal(name, event)
		}
	}
	if got != nil {
		t.Errorf("a step ran: %+v", got)
	}
}
