package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"stayhold/shared/postgres/postgrestest"
)

const (
	hotLength  = 500 * time.Millisecond
	unlimited  = 100_000_000
	flushDelay = time.Millisecond
)

// flushSlowly has every commit wait, as a disk makes it wait that flushes within a millisecond; as disks do, it serves
// whoever commits meanwhile by one flush.
var flushSlowly = []string{
	fmt.Sprintf(`ALTER SYSTEM SET commit_delay = %d`, flushDelay.Microseconds()),
	`ALTER SYSTEM SET commit_siblings = 0`,
	`SELECT pg_reload_conf()`,
}

// hotGroup measures what it costs that all want the same product.
func hotGroup(ctx context.Context, b *bench) error {
	l, err := openLab(ctx, b.root, filepath.Join(b.work, "hot"))
	if err != nil {
		return err
	}
	defer l.close()
	if err := l.within(func() error { return hotAndSpread(ctx, b, l) }); err != nil {
		return err
	}
	for _, sql := range flushSlowly {
		if err := postgrestest.Exec(ctx, l.database, sql); err != nil {
			return err
		}
	}
	return rowLock(ctx, b, l)
}

// hotAndSpread measures reserves of one product beside reserves of many.
func hotAndSpread(ctx context.Context, b *bench, l *lab) error {
	all, err := l.productsOf(ctx, 1+spreadProducts, unlimited)
	if err != nil {
		return err
	}
	r, err := duel{
		name: "hot", workers: atOnce, rounds: b.rounds, length: b.scaled(hotLength),
		handler: l.reserves("hot", l.direct(), 201, all[0]),
		floor:   l.reserves("spread", l.direct(), 201, all[1:]...),
	}.fight(ctx, b.say)
	if err != nil {
		return err
	}
	b.report.goal("8", "hot product ÷ spread products, reserve: throughput", r.ratio(sample.perSecond), atLeast, 0.85)
	b.report.both("reserve", r)
	return nil
}

// rowLock measures reserves of one product beside the usual row lock, each with as many workers as it does best with.
func rowLock(ctx context.Context, b *bench, l *lab) error {
	all, err := l.productsOf(ctx, 2, unlimited)
	if err != nil {
		return err
	}
	legs := []leg{
		l.reserves("reserve", l.direct(), 201, all[0]),
		{name: "row-lock", open: func(ctx context.Context) (call, error) {
			take, err := l.byLock(ctx)
			return func(ctx context.Context) error {
				admitted, err := take(ctx, l.user(), all[1])
				if err == nil && !admitted {
					err = errGone
				}
				return err
			}, err
		}},
	}
	for i := range legs {
		if err := l.best(ctx, b, &legs[i]); err != nil {
			return err
		}
	}
	r, err := duel{
		name: "row lock", rounds: b.rounds, length: b.scaled(hotLength), handler: legs[0], floor: legs[1],
	}.fight(ctx, b.say)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("reserve (%d at a time) ÷ SELECT … FOR UPDATE + INSERT (%d), one hot row, flush %v: throughput", legs[0].workers, legs[1].workers, flushDelay)
	b.report.goal("9", name, r.ratio(sample.perSecond), atLeast, 20)
	b.report.both("flush", r)
	return nil
}

// best tries a leg with few workers and with many, and leaves it with the number by which more is done.
func (l *lab) best(ctx context.Context, b *bench, one *leg) error {
	most, numbers := 0.0, []int{16, 64}
	if b.quick {
		numbers = numbers[:1]
	}
	for _, workers := range numbers {
		err := l.within(func() error {
			calls, err := one.enlist(ctx, workers)
			if err != nil {
				return err
			}
			length := b.scaled(hotLength)
			s, err := play(ctx, calls, func(spent time.Duration, _ int) bool { return spent < length })
			b.say("%-10s %s, %d at a time: %.0f/s", "row lock", one.name, workers, s.perSecond())
			if s.perSecond() > most {
				most, one.workers = s.perSecond(), workers
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
