package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

const (
	// tailRounds are played of each disturbance: what it brings comes in each, what the machine does of itself does not.
	tailRounds = 3
	tailLength = 2200 * time.Millisecond
	// A reserve that is admitted and one that is refused are due that often, and the probes: a good half of what two
	// cores can do with all servers on them.
	admittedEvery = 2500 * time.Microsecond
	refusedEvery  = 2 * time.Millisecond
	commitEvery   = 10 * time.Millisecond
	probeEvery    = 4 * time.Millisecond
	// tailBuyers are as many as wait for their answers at a time; each has a handler and connections of his own.
	tailBuyers   = 8
	tailProbes   = 4
	tailBacklog  = 20_000
	tailAway     = 5 * time.Millisecond
	tailPages    = 8_000
	longestStall = 50 // ms
)

// tail is a lab in which reserves go on at a steady rate while something happens.
type tail struct {
	*bench
	*lab
	door      *door
	gate      int   // the process of Redis
	gone      int64 // a product that is sold out
	crowded   int64 // one with many open bookings
	refused   []guest
	near, far scene // calm, with the database beside and away
}

// disturbance is what happens to a stretch.
type disturbance struct {
	id, title string
	scene     func(context.Context) (scene, error)
}

// scene is one stretch: who reserves which product, what is asked beside them, and what happens meanwhile, which tells
// what it has done.
type scene struct {
	buyers  []guest
	product int64
	full    bool     // sold out at first
	bare    []worker // each commits one row
	happens func(context.Context) (string, error)
}

// calmly is how the others' stalls are measured: it comes first in each round.
const calmly = "calm"

// found is what the stretches of one disturbance have shown.
type found struct {
	admitted, refused, bare []sample
	stalls                  []float64 // ms
}

// tailGroup measures how long the slowest of many reserves take while something else goes on. They fall due at a steady
// rate, and are measured from that moment. What the machine does is told from what is done here by probes beside them in
// which nothing is ours: a PING, a commit of one row, and a timer.
func tailGroup(ctx context.Context, b *bench) error {
	l, err := openLab(ctx, b.root, filepath.Join(b.work, "tail"))
	if err != nil {
		return err
	}
	defer l.close()
	t := &tail{bench: b, lab: l}
	if err := t.set(ctx); err != nil {
		return err
	}
	all := []disturbance{
		{calmly, "nothing else goes on", func(context.Context) (scene, error) { return t.near, nil }},
		{"lapse", fmt.Sprintf("%d holds lapse at once", b.fewer(lapsedHolds)), t.lapse},
		{"sweep", "the sweep runs on a backlog", t.swept},
		{"warm", fmt.Sprintf("a lost gate of %d places is filled", b.fewer(lapsedHolds)), t.warmed},
		{"aof", fmt.Sprintf("Redis rewrites its file, %d holds", b.fewer(manyHolds)), t.rewrite},
		{"checkpoint", "a checkpoint runs", t.checkpoint},
		{"far", fmt.Sprintf("Postgres is %v away", tailAway), func(context.Context) (scene, error) { return t.far, nil }},
	}
	rounds := tailRounds
	if b.quick {
		rounds = 1
	}
	shown := make([]found, len(all))
	for round := range rounds {
		for i, d := range all {
			if err := t.stretch(ctx, d, fmt.Sprintf("%s, %d of %d", d.id, round+1, rounds), &shown[i]); err != nil {
				return fmt.Errorf("%s: %w", d.id, err)
			}
		}
	}
	for i, d := range all {
		b.report.tail(d, shown[i], shown[0])
	}
	return nil
}

