package main

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// While the only worker stands still, calls fall due all the same, and what they wait is part of their time.
func TestCallsAreTimedFromWhereTheyWereDue(t *testing.T) {
	const stall, length = 200 * time.Millisecond, 50 * time.Millisecond
	stood := false
	work := func(context.Context) error {
		if !stood {
			stood = true
			time.Sleep(stall)
		}
		return nil
	}
	calls, err := abreast(t.Context(), length, nothing, stream{time.Millisecond, []worker{{call: work}}})
	if err != nil || len(calls[0]) != int(length/time.Millisecond) {
		t.Fatalf("%d calls, %v", len(calls[0]), err)
	}
	for i, c := range calls[0] {
		if c.due != time.Duration(i)*time.Millisecond || c.ended < stall || c.began > c.ended || i > 0 && c.began < stall {
			t.Errorf("call %d: %+v", i, c)
		}
	}
	if s := sampleOf(calls[0], length); s.latencies[0] < stall-length || s.perSecond() != 1000 {
		t.Errorf("the quickest took %v, %v a second", s.latencies[0], s.perSecond())
	}
}

func nothing(context.Context) error { return nil }

// The first error ends all streams and what happens beside them, and is the one that is told.
func TestStreamsEndTogether(t *testing.T) {
	broken := errors.New("broken")
	var made atomic.Int64
	fails := func(context.Context) error {
		if made.Add(1) == 3 {
			return broken
		}
		return nil
	}
	untilItEnds := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	endless := stream{time.Millisecond, []worker{{call: nothing}}}
	if _, err := abreast(t.Context(), time.Minute, untilItEnds, endless, stream{time.Millisecond, []worker{{call: fails}}}); !errors.Is(err, broken) {
		t.Errorf("a call that fails: %v", err)
	}
	if _, err := abreast(t.Context(), time.Minute, func(context.Context) error { return broken }, endless); !errors.Is(err, broken) {
		t.Errorf("what happens fails: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	stops := func(context.Context) error { cancel(); return nil }
	if _, err := abreast(ctx, time.Minute, stops, endless); !errors.Is(err, context.Canceled) {
		t.Errorf("a run that is stopped: %v", err)
	}
}

func TestWhatStandsStillByItself(t *testing.T) {
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	of := func(due, began, ended, kept int) timed { return timed{ms(due), ms(began), ms(ended), ms(kept)} }
	for name, c := range map[string]struct {
		calls, probes []timed
		want          time.Duration
	}{
		"alone":                              {[]timed{of(0, 0, 20, 0), of(100, 100, 180, 0)}, nil, ms(80)},
		"its wait for a worker is another's": {[]timed{of(0, 90, 100, 0)}, nil, ms(10)},
		"probes go on":                       {[]timed{of(100, 100, 180, 0)}, []timed{of(100, 100, 109, 0), of(110, 110, 119, 0)}, ms(80)},
		"a probe stands still beside it":     {[]timed{of(100, 100, 180, 0)}, []timed{of(90, 110, 175, 0)}, ms(25)},
		"one that stands still elsewhere":    {[]timed{of(100, 100, 180, 0)}, []timed{of(0, 0, 90, 0), of(190, 190, 300, 0)}, ms(80)},
		"two at the same moments":            {[]timed{of(100, 100, 180, 0)}, []timed{of(120, 120, 175, 0), of(90, 90, 150, 0), of(95, 95, 110, 0)}, ms(5)},
		"its servers are kept waiting":       {[]timed{of(100, 100, 180, 60)}, nil, ms(20)},
		"both, which may be one":             {[]timed{of(100, 100, 180, 60)}, []timed{of(90, 110, 175, 0)}, ms(20)},
		"nothing is left":                    {[]timed{of(100, 100, 180, 90)}, nil, 0},
	} {
		if got := stoodStill(c.calls, slices.Clone(c.probes)); got != c.want {
			t.Errorf("%s: %v, not %v", name, got, c.want)
		}
	}
}

// The system tells of each process how long it was ready to run and was not let.
func TestServersAreKeptFromAProcessor(t *testing.T) {
	path := t.TempDir() + "/schedstat"
	if err := os.WriteFile(path, []byte("1270071 325397 2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	s := servers{f}
	defer s.close()
	for range 2 { // from its beginning each time
		if got := s.kept(); got != 325397 {
			t.Errorf("%v", got)
		}
	}
	if none := serversOf(1 << 30); none != nil || none.kept() != 0 {
		t.Errorf("of a process that is not there: %v", none)
	}
}

// The table and the page show the tail by what disturbs it, and stalls are judged by what they are more than calm's.
func TestTailIsTold(t *testing.T) {
	var r report
	ms := func(values ...int) (s []sample) {
		for _, v := range values {
			s = append(s, sample{took: time.Second, latencies: []time.Duration{time.Duration(v) * time.Millisecond}})
		}
		return s
	}
	r.figures("reserve-handler", "a leg of a duel", figuresOf(ms(1)[0]))
	calm := found{ms(1, 2), ms(3, 4), ms(5, 6), []float64{3, 400, 49}}
	r.tail(disturbance{id: calmly, title: "nothing else goes on"}, calm, calm)
	r.tail(disturbance{id: "aof", title: "Redis rewrites its file"}, found{ms(1, 9), ms(3, 4), ms(5, 6), []float64{54, 90, 101}}, calm)
	r.tail(disturbance{id: "far", title: "Postgres is away"}, found{ms(1, 9), ms(3, 4), ms(5, 6), []float64{53, 500, 98}}, calm)
	if err := r.verdict(); err == nil || err.Error() != "goals missed: stall-aof" {
		t.Errorf("%v", err)
	}
	if m := r.measures[8]; *m.Ratio != 51 || *m.Min != 0 || *m.Max != 52 {
		t.Errorf("more than calm's: %+v", m)
	}
	names := func(lines []series) string {
		var all []string
		for _, l := range lines {
			all = append(all, l.Name)
		}
		return strings.Join(all, " ")
	}
	if duel, admitted, refused := names(r.latencies("")), names(r.latencies(tailOf)), names(r.latencies(refusedOf)); duel != "reserve-handler" || admitted != "calm aof far" || refused != "calm aof far" {
		t.Errorf("lines of %q, %q and %q", duel, admitted, refused)
	}
	if m := r.measures[5]; m.ID != "tail-aof" || *m.Ratio != 9 || m.Figures.PerSecond != 1 {
		t.Errorf("%+v", m)
	}
}
