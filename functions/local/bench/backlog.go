package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"stayhold/shared/booking"
	"stayhold/shared/postgres/postgrestest"
)

const (
	backlogBookings = 100_000
	backlogProducts = 20
	longestLock     = 100 * time.Millisecond
	sweepTime       = 50 * time.Second // SweepFunction's timeout
	sweepReserve    = 10 * time.Second // what it leaves of that
	sweepBatch      = 100
)

// backlogSQL makes bookings whose holds lapsed an hour ago: half of them were never registered, the others have a
// payment that was never started.
var backlogSQL = []string{`
INSERT INTO booking (user_id, product_id, total_amount, hold_token, hold_expires_at, check_in_at)
SELECT n, (SELECT min(id) FROM product) + n % (SELECT count(*) FROM product), 100000, md5(n::text), now() - interval '1 hour', now() + interval '1 month'
FROM generate_series(1, $1::bigint) AS n`, `
INSERT INTO payment (booking_id, payment_method, amount, order_id)
SELECT id, 'CARD', 100000, 'sh-' || id FROM booking WHERE id % 2 = 0 AND $1::bigint > 0`, `
INSERT INTO user_point (user_id, balance) SELECT n, 0 FROM generate_series(1, $1::bigint) AS n`,
}

// backlogGroup measures how fast the sweep works through lapsed bookings that piled up, run after run as the schedule
// starts it, and how long it keeps others waiting for their rows.
func backlogGroup(ctx context.Context, b *bench) error {
	l, err := openLab(ctx, b.root, filepath.Join(b.work, "backlog"))
	if err != nil {
		return err
	}
	defer l.close()
	bookings := int64(backlogBookings)
	if b.quick {
		bookings /= 100
	}
	for range backlogProducts {
		id, err := l.product(ctx, bookings)
		if err != nil {
			return err
		}
		if err := l.warm(ctx, id); err != nil {
			return err
		}
	}
	if err := l.pileUp(ctx, bookings); err != nil {
		return err
	}
	w, err := watch(ctx, l.database)
	if err != nil {
		return err
	}
	began := time.Now()
	swept, runs, err := l.sweepAll(ctx, bookings)
	took := time.Since(began)
	if err := errors.Join(err, w.stop()); err != nil {
		return err
	}
	rate := float64(swept) / took.Seconds()
	b.say("%-10s %d lapsed bookings in %.1f s and %d runs of the sweep: %.0f a second", "backlog", swept, took.Seconds(), runs, rate)
	b.say("%-10s %d looks: the longest wait for a row %v, the oldest transaction %v, %d waits of more than %v",
		"backlog", w.looks, w.wait.Round(time.Microsecond), w.oldest.Round(time.Microsecond), w.late, longestLock)
	b.report.figures("backlog", "lapsed bookings, one sweep after the other", figures{PerSecond: rate})
	if !b.quick {
		// A short run beside other tests is kept from the processor while it has a lock: that it locks no more than one
		// booking at a time, a test of the sweep shows without a clock.
		b.report.amount("backlog-late", "waits for a row of more than 100 ms", "%", spreadOf([]float64{100 * float64(w.late) / float64(w.looks)})).judged(atMost, 0)
	}
	return nil
}

// pileUp makes so many lapsed bookings, of the products that there are and of the first users of all.
func (l *lab) pileUp(ctx context.Context, bookings int64) error {
	for _, sql := range backlogSQL {
		if err := postgrestest.Exec(ctx, l.database, sql, bookings); err != nil {
			return err
		}
	}
	return postgrestest.Exec(ctx, l.database, `VACUUM ANALYZE`)
}

// sweepAll runs the sweep until it finds nothing lapsed.
func (l *lab) sweepAll(ctx context.Context, bookings int64) (swept int64, runs int, err error) {
	step := l.sweep()
	for swept < bookings {
		limited, cancel := context.WithTimeout(ctx, sweepTime)
		report, err := step.Run(limited)
		cancel()
		runs++
		swept += int64(report.Lapsed)
		switch {
		case err != nil:
			return swept, runs, err
		case report.Lapsed == 0:
			return swept, runs, fmt.Errorf("the sweep finds nothing more after %d of %d bookings", swept, bookings)
		}
	}
	return swept, runs, nil
}

