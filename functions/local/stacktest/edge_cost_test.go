package stacktest

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"stayhold/functions/local/harness"
)

// cpu is the processor time that the function's one environment has used so far, in steps of 10 ms.
func (e *edges) cpu(t *testing.T, function string) time.Duration {
	t.Helper()
	all, err := harness.Processes()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		if p.PID == os.Getpid() && p.CPU == 0 && os.Getenv("CI") == "" {
			t.Skip("this system does not tell the processor time of a process")
		}
	}
	for _, p := range all {
		if p.Function() == function && strings.HasPrefix(p.Args, e.bin) {
			return p.CPU
		}
	}
	t.Fatalf("%s does not run", function)
	return 0
}

// spent is the function's processor time for so many calls.
func (e *edges) spent(t *testing.T, ask asked, want string, calls int) time.Duration {
	t.Helper()
	before := e.cpu(t, ask.function)
	for range calls {
		if a := e.invoke(t, ask.function, ask.payload); e.told(t, a) != want {
			t.Fatalf("want %s, got %v", want, a)
		}
		e.reset()
	}
	return e.cpu(t, ask.function) - before
}

// What a refusal costs, in the functions' own processor time. The test runs alone in its package: a neighbour on the same core
// and in the same caches doubles what a call costs.
func TestWhatARefusalCosts(t *testing.T) {
	e := newEdges(t)
	var accepted time.Duration
	t.Run("beside what is accepted", func(t *testing.T) { accepted = e.besideAccepted(t) })
	t.Run("of a hostile body", func(t *testing.T) { e.ofHostileBodies(t, accepted) })
}

// besideAccepted: a refusal costs less than one and a half times what the cheapest accepted request costs: GET /points, with one
// trip to the database and one line of answer; what the database spends on that comes on top. Each request has a process of its
// own, and they take turns. It returns what the accepted one costs.
func (e *edges) besideAccepted(t *testing.T) time.Duration {
	requests := []edge{
		{"accepted", event(points, ""), served},
		{"no JSON", event(reserving, soldOut+"]"), badJSON},
		{"amounts that are none", event(registering, payments(pay("CARD", "1e309")+","+pay("POINT", "-0"))), "400 INVALID_AMOUNT /payments/0/amount /payments/1/amount"},
		{"a paymentKey that is none", event(approving, paymentKey("a b")), wrongKey},
		{"a key that is none", event(completing, "", with("headers.idempotency-key", "a,b")), badKey},
		{"nobody", event(cancelling, "", claim(7)), badSubject},
	}
	const rounds, calls = 10, 60
	spent := make([]time.Duration, len(requests))
	for round := range rounds + 1 {
		for i, r := range requests {
			d := e.spent(t, r.ask, r.want, calls)
			if round > 0 { // the first warms up
				spent[i] += d
			}
		}
	}
	for i, r := range requests[1:] {
		ratio := float64(spent[i+1]) / float64(spent[0])
		t.Logf("%-26s %.2f of the cheapest accepted one (%v and %v a call)", r.name, ratio, spent[i+1]/(rounds*calls), spent[0]/(rounds*calls))
		if ratio > 1.5 {
			t.Errorf("%s costs %.2f of the cheapest accepted request", r.name, ratio)
		}
	}
	return spent[0] / (rounds * calls)
}

// filled is a body of 16 KiB: as many units between head and tail as there is room for.
func filled(head, unit, tail string) string {
	return head + strings.Repeat(unit, (16<<10-len(head)-len(tail))/len(unit)) + tail
}

// hostile are bodies of 16 KiB that cost the most, each in its way.
func hostile() map[string]string {
	names := repeated("", 1900)
	long := strings.Repeat("~", 8<<10)
	return map[string]string{
		"depth":                           nest(8 << 10),
		"arrays at the last depth":        filled(strings.Repeat("[", 7), "[],", "[]"+strings.Repeat("]", 7)),
		"members":                         "{" + names + "}",
		"a member twice, at the end":      "{" + names + `,"0":0}`,
		"a number":                        filled(`{"productId":`, "9", "}"),
		"an exponent":                     filled(`{"productId":1e`, "9", "}"),
		"numbers":                         filled("[", "0,", "0]"),
		"strings":                         filled("[", `"",`, `""]`),
		"strings of escapes":              filled("[", `"\n",`, `""]`),
		"objects":                         filled(`{"payments":[`, "{},", "{}]}"),
		"objects in objects":              filled(`[`, `{"a":{"b":{}}},`, "0]"),
		"numbers under a long name":       filled(`{"`+long+`":[`, "0,", "0]}"),
		"members under a long name":       filled(`{"`+long+`":[`, `{"a":0},`, "0]}"),
		"escapes in a name":               filled(`{"`, `\u0061`, `":1}`),
		"control characters in a name":    filled(`{"`, `\u0000`, `":1}`),
		"half pairs, the last one broken": filled(`{"`, `\ud83d\ude00`, `\ud800":1}`),
		"blanks":                          filled("{", " ", "}"),
		"a string without an end":         filled(`"`, `\"`, ``),
	}
}

// ofHostileBodies: a body of 16 KiB, however it is made, is refused within 5 ms of processor time, on a machine that needs half
// a millisecond for the cheapest accepted request; a slower one is given as much more, up to twice that. One batch of calls that
// stays within it will do: what else the machine does, with the caches too, can only add to one.
func (e *edges) ofHostileBodies(t *testing.T, accepted time.Duration) {
	const batches, calls = 10, 20
	limit := min(max(5*time.Millisecond, 10*accepted), 10*time.Millisecond)
	bodies := hostile()
	for _, name := range slices.Sorted(maps.Keys(bodies)) {
		if n := len(bodies[name]); n > 16<<10 || n < 15<<10 {
			t.Fatalf("%s: %d bytes", name, n)
		}
		for _, route := range []string{reserving, registering} {
			ask := event(route, bodies[name])
			first := e.invoke(t, ask.function, ask.payload)
			clean(t, first)
			if first.status != 400 {
				t.Errorf("%s: %v", name, first)
			}
			best := time.Hour
			for n := 0; n < batches && best > limit; n++ {
				best = min(best, e.spent(t, ask, e.told(t, first), calls)/calls)
			}
			t.Logf("%-32s %-8v %s", name, best, fmt.Sprintf("%.60s", e.told(t, first)))
			if best > limit {
				t.Errorf("%s to %s costs %v", name, route, best)
			}
		}
	}
}
