package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"stayhold/shared/api"
	"stayhold/shared/booking"
	"stayhold/shared/postgres"
)

const (
	// atOnce is how many reserves run at a time, each on connections of its own.
	atOnce        = 16
	reserveLength = 600 * time.Millisecond
	refusalLength = 350 * time.Millisecond
	// holdTTL outlasts the run: what lapses half way would be other work than at its begin.
	holdTTL      = time.Hour
	maxOpenHolds = 5
)

// reserveGroup measures a reserve that is admitted and one that is refused.
func reserveGroup(ctx context.Context, b *bench) error {
	began := time.Now()
	l, err := openLab(ctx, b.root, filepath.Join(b.work, "lab"))
	if err != nil {
		return err
	}
	defer l.close()
	b.say("%-10s postgres and redis are up  (%.1f s)", "servers", time.Since(began).Seconds())
	if err := admitted(ctx, b, l); err != nil {
		return err
	}
	return refused(ctx, b, l)
}

// admitted measures a reserve that gets its unit: one EVALSHA and one statement, and what stands around them.
func admitted(ctx context.Context, b *bench, l *lab) error {
	product, err := l.product(ctx, 100_000_000)
	if err != nil {
		return err
	}
	r, err := duel{
		name: "reserve", workers: atOnce, rounds: b.oftener(), length: b.scaled(reserveLength),
		handler: l.handler(product, 201),
		floor:   leg{name: "floor", open: func(ctx context.Context) (call, error) { return l.bareReserve(ctx, product) }},
	}.fight(ctx, b.say)
	if err != nil {
		return err
	}
	b.report.goal("1a", "reserve ÷ EVALSHA + statement: throughput", r.ratio(sample.perSecond), atLeast, 0.90)
	b.report.goal("1b", "    p50", r.ratio(p50), atMost, 1.10)
	b.report.goal("1c", "    p99", r.ratio(p99), atMost, 1.25)
	b.processorTime("1d", r)
	b.report.both("reserve", r)
	return nil
}

// refused measures a reserve of a product that is sold out: one EVALSHA, and what stands around it.
func refused(ctx context.Context, b *bench, l *lab) error {
	product, err := l.goneProduct(ctx)
	if err != nil {
		return err
	}
	r, err := duel{
		name: "sold out", workers: atOnce, rounds: b.oftener(), length: b.scaled(refusalLength),
		handler: l.handler(product, 409),
		floor:   leg{name: "floor", open: func(ctx context.Context) (call, error) { return l.bareRefusal(ctx, product) }},
	}.fight(ctx, b.say)
	if err != nil {
		return err
	}
	b.report.goal("2", "sold-out reserve ÷ EVALSHA: throughput", r.ratio(sample.perSecond), atLeast, 0.90)
	b.report.ratio("2b", "    p50", r.ratio(p50))
	b.report.ratio("2c", "    p99", r.ratio(p99))
	b.report.both("sold-out", r)
	return nil
}

// reserve is the step, on connections of the lab's own.
func (l *lab) reserve() booking.Reserve {
	return booking.Reserve{Store: l.admin.Store, Gate: l.admin.Gate, HoldTTL: holdTTL, MaxOpenHolds: maxOpenHolds}
}

// goneProduct makes one whose units are all held.
func (l *lab) goneProduct(ctx context.Context) (int64, error) {
	const units = 10
	product, err := l.product(ctx, units)
	if err != nil {
		return 0, err
	}
	for range units {
		if _, err := l.reserve().Run(ctx, booking.ReserveCommand{UserID: l.user(), ProductID: product}); err != nil {
			return 0, err
		}
	}
	return product, nil
}

func p50(s sample) float64 { return s.millis(0.50) }
func p99(s sample) float64 { return s.millis(0.99) }

// processorTime tells what a call costs: with the servers, which the goal is about, and in this process alone.
func (b *bench) processorTime(id string, r result) {
	if whole := r.ratio(func(s sample) float64 { return s.each(s.cpu) }); whole.median > 0 {
		b.report.goal(id, "    processor time, servers' too", whole, atMost, 1.25)
	}
	b.report.ratio(id+"-own", "    processor time, this process only", r.ratio(func(s sample) float64 { return s.each(s.ownCPU) }))
}

// both adds the absolute numbers of both legs.
func (r *report) both(name string, of result) {
	for _, one := range []struct {
		leg     leg
		samples []sample
	}{{of.duel.handler, of.handler}, {of.duel.floor, of.floor}} {
		s := together(one.samples)
		f := figuresOf(s)
		f.CPUMillis["process"] = s.each(s.ownCPU)
		if s.cpu > 0 {
			f.CPUMillis["all"] = s.each(s.cpu)
		}
		r.figures(name+"-"+one.leg.name, fmt.Sprintf("%d at a time", of.duel.of(one.leg)), f)
	}
}

// handler is the function's own: event in, answer out. A status other than the one expected is an error.
func (l *lab) handler(product int64, status int) leg {
	return l.reserves("handler", l.direct(), status, product)
}

// reserves is a leg of reserves by users who come once, each worker at a product of his as far as they go round.
func (l *lab) reserves(name string, o postgres.Options, status int, products ...int64) leg {
	var workers atomic.Int64
	return leg{name: name, open: func(context.Context) (call, error) {
		handler, err := l.reserving(o)
		if err != nil {
			return nil, err
		}
		ask := asking(handler, status)
		product := products[(workers.Add(1)-1)%int64(len(products))]
		return func(ctx context.Context) error { return ask(ctx, l.event.of(l.user(), product)) }, nil
	}}
}

// reserving is the handler, as ReserveFunction wires it.
func (l *lab) reserving(o postgres.Options) (lambda.Handler, error) {
	db, gate, err := l.ports(o)
	if err != nil {
		return nil, err
	}
	edge, err := l.edge(db)
	if err != nil {
		return nil, err
	}
	return edge.Reserve(booking.Reserve{Store: db, Gate: gate, HoldTTL: holdTTL, MaxOpenHolds: maxOpenHolds}.Run), nil
}

// edge writes log and metrics where writing costs a system call and nothing else.
func (l *lab) edge(recaller booking.Recaller) (*api.Edge, error) {
	sink, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	l.later(func() { _ = sink.Close() }) // nothing is lost with it
	return api.New(api.Options{Recaller: recaller, Log: sink}), nil
}

// asking invokes a handler, for which any status but the one expected is an error.
func asking(handler lambda.Handler, status int) func(context.Context, []byte) error {
	want := []byte(`{"statusCode":` + strconv.Itoa(status) + ",")
	return func(ctx context.Context, event []byte) error {
		answer, err := handler.Invoke(ctx, event)
		if err == nil && !bytes.HasPrefix(answer, want) {
			err = errors.New("unexpected answer: " + string(answer))
		}
		return err
	}
}
