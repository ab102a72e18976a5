package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"strings"
	"time"
)

const (
	defaultRounds = 7
	// leastRounds is what a median and a range need to say anything.
	leastRounds = 5
)

// config is what the command line says.
type config struct {
	root    string // where template.yaml and events/ are
	dir     string
	only    string
	profile string
	rounds  int
	quick   bool
	out     io.Writer
}

// bench is one run: where it works and what it has found.
type bench struct {
	config
	work   string // the run's own folder
	report report
}

// group is what is measured together, on servers of its own.
type group struct {
	name  string
	run   func(context.Context, *bench) error
	asked bool // it is measured only when asked for: it takes minutes
}

// groups are measured in this order: what is exact before what takes time, and what runs in this process, which a profile
// covers, before the local stack.
func groups() []group {
	return []group{
		{"trips", tripsGroup, false},
		{"reserve", reserveGroup, false},
		{"gate", gateGroup, false},
		{"start", startGroup, false},
		{"first", firstGroup, false},
		{"complete", completeGroup, false},
		{"hot", hotGroup, false},
		{"pooler", poolerGroup, false},
		{"scale", scaleGroup, false},
		{"tail", tailGroup, false},
		{"growth", growthGroup, false},
		{"flow", flowGroup, false},
		{"gate-large", gateLargeGroup, true},
		{"growth-large", growthLargeGroup, true},
		{"audit", auditGroup, true},
		{"backlog", backlogGroup, true},
	}
}

func groupNames() string {
	var names []string
	for _, g := range groups() {
		names = append(names, g.name)
	}
	return strings.Join(names, ", ")
}

// chosen are the groups that the list names; for an empty one those that need not be asked for.
func chosen(list string) ([]group, error) {
	all := groups()
	if list == "" {
		return slices.DeleteFunc(all, func(g group) bool { return g.asked }), nil
	}
	var some []group
	for name := range strings.SplitSeq(list, ",") {
		i := slices.IndexFunc(all, func(g group) bool { return g.name == strings.TrimSpace(name) })
		if i < 0 {
			return nil, fmt.Errorf("nothing is called %q; there is %s", name, groupNames())
		}
		some = append(some, all[i])
	}
	return some, nil
}

// run measures, prints the table and writes the figures. An error says that something failed, or that a goal which
// counts was missed.
func run(ctx context.Context, c config) (err error) {
	began := time.Now()
	some, err := chosen(c.only)
	if err != nil {
		return err
	}
	if c.rounds < leastRounds {
		return fmt.Errorf("-rounds %d: no fewer than %d say anything", c.rounds, leastRounds)
	}
	b := &bench{config: c}
	if b.work, err = os.MkdirTemp("", "stayhold-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.work)) }()
	if b.work, err = filepath.EvalSymlinks(b.work); err != nil {
		return err
	}
	if err := b.measure(ctx, some); err != nil {
		if ctx.Err() != nil {
			return errors.New("stopped")
		}
		return err
	}
	if b.quick {
		b.report.unjudged()
	}
	if err := b.report.print(b.out); err != nil {
		return err
	}
	path := filepath.Join(b.dir, "bench.json")
	if err := b.report.write(path); err != nil {
		return err
	}
	picture := filepath.Join(b.dir, "bench.html")
	if err := b.report.picture(picture); err != nil {
		return err
	}
	if len(b.report.plans) > 0 {
		plans := filepath.Join(b.dir, "bench-plans.txt")
		if err := writePlans(plans, b.report.plans); err != nil {
			return err
		}
		b.say("the indexes of each statement in %s", plans)
	}
	b.say("figures in %s, charts in %s  (%.0f s)", path, picture, time.Since(began).Seconds())
	return b.report.verdict()
}

func (b *bench) measure(ctx context.Context, some []group) (err error) {
	if b.profile != "" {
		f, err := os.Create(b.profile)
		if err != nil {
			return err
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			return errors.Join(err, f.Close())
		}
		defer func() {
			pprof.StopCPUProfile()
			err = errors.Join(err, f.Close())
		}()
	}
	for _, g := range some {
		if err := g.run(ctx, b); err != nil {
			return fmt.Errorf("%s: %w", g.name, err)
		}
	}
	return nil
}

// scaled is how long something is measured.
func (c config) scaled(length time.Duration) time.Duration {
	if c.quick {
		return length / 10
	}
	return length
}

// say prints a line of progress. A terminal that is gone is no reason to stop.
func (b *bench) say(format string, args ...any) { _, _ = fmt.Fprintf(b.out, format+"\n", args...) }