// stretch plays one scene, and keeps what it shows.
func (t *tail) stretch(ctx context.Context, d disturbance, which string, f *found) error {
	s, err := d.scene(ctx)
	if err != nil {
		return err
	}
	if err := t.door.client.Do(ctx, "SLOWLOG", "RESET").Err(); err != nil {
		return err
	}
	var open, gone tally
	ping := func(ctx context.Context) error { return t.door.client.Ping(ctx).Err() }
	timer := func(context.Context) error { return nil }
	length := t.scaled(tailLength)
	note := ""
	calls, err := abreast(ctx, length, func(ctx context.Context) (err error) {
		if s.happens != nil {
			note, err = s.happens(ctx)
		}
		return err
	}, stream{admittedEvery, open.calls(t.lab, s.buyers, s.product)}, stream{refusedEvery, gone.calls(t.lab, t.refused, t.gone)},
		stream{commitEvery, s.bare}, stream{probeEvery, slices.Repeat([]worker{{call: ping}}, tailProbes)}, stream{probeEvery, []worker{{call: timer}}})
	switch {
	case err != nil:
		return err
	case gone.admitted.Load() > 0 || !s.full && open.refused.Load() > 0 || open.admitted.Load() == 0:
		return fmt.Errorf("%d were admitted and %d refused where there was a unit, and %d admitted where there was none",
			open.admitted.Load(), open.refused.Load(), gone.admitted.Load())
	case s.full:
		note = fmt.Sprintf("   %d refused, then %d admitted", open.refused.Load(), open.admitted.Load())
	}
	script, err := t.longestScript(ctx)
	if err != nil {
		return err
	}
	own := max(script, stoodStill(slices.Concat(calls[0], calls[1]), slices.Concat(calls[2:]...)))
	var samples []sample
	for _, c := range calls {
		samples = append(samples, sampleOf(c, length))
	}
	f.admitted, f.refused, f.bare = append(f.admitted, samples[0]), append(f.refused, samples[1]), append(f.bare, samples[2])
	f.stalls = append(f.stalls, inMillis(own))
	t.say("%-10s %-18s admitted p99 %5.1f worst %5.1f   refused %5.1f %5.1f   commit %.1f ping %.1f timer %.1f   ours %4.1f ms%s",
		"tail", which, p99(samples[0]), worst(samples[0]), p99(samples[1]), worst(samples[1]),
		worst(samples[2]), worst(samples[3]), worst(samples[4]), inMillis(own), note)
	return nil
}

// tally counts answers.
type tally struct{ admitted, refused atomic.Int64 }

// calls are those of buyers who come once, for one product.
func (n *tally) calls(l *lab, buyers []guest, product int64) []worker {
	calls := make([]worker, len(buyers))
	for i, one := range buyers {
		calls[i] = worker{served: one.served, call: func(ctx context.Context) error {
			got, err := one.attempt(ctx, l.user(), product)
			switch {
			case err != nil:
			case got:
				n.admitted.Add(1)
			default:
				n.refused.Add(1)
			}
			return err
		}}
	}
	return calls
}

// longestScript is how long the server ran the longest of our scripts since its list of slow commands was emptied: a
// PING that waits for that one shows nothing of the machine's.
func (t *tail) longestScript(ctx context.Context) (longest time.Duration, err error) {
	slow, err := t.door.client.SlowLogGet(ctx, -1).Result()
	for _, one := range slow {
		if strings.HasPrefix(strings.ToUpper(one.Args[0]), "EVAL") {
			longest = max(longest, one.Duration)
		}
	}
	return longest, err
}

func worst(s sample) float64 { return s.millis(1) }

// The first words of the ids of what is told of each disturbance.
const (
	tailOf    = "tail-"
	refusedOf = "refused-"
	bareOf    = "bare-"
	stallOf   = "stall-"
)

// tail adds what was found of one disturbance beside calm. Of stalls that which is more than calm's in the same round is
// judged, by the median: what a disturbance brings, it brings in each.
func (r *report) tail(d disturbance, f, calm found) {
	for _, one := range []struct {
		id, name string
		samples  []sample
	}{
		{tailOf, "reserve while " + d.title + ": p99.9, from p99 to the worst", f.admitted},
		{refusedOf, "    refused", f.refused},
		{bareOf, "    a bare commit beside them", f.bare},
	} {
		s := together(one.samples)
		absolute := figuresOf(s)
		r.amount(one.id+d.id, one.name, "ms", spread{median: s.millis(0.999), min: p99(s), max: worst(s)}).Figures = &absolute
	}
	const name = "    longest stall of one call, less what the machine held up"
	if d.id == calmly {
		r.amount(stallOf+d.id, name, "ms", spreadOf(f.stalls))
		return
	}
	var more []float64
	for i, stall := range f.stalls {
		more = append(more, max(0, stall-calm.stalls[i]))
	}
	r.amount(stallOf+d.id, name+": more than calm's", "ms", spreadOf(more)).judged(atMost, longestStall)
}
