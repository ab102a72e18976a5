package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"stayhold/shared/postgres/postgrestest"
)

const (
	// expired rows are enough to be removed for some seconds.
	expired    = 200_000
	sweepEvery = time.Minute // SweepFunction's schedule
	// kindsOfWork share a run of the sweep: so much of its time one of them has when the others use up theirs.
	kindsOfWork = 6
)

// expiries make rows that nobody will ask for again.
var expiries = []struct{ id, name, sql string }{
	{"growth-purge-keys", "idempotency keys removed in the sweep's share of time ÷ keyed calls that come", `
INSERT INTO idempotency_key (user_id, scope, key, fingerprint, request_id, outcome, created_at)
SELECT n, 'POST /bookings/reserve', gen_random_uuid()::text, 'f', 'r', k.outcome, now() - interval '25 hours'
FROM generate_series(1, $1::bigint) AS n, (SELECT outcome FROM idempotency_key WHERE outcome IS NOT NULL LIMIT 1) k`},
	{"growth-purge-outbox", "sent messages, the same", `
INSERT INTO outbox (booking_id, task, created_at, sent_at)
SELECT 1 + n % (SELECT max(id) FROM booking), 'compensate', now() - interval '8 days', now() - interval '8 days'
FROM generate_series(1, $1::bigint) AS n`},
}

// removes measures how fast a run of the sweep removes what has expired, while as many keyed calls as the database can
// take come beside it. Each of them leaves a key, and none more than one message.
func (b *bench) removes(ctx context.Context, l *lab, size int64) error {
	rows := int64(expired)
	if b.quick {
		rows /= 10
	}
	for _, one := range expiries {
		if err := postgrestest.Exec(ctx, l.database, one.sql, rows); err != nil {
			return err
		}
		removed, coming, err := l.removing(ctx, size, rows)
		if err != nil {
			return fmt.Errorf("%s: %w", one.id, err)
		}
		share := (sweepTime - sweepReserve).Seconds() / sweepEvery.Seconds() / kindsOfWork
		b.report.goal(one.id, fmt.Sprintf("%s: %.0f ÷ %.0f a second", one.name, removed*share, coming), spreadOf([]float64{removed * share / coming}), atLeast, 1)
	}
	return nil
}

// quietSQL leaves the sweep nothing else to do: what the paths have left open waits for later.
var quietSQL = []string{
	`UPDATE outbox SET sent_at = now() WHERE sent_at IS NULL`,
	`UPDATE payment_attempt SET next_try_at = now() + interval '1 hour' WHERE state IN ('REQUESTED', 'UNKNOWN', 'PENDING')`,
}

// removing runs the sweep once, beside reserves that bear a key: how many rows go and how many calls come a second.
func (l *lab) removing(ctx context.Context, size, rows int64) (removed, coming float64, err error) {
	for _, sql := range quietSQL {
		if err := postgrestest.Exec(ctx, l.database, sql); err != nil {
			return 0, 0, err
		}
	}
	err = l.within(func() error {
		var callers []call
		for range atOnce {
			one, err := l.keyed(size)
			if err != nil {
				return err
			}
			callers = append(callers, one)
		}
		var swept error
		over := make(chan struct{})
		go func() {
			defer close(over)
			removed, swept = l.sweepAway(ctx, rows)
		}()
		calls, err := play(ctx, callers, func(time.Duration, int) bool {
			select {
			case <-over:
				return false
			default:
				return true
			}
		})
		<-over
		coming = calls.perSecond()
		return errors.Join(err, swept)
	})
	return removed, coming, err
}

// sweepAway is one run of the sweep, as its schedule starts it; rows removed a second.
func (l *lab) sweepAway(ctx context.Context, rows int64) (perSecond float64, err error) {
	ctx, cancel := context.WithTimeout(ctx, sweepTime)
	defer cancel()
	began := time.Now()
	report, err := l.sweep().Run(ctx)
	if err == nil && report.Purged < rows {
		err = fmt.Errorf("a run of the sweep removes %d of %d rows", report.Purged, rows)
	}
	return float64(report.Purged) / time.Since(began).Seconds(), err
}

// keyed makes reserves that bear a key each: statements with nothing around them, by users whom nobody else is.
func (l *lab) keyed(size int64) (call, error) {
	store, _, err := l.ports(l.direct())
	return func(ctx context.Context) error {
		n := l.user()
		v := walker{store: store, n: 10*size + n, size: size, deadline: time.Hour}
		return reserves(ctx, &v)
	}, err
}
