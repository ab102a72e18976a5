package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"
)

// timed is one call: when it was due, when a worker took it up and when it was over, since its stretch began; and how
// long the servers that worked for it had to wait for a processor.
type timed struct{ due, began, ended, kept time.Duration }

// worker makes one call at a time, for which these processes work.
type worker struct {
	call
	served servers
}

// stream is calls that fall due one after the other, whoever is still busy with the one before, and who makes them.
type stream struct {
	every   time.Duration
	workers []worker
}

// servers are processes of one thread each, as the system tells of their turns at a processor.
type servers []*os.File

// serversOf are the processes of these numbers; none where the system tells nothing.
func serversOf(pids ...int) servers {
	var all servers
	for _, pid := range pids {
		if f, err := os.Open(fmt.Sprintf("/proc/%d/schedstat", pid)); err == nil {
			all = append(all, f)
		}
	}
	return all
}

// kept is how long they have been ready to run and were not let so far, all together.
func (s servers) kept() (sum time.Duration) {
	var line [64]byte
	for _, f := range s {
		var ran, waited time.Duration
		if n, _ := f.ReadAt(line[:], 0); n > 0 { // its end is no fault
			if _, err := fmt.Sscan(string(line[:n]), &ran, &waited); err == nil {
				sum += waited
			}
		}
	}
	return sum
}

func (s servers) close() {
	for _, f := range s {
		_ = f.Close() // it was only read
	}
}

// run has calls fall due for that long and returns when the last of them is over. A call is taken up by the first worker
// who is free: what it waits for one is part of its time, and so is how late the runtime's timer is, up to a millisecond.
// An error ends the stream.
func (s stream) run(ctx context.Context, began time.Time, length time.Duration) ([]timed, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	calls := make([]timed, length/s.every)
	due := make(chan *timed, len(calls)) // room for all: nobody keeps the clock waiting
	var running sync.WaitGroup
	for _, work := range s.workers {
		running.Go(func() {
			for v := range due {
				kept := work.served.kept()
				v.began = time.Since(began)
				if err := limited(ctx, work.call); err != nil {
					stop(err)
					return
				}
				v.ended = time.Since(began)
				v.kept = work.served.kept() - kept
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

// patience is how long a probe may take before the machine, or a server by itself, stands still.
const patience = 10 * time.Millisecond

// stoodStill is the longest that one call stood still on its own: from where it was taken up to its end, less the time
// in which its servers were kept from a processor or one of the probes had lost its patience, whichever is more. What a
// call waits for those before it, they stood still for.
func stoodStill(calls, probes []timed) (longest time.Duration) {
	var still []timed // from patience lost to the end, apart from each other, the earliest first
	for _, p := range probes {
		if p.began += patience; p.began < p.ended {
			still = append(still, p)
		}
	}
	slices.SortFunc(still, func(a, b timed) int { return cmp.Compare(a.began, b.began) })
	apart := still[:0]
	for _, s := range still {
		if last := len(apart) - 1; last >= 0 && s.began <= apart[last].ended {
			apart[last].ended = max(apart[last].ended, s.ended)
		} else {
			apart = append(apart, s)
		}
	}
	for _, c := range calls {
		var machines time.Duration
		for _, s := range apart {
			machines += max(0, min(c.ended, s.ended)-max(c.began, s.began))
		}
		longest = max(longest, c.ended-c.began-max(machines, c.kept))
	}
	return longest
}
