package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"stayhold/functions/local/harness"
	"stayhold/shared/postgres/postgrestest"
)

const (
	// chaosPace brings sixty kills in a good minute, and lets sales through between them.
	chaosPace = 600 * time.Millisecond
	soakPace  = 6 * time.Second
	// leastKills is how many processes a run of chaos kills, however long that takes.
	leastKills    = 60
	progressEvery = 10 * time.Second
)

// timings are those of a shop in a hurry: holds lapse and sessions end while the run looks on.
var timings = []string{
	"HOLD_TTL=8s", "PAYMENT_WINDOW=4s", "GATEWAY_TIMEOUT=1s", "GATEWAY_SESSION=6s", "SWEEP_GRACE=1s", "SWEEP_INTERVAL=2s",
}

// config says what a run does.
type config struct {
	root   string // where template.yaml is
	bin    string // the built executables
	dir    string // where a soak leaves its picture
	seed   uint64
	length time.Duration
	kills  int // the faults go on until so many processes are dead
	pace   time.Duration
	buyers int
	soak   bool
	out    io.Writer
}

// run is one run: what it works on and what it has seen.
type run struct {
	config
	began    time.Time
	servers  *servers
	queue    *badQueue
	front    *harness.Front
	shop     *harness.Shop
	promises *promises
	crowd    *crowd
	injector *injector
	owed     []string // what was left to do when last looked at
	looks    []look   // a soak's
	suspect  []string // what the audit found at a soak's last look
}

// execute does one run to its end. An error says what was found, or what could not be done.
func execute(ctx context.Context, c config) (_ *run, err error) {
	r := &run{config: c, began: time.Now(), promises: newPromises()}
	work, err := os.MkdirTemp("", "stayhold-chaos-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	if work, err = filepath.EvalSymlinks(work); err != nil {
		return nil, err
	}
	r.say("seed %d, %d buyers at a time, faults for %v", r.seed, r.buyers, r.length)
	if r.servers, err = openServers(ctx, work); err != nil {
		return nil, err
	}
	defer r.servers.stop()
	if r.queue, err = openQueue(r.dice(1), 25, 20); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.queue.close()) }()
	log, err := os.Create(filepath.Join(work, "front.log"))
	if err != nil {
		return nil, err
	}
	defer log.Close() //nolint:errcheck // it goes with its folder
	vars := append(r.queue.variables(), "DATABASE_URL="+postgrestest.Functions(r.servers.databaseURL),
		"MIGRATE_DATABASE_URL="+r.servers.databaseURL, "REDIS_URL="+r.servers.redisURL)
	r.front, err = harness.Open(ctx, harness.Options{Root: r.root, Bin: r.bin, Work: filepath.Join(work, "stack"), Vars: append(vars, timings...), Log: log})
	if err != nil {
		return nil, err
	}
	defer r.front.Stop()
	r.shop = harness.NewShop(r.front)
	r.injector = &injector{servers: r.servers, front: r.front, random: r.dice(2), pace: r.pace, counts: map[string]int{}, dead: map[string]int{}}
	r.crowd = &crowd{shop: r.shop, promises: r.promises, random: r.dice(3), tokens: map[int64]harness.Buyer{}}
	if r.crowd.scarce, err = r.shop.Product(ctx, price, 1); err != nil {
		return nil, err
	}
	if err := r.storm(ctx); ctx.Err() != nil {
		return nil, errors.New("stopped")
	} else if err != nil {
		return nil, fmt.Errorf("%w (the stack said: %s)", err, r.front.Tail())
	}
	return r, r.judge(ctx)
}

// dice gives one part of the run its own row of the seed's chances.
func (r *run) dice(part uint64) *rand.Rand { return rand.New(rand.NewPCG(r.seed, part)) }

