package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"stayhold/functions/local/harness"
	"stayhold/shared/hold/holdtest"
)

// The kinds of fault. All but the flush kill something.
const (
	faultFunction = "function" // one environment of a function
	faultPostgres = "postgres" // the postmaster; its backends follow
	faultBackend  = "backend"  // one connection's process, for which Postgres ends all others and recovers
	faultRedis    = "redis"
	faultRewind   = "rewind" // Redis, which comes back with what it had some time ago
	faultFlush    = "flush"  // Redis forgets everything, and lives
)

// deck is how often each fault comes before any comes again; it is shuffled each time.
var deck = slices.Concat(
	slices.Repeat([]string{faultFunction}, 9),
	[]string{faultPostgres, faultBackend, faultRedis, faultRewind, faultFlush},
)

// injector brings one fault after the other.
type injector struct {
	servers *servers
	front   *harness.Front
	random  *rand.Rand
	pace    time.Duration // between two faults

	mu     sync.Mutex
	counts map[string]int // by kind
	dead   map[string]int // functions, by name
	age    time.Duration  // the longest time that a rewind took back
}

// run goes on until ctx ends, in which the last fault is undone all the same. An error means that something could not be
// brought back.
func (i *injector) run(ctx context.Context) error {
	var cards []string
	saved, snapshot := time.Time{}, filepath.Join(i.servers.dir, "snapshot")
	for ctx.Err() == nil {
		if len(cards) == 0 {
			cards = slices.Clone(deck)
			i.random.Shuffle(len(cards), func(a, b int) { cards[a], cards[b] = cards[b], cards[a] })
		}
		if saved.IsZero() {
			if err := i.servers.snapshot(snapshot); err != nil {
				return fmt.Errorf("a copy of the gate's data: %w", err)
			}
			saved = time.Now()
		}
		pause(ctx, i.pace/2+time.Duration(i.random.Int64N(int64(i.pace))))
		if ctx.Err() != nil {
			return nil
		}
		kind := cards[0]
		cards = cards[1:]
		if err := i.inject(ctx, kind, snapshot); err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
		if kind == faultRewind {
			i.noteAge(time.Since(saved))
			saved = time.Time{}
		}
	}
	return nil
}

func (i *injector) inject(ctx context.Context, kind, snapshot string) error {
	down := time.Duration(i.random.Int64N(int64(500 * time.Millisecond)))
	hit := true
	var err error
	switch kind {
	case faultFunction:
		hit, err = i.killFunction()
	case faultPostgres:
		err = i.servers.killPostgres(ctx, down)
	case faultBackend:
		hit, err = i.killBackend()
	case faultRedis:
		err = i.servers.killRedis(ctx, down, func(string) error { return nil })
	case faultRewind:
		err = i.servers.killRedis(ctx, down, func(data string) error { return replace(data, snapshot) })
	case faultFlush:
		_, err = holdtest.Do(ctx, i.servers.redisURL, "FLUSHALL")
	}
	if hit && err == nil {
		i.mu.Lock()
		i.counts[kind]++
		i.mu.Unlock()
	}
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}

// killFunction kills an environment of some function. False: none was found alive.
func (i *injector) killFunction() (bool, error) {
	all, err := harness.Processes()
	if err != nil {
		return false, err
	}
	byName := map[string][]int{}
	for _, p := range all {
		// MigrateFunction has done its work when the stack is up.
		if name := p.Function(); name != "" && name != "MigrateFunction" && p.Parent == i.front.Pid() {
			byName[name] = append(byName[name], p.PID)
		}
	}
	if len(byName) == 0 {
		return false, nil
	}
	names := slices.Sorted(maps.Keys(byName))
	name := names[i.random.IntN(len(names))]
	pids := byName[name]
	if !killed(pids[i.random.IntN(len(pids))]) {
		return false, nil
	}
	i.mu.Lock()
	i.dead[name]++
	i.mu.Unlock()
	return true, nil
}

// killBackend kills a process that serves one of the stack's connections.
func (i *injector) killBackend() (bool, error) {
	all, err := harness.Processes()
	if err != nil {
		return false, err
	}
	var backends []int
	for _, p := range all {
		if p.Parent == i.servers.postgres.Pid() && strings.Contains(p.Args, "127.0.0.1") {
			backends = append(backends, p.PID)
		}
	}
	return len(backends) > 0 && killed(backends[i.random.IntN(len(backends))]), nil
}

// killed kills a process; false if it had ended by itself.
func killed(pid int) bool { return syscall.Kill(pid, syscall.SIGKILL) == nil }

func (i *injector) noteAge(age time.Duration) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.age = max(i.age, age)
}

// kills is the number of processes killed so far, with those of functions by name.
func (i *injector) kills() (n int, by map[string]int, functions map[string]int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for kind, times := range i.counts {
		if kind != faultFlush {
			n += times
		}
	}
	return n, maps.Clone(i.counts), maps.Clone(i.dead)
}
