package main

import (
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

// looks makes a soak of an hour in which everything stays as it is, but for what change does to the n-th look.
func looks(change func(n float64, l *look)) []look {
	var all []look
	for i := range 360 {
		n := float64(i)
		l := look{
			At: n * 10, Visits: 8, Front: 30, Functions: 640, Processes: 40, Database: 38, Gate: 30, Goroutines: 240,
			Outbox: 300, Keys: 900, Owed: 5, Attempts: n * 60, Bookings: n * 70,
		}
		change(n, &l)
		all = append(all, l)
	}
	return all
}

func TestGrowthIsSeen(t *testing.T) {
	for what, c := range map[string]struct {
		change func(n float64, l *look)
		found  string
	}{
		"flat":            {func(float64, *look) {}, ""},
		"twice the trade": {func(n float64, l *look) { f := 1 + n/360; l.Visits *= f; l.Outbox *= f; l.Keys *= f }, ""},
		"more environments": {func(n float64, l *look) {
			f := 1 + n/360
			l.Processes *= f
			l.Functions *= f
			l.Database *= f
			l.Gate *= f
		}, ""},
		"an outbox that stays": {func(n float64, l *look) { l.Outbox = 10 * n }, "outbox"},
		"keys that stay":       {func(n float64, l *look) { l.Keys = 10 * n }, "idempotency_key"},
		"attempts unanswered":  {func(n float64, l *look) { l.Owed = n }, "owed"},
		"attempts without end": {func(n float64, l *look) { l.Attempts = n * n }, "payment_attempt"},
		"a leak of memory":     {func(n float64, l *look) { l.Functions += n }, "memory of an environment"},
		"a leak in the front":  {func(n float64, l *look) { l.Front += n }, "memory of the front"},
		"goroutines that stay": {func(n float64, l *look) { l.Goroutines += n }, "goroutines"},
		"connections to spare": {func(n float64, l *look) { l.Database += n }, "Postgres"},
		"clients to spare":     {func(n float64, l *look) { l.Gate += n }, "Redis"},
	} {
		r := &run{config: config{out: io.Discard}, looks: looks(c.change)}
		found := r.growth()
		if c.found == "" && len(found) > 0 || c.found != "" && !slices.ContainsFunc(found, func(line string) bool { return strings.Contains(line, c.found) }) {
			t.Errorf("%s: %v", what, found)
		}
	}
}

// What holds always is broken by one finding; what holds once all is quiet, by one that is still there at the next look.
func TestFindingsAreJudged(t *testing.T) {
	r := &run{promises: newPromises()}
	for _, c := range []struct {
		found []string
		want  int
	}{
		{nil, 0}, {[]string{"G1: drift"}, 0}, {[]string{"G1: other drift"}, 0}, {[]string{"G1: other drift"}, 1}, {nil, 0}, {[]string{"I1: stock", "I4: late"}, 1},
	} {
		if got := r.judged(c.found); got != c.want {
			t.Errorf("%v: %d violations, want %d", c.found, got, c.want)
		}
	}
	if len(r.promises.broken) != 2 {
		t.Errorf("broken: %v", r.promises.broken)
	}
}

func TestThePictureIsOne(t *testing.T) {
	all := looks(func(float64, *look) {})
	for _, part := range [][]look{nil, all[:1], all} {
		text := draw(part)
		curves, decoder := 0, xml.NewDecoder(strings.NewReader(text))
		for {
			token, err := decoder.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if e, is := token.(xml.StartElement); is && e.Name.Local == "polyline" {
				curves++
			}
		}
		if curves != 14 || strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
			t.Errorf("%d looks: %d curves in\n%s", len(part), curves, text[:min(len(text), 2000)])
		}
	}
	rising := looks(func(n float64, l *look) { l.Visits = n })
	if got := sparkline(rising[:8], panels[0].curves[0].of); got != "▁▂▃▄▅▆▇█ 0.0 … 7.0" {
		t.Errorf("%s", got)
	}
}
