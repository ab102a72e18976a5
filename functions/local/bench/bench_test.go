package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"stayhold/functions/local/harness"
	"stayhold/shared/hold/holdtest"
	"stayhold/shared/postgres/postgrestest"
)

func TestQuantilesGoByTheNearestRank(t *testing.T) {
	var s sample
	for i := range 200 {
		s.latencies = append(s.latencies, time.Duration(i+1)*time.Millisecond)
	}
	s.took = 4 * time.Second
	if p50(s) != 100 || p99(s) != 198 || s.millis(1) != 200 || s.perSecond() != 50 || s.each(time.Second) != 5 {
		t.Errorf("p50 %v, p99 %v, max %v, %v/s, each %v", p50(s), p99(s), s.millis(1), s.perSecond(), s.each(time.Second))
	}
	if none := (sample{}); p99(none) != 0 || none.perSecond() != 0 || none.each(time.Second) != 0 {
		t.Error("an empty sample has numbers")
	}
}

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   spread
	}{
		{nil, spread{}},
		{[]float64{3, 1, 2}, spread{2, 1, 3}},
		{[]float64{4, 1, 2, 3}, spread{2.5, 1, 4}},
	} {
		if got := spreadOf(c.values); got != c.want {
			t.Errorf("%v: %+v, want %+v", c.values, got, c.want)
		}
	}
}

func TestRatiosComeFromRoundsPlayedTogether(t *testing.T) {
	of := func(millis ...time.Duration) (all []sample) {
		for _, m := range millis {
			all = append(all, sample{latencies: []time.Duration{m * time.Millisecond}})
		}
		return all
	}
	r := result{handler: of(10, 40, 30), floor: of(10, 20, 10)}
	if got := r.ratio(p50); got != (spread{2, 1, 3}) {
		t.Errorf("%+v", got)
	}
}

func TestVerdict(t *testing.T) {
	var r report
	r.goal("a", "just met", spread{0.899, 0.8, 1}, atLeast, 0.90)
	r.goal("b", "missed", spread{1.11, 1, 2}, atMost, 1.10)
	r.ratio("c", "without a goal", spread{9, 9, 9})
	r.figures("d", "absolute", figures{PerSecond: 12, CPUMillis: map[string]float64{"front": 3}})
	if err := r.verdict(); err == nil || err.Error() != "goals missed: b" {
		t.Errorf("%v", err)
	}
	r.ratio("f", "small", spread{0.00123, 0.0005, 1})
	r.amount("e", "memory", "MiB", spread{33, 30, 33}).judged(atMost, 32)
	if err := r.verdict(); err == nil || err.Error() != "goals missed: b, e" {
		t.Errorf("memory: %v", err)
	}

	var table strings.Builder
	if err := r.print(&table); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"0.90", "MISSED", "0.0012", "0.0005 … 1.00", "33.00 MiB", "cpu ms: front 3.00"} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("no %q in the table:\n%s", want, table.String())
		}
	}

	path := filepath.Join(t.TempDir(), "bench.json")
	if err := r.write(path); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got []map[string]any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	b, c := got[1], got[2]
	if len(got) != 6 || b["id"] != "b" || b["ratio"] != 1.11 || b["min"] != 1.0 || b["max"] != 2.0 || b["goal"] != 1.1 ||
		b["op"] != "<=" || b["met"] != false || c["goal"] != nil || c["met"] != nil {
		t.Errorf("%s", text)
	}
}

func TestAQuickRunJudgesNothing(t *testing.T) {
	var r report
	r.goal("a", "missed", spread{1.11, 1, 2}, atMost, 1.10)
	r.amount("b", "missed too", "s", spread{3, 3, 3}).aims(atMost, 2)
	r.amount("c", "without a goal", "s", spread{3, 3, 3}).aims(atMost, 0)
	r.amount("d", "memory", "MiB", spread{33, 30, 33}).judged(atMost, 32)
	if err := r.verdict(); err == nil || err.Error() != "goals missed: a, b, d" {
		t.Errorf("judged: %v", err)
	}
	r.unjudged()
	if err := r.verdict(); err != nil {
		t.Errorf("not judged: %v", err)
	}
}

func TestDuelsWithCountedCalls(t *testing.T) {
	var made [2]atomic.Int64
	counting := func(i int) func(context.Context) (call, error) {
		return func(context.Context) (call, error) {
			return func(context.Context) error { made[i].Add(1); return nil }, nil
		}
	}
	d := duel{
		workers: 2, rounds: 3, calls: 5,
		handler: leg{name: "few", open: counting(0)}, floor: leg{name: "many", open: counting(1), workers: 4},
	}
	r, err := d.fight(t.Context(), func(string, ...any) {})
	if err != nil {
		t.Fatal(err)
	}
	if few, many := made[0].Load(), made[1].Load(); few != 2*(warmCalls+15) || many != 4*(warmCalls+15) || int(few+many) != d.needs() {
		t.Errorf("%d and %d calls, %d were foreseen", few, many, d.needs())
	}
	for _, s := range r.floor {
		if len(s.latencies) != 20 {
			t.Errorf("%d calls in a round", len(s.latencies))
		}
	}
}

