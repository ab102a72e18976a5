package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/pprof"
	"slices"
	"sync"
	"time"
)

const (
	// callLimit is the deadline that each call's context bears, as an invocation's does.
	callLimit = 10 * time.Second
	// warmCalls are made by each worker before the first round: connections, statements and scripts are known then.
	warmCalls = 25
)

// call is one piece of work. An error ends the run.
type call func(context.Context) error

// leg is one side of a duel. open makes the call of one worker, which shares nothing with the others', as the
// environments of a function share nothing.
type leg struct {
	name    string
	open    func(ctx context.Context) (call, error)
	workers int // 0: as many as the duel's
}

// duel sets a handler against its floor, with as many workers at a time as says workers. A round has that length, or,
// where what they work on has to be there before, each worker makes so many calls.
type duel struct {
	name    string
	handler leg
	floor   leg
	workers int
	rounds  int
	length  time.Duration
	calls   int
}

// result holds the rounds of both legs: those with the same index were played one right after the other.
type result struct {
	duel           duel
	handler, floor []sample
}

// of is how many work at a time on a leg.
func (d duel) of(l leg) int {
	if l.workers > 0 {
		return l.workers
	}
	return d.workers
}

// needs is how many calls both legs make together, where they are counted.
func (d duel) needs() int { return (d.of(d.handler) + d.of(d.floor)) * (d.rounds*d.calls + warmCalls) }

// lasts says whether a worker goes on with his round.
func (d duel) lasts(spent time.Duration, made int) bool {
	if d.calls > 0 {
		return made < d.calls
	}
	return spent < d.length
}

// fight plays all rounds. Who begins alternates too, so that what drifts in the machine favours nobody.
func (d duel) fight(ctx context.Context, say func(string, ...any)) (result, error) {
	r := result{duel: d}
	legs := []leg{d.handler, d.floor}
	calls := make([][]call, len(legs))
	for i, l := range legs {
		var err error
		if calls[i], err = l.enlist(ctx, d.of(l)); err != nil {
			return r, err
		}
	}
	for round := range d.rounds {
		var got [2]sample
		for turn := range legs {
			side := (round + turn) % len(legs)
			var err error
			pprof.Do(ctx, pprof.Labels("duel", d.name, "leg", legs[side].name), func(ctx context.Context) {
				got[side], err = play(ctx, calls[side], d.lasts)
			})
			if err != nil {
				return r, fmt.Errorf("%s: %w", legs[side].name, err)
			}
		}
		r.handler, r.floor = append(r.handler, got[0]), append(r.floor, got[1])
		say("%-10s round %d of %d   %s %7.0f/s   %s %7.0f/s   %.2f", d.name, round+1, d.rounds,
			d.handler.name, got[0].perSecond(), d.floor.name, got[1].perSecond(), got[0].perSecond()/got[1].perSecond())
	}
	return r, nil
}

// enlist gives the leg its workers, who have made their first calls.
func (l leg) enlist(ctx context.Context, workers int) ([]call, error) {
	var calls []call
	for range workers {
		c, err := l.open(ctx)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", l.name, err)
		}
		calls = append(calls, c)
	}
	if _, err := play(ctx, calls, func(_ time.Duration, n int) bool { return n < warmCalls }); err != nil {
		return nil, fmt.Errorf("%s: %w", l.name, err)
	}
	return calls, nil
}

// ratio compares one number of the legs round by round.
func (r result) ratio(of func(sample) float64) spread {
	var values []float64
	for i := range r.handler {
		if floor := of(r.floor[i]); floor > 0 {
			values = append(values, of(r.handler[i])/floor)
		}
	}
	return spreadOf(values)
}

// play has every worker make its call again and again, at the same time, while more says so: it is asked before each
// call with the time since the begin and the calls that this worker has made.
func play(ctx context.Context, workers []call, more func(spent time.Duration, made int) bool) (sample, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	runtime.GC() // what the other leg left is not this one's to clear
	all := make([][]time.Duration, len(workers))
	before := readClocks()
	began := time.Now()
	var running sync.WaitGroup
	for i, work := range workers {
		running.Go(func() {
			at := time.Now()
			for ctx.Err() == nil && more(at.Sub(began), len(all[i])) {
				if err := limited(ctx, work); err != nil {
					stop(err)
					return
				}
				now := time.Now()
				all[i] = append(all[i], now.Sub(at))
				at = now
			}
		})
	}
	running.Wait()
	s := sample{took: time.Since(began), latencies: slices.Concat(all...)}
	after := readClocks()
	s.ownCPU, s.cpu = after.own-before.own, max(0, after.family-before.family)
	slices.Sort(s.latencies)
	return s, context.Cause(ctx)
}

func limited(ctx context.Context, work call) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	return work(ctx)
}
