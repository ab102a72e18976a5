package main

import (
	"context"
	"path/filepath"
	"time"

	"stayhold/shared/postgres"
	"stayhold/shared/postgres/postgrestest"
)

const pooledLength = 600 * time.Millisecond

// poolerGroup measures a reserve through PgBouncer in transaction mode beside one that goes straight to the database.
// That none of them fails goes without saying: one that did would end the run.
func poolerGroup(ctx context.Context, b *bench) error {
	l, err := openLab(ctx, b.root, filepath.Join(b.work, "pooler"))
	if err != nil {
		return err
	}
	defer l.close()
	pooler, err := postgrestest.StartPooler(ctx, postgrestest.PoolerConfig{
		Dir: filepath.Join(b.work, "pooler", "pgbouncer"), DatabaseURL: l.database, Size: atOnce,
	})
	if err != nil {
		return err
	}
	l.later(pooler.Stop)
	product, err := l.product(ctx, unlimited)
	if err != nil {
		return err
	}
	r, err := duel{
		name: "pooler", workers: atOnce, rounds: b.rounds, length: b.scaled(pooledLength),
		handler: l.reserves("pooled", postgres.Options{URL: postgrestest.Functions(pooler.URL()), Pooler: true}, 201, product),
		floor:   l.reserves("direct", l.direct(), 201, product),
	}.fight(ctx, b.say)
	if err != nil {
		return err
	}
	b.report.goal("10", "reserve through a transaction pooler ÷ direct, no errors: throughput", r.ratio(sample.perSecond), atLeast, 0.80)
	b.report.both("reserve", r)
	return nil
}