func TestEventsAreForAnybody(t *testing.T) {
	for file, want := range map[string][]string{
		"reserve.json":  {`"sub":"7"`, `"body":"{\"productId\":9}"`},
		"complete.json": {`"sub":"7"`, `"rawPath":"/bookings/9/complete"`, `"path":"/bookings/9/complete"`, `"bookingId":"9"`},
	} {
		e, err := readEvent(filepath.Join("../../../events", file))
		if err != nil {
			t.Fatal(err)
		}
		text := string(e.of(7, 9))
		for _, part := range want {
			if !strings.Contains(text, part) {
				t.Errorf("%s: no %s in %s", file, part, text)
			}
		}
		if !json.Valid([]byte(text)) || strings.Contains(text, "idempotency-key") {
			t.Errorf("%s: %s", file, text)
		}
	}
}

func TestPlayEndsWithTheFirstError(t *testing.T) {
	failure := errors.New("it broke")
	var calls atomic.Int64
	endless := func(ctx context.Context) error {
		if _, bounded := ctx.Deadline(); !bounded {
			return errors.New("a call without a deadline")
		}
		if calls.Add(1) == 100 {
			return failure
		}
		return nil
	}
	s, err := play(t.Context(), []call{endless, endless}, func(time.Duration, int) bool { return true })
	if !errors.Is(err, failure) || len(s.latencies) < 99 {
		t.Errorf("%v after %d calls", err, len(s.latencies))
	}
	ctx, cancel := context.WithCancel(t.Context())
	stopped := func(context.Context) error { cancel(); return nil }
	if _, err := play(ctx, []call{stopped}, func(time.Duration, int) bool { return true }); !errors.Is(err, context.Canceled) {
		t.Errorf("a run that is stopped: %v", err)
	}
}

func TestParts(t *testing.T) {
	of := func(pid, parent int, args string) harness.Process {
		return harness.Process{PID: pid, Parent: parent, Args: args}
	}
	got := parts(1, 2, []harness.Process{
		of(5, 3, "postgres: x"), of(3, 1, "postgres -D x"), of(9, 2, "/srv/bin/ReserveFunction/bootstrap "), of(2, 1, ""), of(4, 1, "redis-server *:1"),
		of(7, 0, ""), of(8, 1, "/tmp/simulator/bootstrap dir"), of(1, 0, "bench"),
	})
	if len(got["postgres"]) != 2 || len(got["functions"]) != 1 || len(got["redis"]) != 1 || len(got["front"]) != 1 || len(got["simulator"]) != 1 {
		t.Errorf("%+v", got)
	}
	if c := readClocks(); c.own <= 0 {
		t.Errorf("%+v", c)
	}
}

func TestWhatCannotBeRun(t *testing.T) {
	for name, c := range map[string]config{
		"nothing is called": {only: "reserve,lunch", rounds: leastRounds},
		"-rounds 1":         {rounds: 1},
		"make build":        {only: "flow", rounds: leastRounds, root: t.TempDir(), dir: t.TempDir()},
		"template.yaml":     {only: "reserve", rounds: leastRounds, root: t.TempDir(), dir: t.TempDir()},
	} {
		c.out = io.Discard
		if err := run(t.Context(), c); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestADiskThatIsTooSmall(t *testing.T) {
	var out strings.Builder
	b := &bench{config: config{out: &out}, work: t.TempDir()}
	if err := b.room(math.MaxUint64); err == nil || !strings.Contains(err.Error(), b.work) || out.Len() > 0 {
		t.Errorf("%v, said: %s", err, out.String())
	}
	if err := b.room(1); err != nil || !strings.Contains(out.String(), "GB are free") {
		t.Errorf("%v, said: %s", err, out.String())
	}
}

// A twentieth of the bookings, within the same bounds, and a hundredth of the backlog, whoever waits beside it.
func TestAuditAndBacklogGroups(t *testing.T) {
	for name, group := range map[string]func(context.Context, *bench) error{"audit": auditGroup, "backlog": backlogGroup} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			b := &bench{config: config{root: "../../..", quick: true, out: &out}, work: t.TempDir()}
			err := group(t.Context(), b)
			skipWithoutServers(t, err)
			if err := errors.Join(err, b.report.verdict()); err != nil {
				t.Error(err)
			}
			t.Log(out.String())
		})
	}
}

// Handlers and floors do what they are expected to do on real servers; how fast is no matter here.
func TestReserveGroup(t *testing.T) {
	told := measuredQuickly(t, t.TempDir(), reserveGroup)
	for _, id := range []string{"1a", "1b", "1c", "1d-own", "2", "2b", "2c"} {
		if m, ok := told[id]; !ok || m.Ratio == nil || *m.Ratio <= 0 {
			t.Errorf("%s: %+v", id, m)
		}
	}
	for _, id := range []string{"reserve-handler", "reserve-floor", "sold-out-handler", "sold-out-floor"} {
		if m, ok := told[id]; !ok || m.Figures.PerSecond <= 0 || m.Figures.P99Millis < m.Figures.P50Millis {
			t.Errorf("%s: %+v", id, m)
		}
	}
}

// skipWithoutServers skips, for a person, where a server is not installed; in CI that is a failure like any other.
func skipWithoutServers(t *testing.T, err error) {
	t.Helper()
	missing := errors.Is(err, postgrestest.ErrMissing) || errors.Is(err, holdtest.ErrMissing) || errors.Is(err, postgrestest.ErrPoolerMissing)
	if missing && os.Getenv("CI") == "" {
		t.Skip(err)
	}
}
