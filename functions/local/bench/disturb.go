package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"stayhold/shared/booking"
	"stayhold/shared/postgres"
	"stayhold/shared/postgres/postgrestest"
)

// set makes what the stretches work on, and opens whoever works.
func (t *tail) set(ctx context.Context) error {
	began := time.Now()
	backlog, holds := t.fewer(tailBacklog), t.fewer(manyHolds)
	t.users.Store(backlog)
	open, err := t.product(ctx, unlimited)
	if err != nil {
		return err
	}
	if t.gone, err = t.goneProduct(ctx); err != nil {
		return err
	}
	if err := t.pileUp(ctx, backlog); err != nil {
		return err
	}
	if err := t.crowd(ctx); err != nil {
		return err
	}
	for _, sql := range []string{`CREATE TABLE bare (at timestamptz)`, `CREATE TABLE dirt (filler text)`} {
		if err := postgrestest.Exec(ctx, t.database, sql); err != nil {
			return err
		}
	}
	if t.door, err = t.bench.door(t.redis); err != nil {
		return err
	}
	t.later(func() { _ = t.door.client.Close() }) // nothing is under way on it
	t.door.user, t.door.product = 1<<40, 1<<40    // whom and what the database does not know
	text, err := t.door.client.Info(ctx, "server").Result()
	if err != nil {
		return err
	}
	if t.gate, err = strconv.Atoi(infoOf(text, "process_id")); err != nil {
		return err
	}
	for _, set := range [][2]string{
		{"auto-aof-rewrite-percentage", "0"}, // a disturbance says when
		{"slowlog-log-slower-than", "1000"}, {"slowlog-max-len", "10000"},
	} {
		if err := t.door.client.ConfigSet(ctx, set[0], set[1]).Err(); err != nil {
			return err
		}
	}
	if _, err := t.door.seed(ctx, holds, unlimited, time.Now().Add(holdTTL)); err != nil {
		return err
	}
	wire, err := postgrestest.NewWire(t.database)
	if err != nil {
		return err
	}
	t.later(wire.Close)
	for _, one := range []struct {
		scene *scene
		url   string
	}{{&t.near, t.database}, {&t.far, wire.URL()}} {
		if *one.scene, err = t.staged(ctx, one.url, open); err != nil {
			return err
		}
	}
	wire.Delay(tailAway)
	if t.refused, err = t.gathered(ctx, t.direct(), t.gone); err != nil {
		return err
	}
	t.say("%-10s %d lapsed bookings and %d holds are there  (%.1f s)", "tail", backlog, holds, time.Since(began).Seconds())
	return nil
}

// heldSQL makes open bookings of one product, by users who come only for it.
const heldSQL = `
INSERT INTO booking (user_id, product_id, total_amount, hold_token, hold_expires_at, check_in_at)
SELECT (1::bigint << 41) + n, $1, 100000, md5('held' || n), now() + interval '1 hour', now() + interval '1 month'
FROM generate_series(1, $2::bigint) AS n`

// crowd makes a product with many open bookings, and one unit more.
func (t *tail) crowd(ctx context.Context) (err error) {
	held := t.fewer(lapsedHolds)
	if t.crowded, err = t.product(ctx, held+1_000); err != nil {
		return err
	}
	if err := postgrestest.Exec(ctx, t.database, heldSQL, t.crowded, held); err != nil {
		return err
	}
	return postgrestest.Exec(ctx, t.database, `VACUUM ANALYZE`)
}

// staged is a scene of a product that has a unit for everybody, with the database at url, in which nothing happens.
func (t *tail) staged(ctx context.Context, url string, product int64) (scene, error) {
	s := scene{product: product}
	for range tailProbes {
		conn, err := t.bare(ctx, url)
		if err != nil {
			return s, err
		}
		s.bare = append(s.bare, worker{call: func(ctx context.Context) error {
			_, err := conn.Exec(ctx, `INSERT INTO bare VALUES (now())`)
			return err
		}})
	}
	var err error
	s.buyers, err = t.gathered(ctx, postgres.Options{URL: postgrestest.Functions(url)}, product)
	return s, err
}

// guest is a handler, and the servers that work for nobody else, and for all.
type guest struct {
	attempt
	served servers
}

// gathered are buyers who have made their first calls.
func (t *tail) gathered(ctx context.Context, o postgres.Options, product int64) ([]guest, error) {
	var all []guest
	for range tailBuyers {
		handler, err := t.reserving(o)
		if err != nil {
			return nil, err
		}
		one := t.knock(handler)
		before, err := t.sessions(ctx)
		if err != nil {
			return nil, err
		}
		for range warmCalls {
			if _, err := one(ctx, t.user(), product); err != nil {
				return nil, err
			}
		}
		pids, err := t.sessions(ctx)
		if err != nil {
			return nil, err
		}
		pids = slices.DeleteFunc(pids, func(pid int) bool { return slices.Contains(before, pid) })
		served := serversOf(append(pids, t.gate)...)
		t.later(served.close)
		all = append(all, guest{one, served})
	}
	return all, nil
}