// sweep is the step as SweepFunction wires it, for work that needs neither gateway nor queue.
func (l *lab) sweep() booking.Sweep {
	return booking.Sweep{
		Compensate: booking.Compensate{Store: l.admin.Store, Gate: l.admin.Gate}, Queue: noQueue{},
		Reconcile: booking.Reconcile{Store: l.admin.Store, Gate: l.admin.Gate}, Batch: sweepBatch, Reserve: sweepReserve,
	}
}

// noQueue takes nothing: bookings that lapsed unpaid have nothing to send.
type noQueue struct{}

func (noQueue) Send(context.Context, ...booking.Message) error {
	return errors.New("a booking that nobody paid sends a message")
}

// watcher is a session beside the sweep that wants the rows it is at, and looks how old its transactions get.
type watcher struct {
	cancel context.CancelFunc
	done   sync.WaitGroup
	err    error

	looks, late  int
	wait, oldest time.Duration
}

// wantedSQL lock what the sweep is about to fence, the product that it belongs to, and its user's points.
var wantedSQL = []string{
	`SELECT id FROM booking WHERE id = (
		SELECT id FROM booking WHERE status IN ('INIT', 'PAYMENT_PENDING') ORDER BY hold_expires_at LIMIT 1) FOR UPDATE`,
	`SELECT id FROM booking WHERE id = (
		SELECT id FROM booking WHERE status IN ('INIT', 'PAYMENT_PENDING') ORDER BY hold_expires_at OFFSET 50 LIMIT 1) FOR UPDATE`,
	`SELECT id FROM product ORDER BY id LIMIT 1 FOR UPDATE`,
	`SELECT user_id FROM user_point WHERE user_id = (
		SELECT user_id FROM booking WHERE status IN ('INIT', 'PAYMENT_PENDING') ORDER BY hold_expires_at LIMIT 1) FOR UPDATE`,
}

const oldestSQL = `
SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0)::double precision
FROM pg_stat_activity WHERE application_name = 'stayhold' AND datname = current_database() AND xact_start IS NOT NULL`

// watch begins to look, and goes on until stop.
func watch(ctx context.Context, url string) (*watcher, error) {
	ctx, cancel := context.WithCancel(ctx)
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		cancel()
		return nil, err
	}
	w := &watcher{cancel: cancel}
	_, w.err = conn.Exec(ctx, fmt.Sprintf(`SET lock_timeout = %d`, longestLock.Milliseconds()))
	w.done.Go(func() {
		defer conn.Close(context.Background()) //nolint:errcheck // nothing to lose
		for w.err == nil && ctx.Err() == nil {
			w.err = w.look(ctx, conn)
		}
		if ctx.Err() != nil {
			w.err = nil
		}
	})
	return w, nil
}

// look takes each row for a moment. Only the server knows what was waiting for a lock and what for the processor: a
// wait that it gave up is one for a lock.
func (w *watcher) look(ctx context.Context, conn *pgx.Conn) error {
	for _, sql := range wantedSQL {
		began := time.Now()
		_, err := conn.Exec(ctx, sql)
		var refused *pgconn.PgError
		switch {
		case errors.As(err, &refused) && refused.Code == "55P03":
			w.late++
		case err != nil:
			return err
		}
		w.wait = max(w.wait, time.Since(began))
		w.looks++
	}
	var seconds float64
	if err := conn.QueryRow(ctx, oldestSQL).Scan(&seconds); err != nil {
		return err
	}
	w.oldest = max(w.oldest, time.Duration(seconds*float64(time.Second)))
	return nil
}

func (w *watcher) stop() error {
	w.cancel()
	w.done.Wait()
	if w.err == nil && w.looks == 0 {
		return errors.New("nobody looked")
	}
	return w.err
}
