package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"stayhold/shared/booking"
	"stayhold/shared/postgres"
	"stayhold/shared/postgres/postgrestest"
)

const (
	growthCalls    = 300
	growthProducts = 100
	// growthLimit is how much more a call may take on the largest tables than on the smallest.
	growthLimit = 2
	// smallTable is what the planner may read whole: some pages are no more than a look into an index.
	smallTable = 5_000
)

// growthGroup measures what each call costs as the tables grow, and that none of them reads a large table whole.
func growthGroup(ctx context.Context, b *bench) error {
	return b.grow(ctx, []int64{1_000, 100_000})
}

// growthLargeGroup does so on tables that take minutes and gigabytes to fill.
func growthLargeGroup(ctx context.Context, b *bench) error {
	b.say("%-10s ten million bookings take some 15 GB of disk below %s, and a quarter of an hour or more", "growth", b.work)
	return b.grow(ctx, []int64{1_000, 1_000_000, 10_000_000})
}

func (b *bench) grow(ctx context.Context, sizes []int64) error {
	if b.quick {
		sizes = []int64{1_000, 5_000}
	}
	smallest := map[string]float64{}
	for i, size := range sizes {
		took, err := b.grown(ctx, size)
		if err != nil {
			return fmt.Errorf("%d bookings: %w", size, err)
		}
		for _, path := range paths {
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

// paths are the calls that a request or a sweep makes. n is another number each time.
var paths = []struct {
	name string
	call func(ctx context.Context, s *postgres.Store, n, size int64) error
}{
	{"reserve", func(ctx context.Context, s *postgres.Store, n, size int64) error {
		user := 10*size + n
		_, err := s.Open(ctx, booking.Opening{
			Hold:     booking.Hold{UserID: user, ProductID: 1 + n%growthProducts, Token: fmt.Sprintf("growth-%d", user)},
			Deadline: time.Now().Add(time.Hour), MaxOpenHolds: maxOpenHolds,
		})
		return err
	}},
	{"booking", func(ctx context.Context, s *postgres.Store, n, size int64) error {
		id := 1 + n*7919%size // user n has booking n
		_, err := s.Booking(ctx, id, id)
		return err
	}},
	{"bookings", func(ctx context.Context, s *postgres.Store, n, size int64) error {
		_, err := s.BookingsOf(ctx, 1+n*7919%size, "", booking.Page{Limit: 20})
		return err
	}},
	{"checkout", func(ctx context.Context, s *postgres.Store, n, size int64) error {
		_, err := s.Checkout(ctx, 1+n*7919%size, 1+n%growthProducts)
		return err
	}},
	{"sweep", func(ctx context.Context, s *postgres.Store, _, _ int64) error {
		if _, err := s.LapsedBookings(ctx, time.Minute, 100); err != nil {
			return err
		}
		if _, err := s.DueApprovals(ctx, 100); err != nil {
			return err
		}
		if _, err := s.DueRefunds(ctx, 100); err != nil {
			return err
		}
		if _, err := s.Unsent(ctx, time.Minute, 100); err != nil {
			return err
		}
		_, err := s.Outstanding(ctx)
		return err
	}},
}

// grown measures all paths on tables of that size: microseconds, a median for each round.
func (b *bench) grown(ctx context.Context, size int64) (map[string][]float64, error) {
	began := time.Now()
	l, err := openLab(ctx, b.root, filepath.Join(b.work, fmt.Sprintf("growth-%d", size)))
	if err != nil {
		return nil, err
	}
	defer l.close()
	if err := postgrestest.Bulk(ctx, l.database, growthProducts, size); err != nil {
		return nil, err
	}
	store, _, err := l.ports(l.direct())
	if err != nil {
		return nil, err
	}
	took := map[string][]float64{}
	n := int64(0)
	round := func(path int, calls int) (float64, error) {
		var each []float64
		for range calls {
			n++
			at := time.Now()
			if err := paths[path].call(ctx, store, n, size); err != nil {
				return 0, fmt.Errorf("%s: %w", paths[path].name, err)
			}
			each = append(each, float64(time.Since(at).Nanoseconds())/1000)
		}
		return spreadOf(each).median, nil
	}
	for path := range paths {
		if _, err := round(path, warmCalls); err != nil {
			return nil, err
		}
	}
	read, err := l.readWhole(ctx)
	if err != nil {
		return nil, err
	}
	for range b.rounds {
		for path := range paths {
			median, err := round(path, growthCalls/b.rounds)
			if err != nil {
				return nil, err
			}
			took[paths[path].name] = append(took[paths[path].name], median)
		}
	}
	store.Close() // a session tells what it has read when it ends
	if err := l.readNoMore(ctx, read); err != nil {
		return nil, err
	}
	var tables, indexes int64
	if err := postgrestest.Row(ctx, l.database, `SELECT sum(pg_table_size(oid))::bigint, sum(pg_indexes_size(oid))::bigint
FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace`, &tables, &indexes); err != nil {
		return nil, err
	}
	b.say("%-10s %d bookings: %d MB of tables, %d MB of indexes, none read whole  (%.1f s)", "growth", size, tables>>20, indexes>>20, time.Since(began).Seconds())
	return took, nil
}

// readWhole is how often each table that is not small has been read from its first row to its last.
func (l *lab) readWhole(ctx context.Context) (times map[string]int64, err error) {
	// What a session has done is told some time after it is done.
	select {
	case <-time.After(1500 * time.Millisecond):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	err = postgrestest.Row(ctx, l.database, fmt.Sprintf(`SELECT coalesce(jsonb_object_agg(relname, seq_scan), '{}') FROM pg_stat_user_tables WHERE n_live_tup > %d`, smallTable), &times)
	return times, err
}

// readNoMore is an error if one of those tables has been read whole since then. One that has only grown beyond a small
// table meanwhile may have been read while it was one.
func (l *lab) readNoMore(ctx context.Context, then map[string]int64) error {
	now, err := l.readWhole(ctx)
	if err != nil {
		return err
	}
	for table, times := range then {
		if now[table] > times {
			return fmt.Errorf("%s, of more than %d rows, was read whole, %d times", table, smallTable, now[table]-times)
		}
	}
	return nil
}
