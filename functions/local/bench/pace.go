package main

import (
	"cmp"
	"context"
	"runtime"
	"slices"
	"sync"
	"time"
)

// timed is one call: when it was due, when a worker took it up and when it was over, since its stretch began.
type timed struct{ due, began, ended time.Duration }

// stream is calls that fall due one after the other, whoever is still busy with the one before, and who makes them.
type stream struct {
	every   time.Duration
	workers []call
}

// run has calls fall due for that long and returns when the last of them is over. A call is taken up by the first worker
// who is free: what it waits for one is part of its time. An error ends the stream.
func (s stream) run(ctx context.Context, began time.Time, length time.Duration) ([]timed, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	calls := make([]timed, length/s.every)
	due := make(chan *timed, len(calls)) // room for all: nobody keeps the clock waiting
	var running sync.WaitGroup
	for _, work := range s.workers {
		running.Go(func() {
			for v := range due {
				v.began = time.Since(began)
				if err := limited(ctx, work); err != nil {
					stop(err)
					return
				}
				v.ended = time.Since(began)
			}
		})
	}
	clock := time.NewTimer(0)
	for i := range calls {
		calls[i].due = time.Duration(i) * s.every
		clock.Reset(time.Until(began.Add(calls[i].due)))
		select {
		case <-clock.C:
			due <- &calls[i]
			continue
		case <-ctx.Done():
		}
		break
	}
	close(due)
	running.Wait()
	return calls, context.Cause(ctx)
}

// abreast runs streams while something happens, and returns when all of it is over. The first error ends them all.
func abreast(ctx context.Context, length time.Duration, happens func(context.Context) error, streams ...stream) ([][]timed, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	all := make([][]timed, len(streams))
	runtime.GC() // what was before is not theirs to clear
	began := time.Now()
	var running sync.WaitGroup
	running.Go(func() {
		if err := happens(ctx); err != nil {
			stop(err)
		}
	})
	for i, s := range streams {
		running.Go(func() {
			var err error
			if all[i], err = s.run(ctx, began, length); err != nil {
				stop(err)
			}
		})
	}
	running.Wait()
	return all, context.Cause(ctx)
}

// sampleOf is the time of each call from the moment at which it was due.
func sampleOf(calls []timed, length time.Duration) sample {
	s := sample{took: length}
	for _, v := range calls {
		s.latencies = append(s.latencies, v.ended-v.due)
	}
	slices.Sort(s.latencies)
	return s
}

// stalled is how long a probe has to take for the machine, or a server by itself, to stand still meanwhile.
const stalled = 10 * time.Millisecond

// stoodStill is the longest that one call stood still on its own: from where it was taken up to its end, less the moments
// at which one of the probes stood still too. A call that only waits for those before it stands still with them.
func stoodStill(calls, probes []timed) (longest time.Duration) {
	var still []timed // apart from each other, the earliest first
	slices.SortFunc(probes, func(a, b timed) int { return cmp.Compare(a.due, b.due) })
	for _, p := range probes {
		switch last := len(still) - 1; {
		case p.ended-p.due <= stalled:
		case last >= 0 && p.due <= still[last].ended:
			still[last].ended = max(still[last].ended, p.ended)
		default:
			still = append(still, p)
		}
	}
	for _, c := range calls {
		own := c.ended - c.began
		for _, s := range still {
			own -= max(0, min(c.ended, s.ended)-max(c.began, s.due))
		}
		longest = max(longest, own)
	}
	return longest
}