// storm has buyers, faults and whoever looks on at work at once, until it is over.
func (r *run) storm(whole context.Context) error {
	ctx, stop := context.WithCancelCause(whole)
	defer stop(nil)
	watch := r.watch
	if r.soak {
		watch = r.observe
	}
	parts := []func(context.Context) error{
		func(ctx context.Context) error { return r.crowd.run(whole, ctx, r.buyers) }, r.injector.run, watch,
	}
	ended := make(chan error, len(parts))
	for _, part := range parts {
		go func() {
			err := part(ctx)
			if err != nil {
				stop(err)
			}
			ended <- err
		}()
	}
	for over := false; !over; {
		select {
		case <-ctx.Done():
			over = true
		case <-r.front.Done():
			stop(errors.New("the front ended"))
		case <-time.After(200 * time.Millisecond):
			kills, _, _ := r.injector.kills()
			over = time.Since(r.began) > r.length && kills >= r.kills
		}
	}
	cause := context.Cause(ctx)
	stop(nil)
	var all error
	for range parts {
		all = errors.Join(all, <-ended)
	}
	return errors.Join(all, cause)
}

// watch tells how far the run is.
func (r *run) watch(ctx context.Context) error {
	for {
		pause(ctx, progressEvery)
		if ctx.Err() != nil {
			return nil
		}
		kills, _, _ := r.injector.kills()
		ends := r.promises.endings()
		all := 0
		for _, n := range ends {
			all += n
		}
		r.say("%5.0f s  %3d kills  %5d visits ended, %d of them CONFIRMED", time.Since(r.began).Seconds(), kills, all, ends["CONFIRMED"])
	}
}

// judge lets everything come to rest, tells what was done, and says what must not be.
func (r *run) judge(ctx context.Context) error {
	err := r.quiet(ctx)
	r.tell()
	if r.soak {
		err = errors.Join(err, r.picture())
	}
	if err != nil {
		return err
	}
	found, err := r.verify(ctx)
	if err != nil {
		return err
	}
	found = append(append(found, r.missing()...), r.growth()...)
	if len(found) > 0 {
		return fmt.Errorf("seed %d: %s", r.seed, strings.Join(found[:min(len(found), 20)], "\n"))
	}
	r.say("no violation: %d bookings acknowledged, %d orders declined, all as they were told", len(r.promises.words), len(r.promises.declined))
	return nil
}

// missing names what has to happen in a run for it to prove anything, and did not.
func (r *run) missing() (found []string) {
	_, by, _ := r.injector.kills()
	dropped, repeated := r.queue.counts()
	ends := r.promises.endings()
	for what, n := range map[string]int{
		"function killed": by[faultFunction], "Postgres killed": by[faultPostgres], "backend killed": by[faultBackend], "Redis killed": by[faultRedis],
		"Redis taken back": by[faultRewind], "Redis flushed": by[faultFlush], "message dropped": dropped, "message repeated": repeated,
		"sale": ends["CONFIRMED"], "cancel": ends["cancelled after complete"], "decline": len(r.promises.declined),
		"unknown charge": r.promises.seen("approve  202"), "refusal of a sold-out product": r.promises.seen("SOLD_OUT"), "unavailable answer": r.promises.seen(" 50"),
	} {
		if n == 0 {
			found = append(found, "no "+what+" in the whole run")
		}
	}
	return found
}

// tell prints what the run did.
func (r *run) tell() {
	kills, by, functions := r.injector.kills()
	dropped, repeated := r.queue.counts()
	r.say("faults     %d kills: %s; the gate was taken back by up to %.0f s", kills, listed(by), r.injector.age.Seconds())
	r.say("functions  %s", listed(functions))
	r.say("queue      %d messages dropped, %d delivered twice", dropped, repeated)
	r.say("visits     %s", listed(r.promises.endings()))
	for _, step := range []string{"reserve", "register", "approve", "complete", "cancel"} {
		of := map[string]int{}
		for what, n := range r.promises.answers {
			if rest, is := strings.CutPrefix(what, step+" "); is {
				of[strings.TrimSpace(rest)] = n
			}
		}
		r.say("%-10s %s", step, listed(of))
	}
}

// listed is a count by name, the most frequent first.
func listed(counts map[string]int) string {
	names := slices.Sorted(maps.Keys(counts))
	slices.SortStableFunc(names, func(a, b string) int { return counts[b] - counts[a] })
	var parts []string
	for _, name := range names {
		parts = append(parts, fmt.Sprintf("%s %d", name, counts[name]))
	}
	return strings.Join(parts, ", ")
}

// say prints a line of progress. A terminal that is gone is no reason to stop.
func (r *run) say(format string, args ...any) { _, _ = fmt.Fprintf(r.out, format+"\n", args...) }
