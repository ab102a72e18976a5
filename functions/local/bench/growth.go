package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"stayhold/shared/postgres"
	"stayhold/shared/postgres/postgrestest"
)

const (
	growthCalls    = 140
	growthWarm     = 10
	growthProducts = 100
	// growthLimit is how much more a call may take on the largest tables than on the smallest.
	growthLimit = 2
)

// growthGroup measures what each call costs as the tables grow, and on the largest that every statement finds what it
// reads by an index, and that what has expired goes faster than it comes.
func growthGroup(ctx context.Context, b *bench) error {
	return b.grow(ctx, []int64{1_000, 100_000, 1_000_000}, 0)
}

func (b *bench) grow(ctx context.Context, sizes []int64, insertGoal float64) error {
	if b.quick {
		sizes = []int64{1_000, 20_000}
	}
	smallest := map[string]float64{}
	for i, size := range sizes {
		took, err := b.grown(ctx, size, i == len(sizes)-1, insertGoal)
		if err != nil {
			return fmt.Errorf("%d bookings: %w", size, err)
		}
		for _, path := range paths {
			if path.grows {
				continue
			}
			s := spreadOf(took[path.name])
			b.report.amount(fmt.Sprintf("growth-%s-%d", path.name, size), fmt.Sprintf("%s, %d bookings", path.name, size), "µs", s)
			switch i {
			case 0:
				smallest[path.name] = s.median
			case len(sizes) - 1:
				b.report.goal("growth-"+path.name, fmt.Sprintf("    ÷ with %d", sizes[0]), spreadOf(divided(took[path.name], smallest[path.name])), atMost, growthLimit)
			}
		}
	}
	return nil
}

func divided(values []float64, by float64) []float64 {
	out := slices.Clone(values)
	for i := range out {
		out[i] /= by
	}
	return out
}

// grown measures all paths on tables of that size: microseconds, a median for each round. The largest tables are good for
// more.
func (b *bench) grown(ctx context.Context, size int64, largest bool, insertGoal float64) (map[string][]float64, error) {
	began := time.Now()
	dir := filepath.Join(b.work, fmt.Sprintf("growth-%d", size))
	said := &serverLog{}
	l, err := openLabWith(ctx, b.root, dir, postgrestest.Config{Log: said})
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // the whole run's folder goes in the end
	defer l.close()
	if err := postgrestest.Bulk(ctx, l.database, growthProducts, size); err != nil {
		return nil, err
	}
	filled := time.Since(began)
	// A flush takes as long among few rows as among many, and would hide the rest.
	if err := postgrestest.Exec(ctx, l.database, `ALTER ROLE stayhold_functions SET synchronous_commit = off`); err != nil {
		return nil, err
	}
	n := int64(0)
	next := func(store *postgres.Store) *walker {
		n++
		return &walker{store: store, n: n, size: size, deadline: time.Hour}
	}
	took, err := b.walk(ctx, l, next)
	if err != nil || !largest {
		b.say("%-10s %d bookings  (%.1f s, %.1f of them to fill the tables)", "growth", size, time.Since(began).Seconds(), filled.Seconds())
		return took, err
	}
	plans, err := l.explain(ctx, said, next)
	if err != nil {
		return nil, err
	}
	b.report.plans = plans
	if err := b.sizes(ctx, l, size); err != nil {
		return nil, err
	}
	if err := b.inserts(ctx, l, size, insertGoal); err != nil {
		return nil, err
	}
	if err := b.removes(ctx, l, size); err != nil {
		return nil, err
	}
	b.say("%-10s %d bookings, and none of %d plans reads a large table whole  (%.1f s, %.1f of them to fill the tables)",
		"growth", size, len(plans), time.Since(began).Seconds(), filled.Seconds())
	return took, nil
}

// walk takes the paths, round by round.
func (b *bench) walk(ctx context.Context, l *lab, next func(*postgres.Store) *walker) (map[string][]float64, error) {
	store, _, err := l.ports(l.direct())
	if err != nil {
		return nil, err
	}
	defer store.Close()
	calls := growthCalls
	if b.quick {
		calls /= 10
	}
	took := map[string][]float64{}
	for round := range b.rounds + 1 {
		for _, path := range paths {
			if path.grows {
				continue
			}
			many := calls / b.rounds
			if round == 0 {
				many = growthWarm
			}
			var each []float64
			for range many {
				one, err := path.walk(ctx, next(store))
				if err != nil {
					return nil, err
				}
				each = append(each, float64(one.Nanoseconds())/1000)
			}
			if round > 0 {
				took[path.name] = append(took[path.name], spreadOf(each).median)
			}
		}
	}
	return took, nil
}

// sizes tells what the tables and their indexes take.
func (b *bench) sizes(ctx context.Context, l *lab, size int64) error {
	var tables, indexes int64
	var names []string
	var each []int64
	if err := postgrestest.Row(ctx, l.database, `SELECT sum(pg_table_size(oid))::bigint, sum(pg_indexes_size(oid))::bigint
FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace`, &tables, &indexes); err != nil {
		return err
	}
	if err := postgrestest.Row(ctx, l.database, `SELECT array_agg(x.relname::text ORDER BY x.oid), array_agg(pg_relation_size(x.oid) ORDER BY x.oid)
FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid WHERE i.indrelid = 'booking'::regclass`, &names, &each); err != nil {
		return err
	}
	tell := func(id, name, unit string, value float64) {
		b.report.amount(fmt.Sprintf("size-%s-%d", id, size), name, unit, spreadOf([]float64{value}))
	}
	tell("tables", fmt.Sprintf("all tables, %d bookings", size), "MiB", float64(tables)/mebibyte)
	tell("indexes", "    their indexes", "MiB", float64(indexes)/mebibyte)
	tell("booking", "    for each booking, with all that belongs to it", "bytes", float64(tables+indexes)/float64(size))
	for i, name := range names {
		tell(strings.TrimPrefix(name, "booking_"), "    index "+name, "MiB", float64(each[i])/mebibyte)
	}
	return nil
}