// sessions are the processes that work for the functions.
func (t *tail) sessions(ctx context.Context) (pids []int, err error) {
	err = postgrestest.Row(ctx, t.database, `SELECT coalesce(array_agg(pid), '{}') FROM pg_stat_activity WHERE application_name = 'stayhold'`, &pids)
	return pids, err
}

// lapse is a product whose units are all held until one moment, in the middle of the stretch: buyers are refused until
// then and admitted from there on, and each clears some of the holds away.
func (t *tail) lapse(ctx context.Context) (scene, error) {
	s, holds := t.near, t.fewer(lapsedHolds)
	var err error
	if s.product, err = t.product(ctx, holds); err != nil {
		return s, err
	}
	k, err := t.door.fill(ctx, s.product, holds, holds, time.UnixMilli(1), 1)
	if err != nil {
		return s, err
	}
	s.full = true
	deadline := time.Now().Add(t.scaled(tailLength) / 2)
	err = t.door.client.ZUnionStore(ctx, k.holds, &redis.ZStore{Keys: []string{k.holds}, Weights: []float64{float64(deadline.UnixMilli())}}).Err()
	return s, err
}

// swept has the sweep work for as long as the stretch lasts, on the products at which buyers are.
func (t *tail) swept(context.Context) (scene, error) {
	s := t.near
	s.happens = func(ctx context.Context) (string, error) {
		ctx, cancel := context.WithTimeout(ctx, t.scaled(tailLength)+sweepReserve)
		defer cancel()
		report, err := t.sweep().Run(ctx)
		if err == nil && report.Lapsed == 0 {
			err = errors.New("the sweep finds nothing that has lapsed")
		}
		return fmt.Sprintf("   %d bookings swept", report.Lapsed), err
	}
	return s, nil
}

// warmed has the gate of a product with many places be lost, and a buyer come who fills it again.
func (t *tail) warmed(context.Context) (scene, error) {
	s := t.near
	s.happens = func(ctx context.Context) (string, error) {
		k := gateOf(t.crowded)
		if err := t.door.client.Unlink(ctx, k.product, k.holds, k.tokens, k.bookings).Err(); err != nil {
			return "", err
		}
		began := time.Now()
		_, err := t.reserve().Run(ctx, booking.ReserveCommand{UserID: t.user(), ProductID: t.crowded})
		return fmt.Sprintf("   filled in %.1f s", time.Since(began).Seconds()), err
	}
	return s, nil
}

// rewrite has Redis write its file anew, by a child that shares its memory.
func (t *tail) rewrite(context.Context) (scene, error) {
	s := t.near
	s.happens = func(ctx context.Context) (string, error) {
		began := time.Now()
		if err := t.door.client.BgRewriteAOF(ctx).Err(); err != nil {
			return "", err
		}
		for {
			text, err := t.door.client.Info(ctx, "persistence", "stats").Result()
			switch {
			case err != nil:
				return "", err
			case infoOf(text, "aof_rewrite_in_progress") == "0" && infoOf(text, "aof_rewrite_scheduled") == "0":
				if status := infoOf(text, "aof_last_bgrewrite_status"); status != "ok" {
					return "", errors.New("the rewrite ended: " + status)
				}
				return fmt.Sprintf("   fork %s µs, rewritten in %.1f s", infoOf(text, "latest_fork_usec"), time.Since(began).Seconds()), nil
			}
			select {
			case <-time.After(20 * time.Millisecond):
			case <-ctx.Done():
				return "", ctx.Err()
			}
		}
	}
	return s, nil
}

// infoOf is one value of what Redis says of itself.
func infoOf(text, name string) string {
	_, line, _ := strings.Cut(text, "\n"+name+":")
	value, _, _ := strings.Cut(line, "\r")
	return value
}

// checkpoint has Postgres write all pages that are dirty at once, which it does over minutes by itself.
func (t *tail) checkpoint(ctx context.Context) (scene, error) {
	s := t.near
	// Seven rows to a page.
	err := postgrestest.Exec(ctx, t.database, `INSERT INTO dirt SELECT repeat('x', 1000) FROM generate_series(1, 7 * $1::bigint)`, t.fewer(tailPages))
	s.happens = func(ctx context.Context) (string, error) {
		began := time.Now()
		err := postgrestest.Exec(ctx, t.database, `CHECKPOINT`)
		return fmt.Sprintf("   %d pages in %.1f s", t.fewer(tailPages), time.Since(began).Seconds()), err
	}
	return s, err
}
