package main

import (
	"context"
	"fmt"
	"path/filepath"
	"syscall"
	"time"
)

const (
	largeSize = 10_000_000
	// bytesOfBooking is what a booking takes on disk while the tables are filled: 1,500 of rows and indexes, and what sorts
	// and logs them.
	bytesOfBooking = 2_000
	insertLength   = 800 * time.Millisecond
	insertGoal     = 0.80
)

// growthLargeGroup does as growthGroup on tables that take minutes and gigabytes to fill, which it says first.
func growthLargeGroup(ctx context.Context, b *bench) error {
	b.say("%-10s ten million bookings take a quarter of an hour or more", "growth")
	if err := b.room(largeSize * bytesOfBooking); err != nil {
		return err
	}
	return b.grow(ctx, []int64{1_000, 1_000_000, largeSize}, insertGoal)
}

// gateLargeGroup holds a gate of ten million live holds against one of ten.
func gateLargeGroup(ctx context.Context, b *bench) error {
	b.say("%-10s ten million holds take more than a minute to write, and 2.5 GB of memory", "gate")
	return b.atGate(ctx, func(d *door) error { return d.sizes(ctx, "4-large-", growthLimit, largeSize) })
}

// room says what will be taken of the disk, and fails where it is not there.
func (b *bench) room(bytes uint64) error {
	var disk syscall.Statfs_t
	if err := syscall.Statfs(b.work, &disk); err != nil {
		return err
	}
	free := uint64(disk.Bavail) * uint64(disk.Bsize) //nolint:unconvert // their types are each system's own
	if free < bytes {
		return fmt.Errorf("it wants %d GB of disk below %s, where %d GB are free: set TMPDIR to where there is more", bytes/1e9, b.work, free/1e9)
	}
	b.say("%-10s up to %d GB of disk below %s, where %d GB are free", "growth", bytes/1e9, b.work, free/1e9)
	return nil
}

// insertSQL is the INSERT of open_booking.
const insertSQL = `
INSERT INTO booking (user_id, product_id, total_amount, hold_token, hold_expires_at, check_in_at)
VALUES ($1, $2, 100000, $3, now() + interval '1 hour', now() + interval '30 days')`

// inserts sets a booking's INSERT, with every index, check and foreign key, beside the same into an empty table.
func (b *bench) inserts(ctx context.Context, l *lab, size int64, goal float64) error {
	empty, err := openLab(ctx, b.root, filepath.Join(b.work, "growth-empty"))
	if err != nil {
		return err
	}
	defer empty.close()
	if _, err := empty.productsOf(ctx, growthProducts, 1000); err != nil {
		return err
	}
	r, err := duel{
		name: "insert", workers: 4, rounds: b.rounds, length: b.scaled(insertLength),
		handler: l.inserting("grown", size), floor: empty.inserting("empty", size),
	}.fight(ctx, b.say)
	if err != nil {
		return err
	}
	id := "13"
	if goal == 0 {
		id = "growth-insert"
	}
	b.report.amount(id, fmt.Sprintf("INSERT booking with every index among %d ÷ into an empty table: throughput", size), "", r.ratio(sample.perSecond)).aims(atLeast, goal)
	return nil
}

// inserting is a leg of INSERTs by users of its own.
func (l *lab) inserting(name string, size int64) leg {
	return leg{name: name, open: func(ctx context.Context) (call, error) {
		conn, err := l.bare(ctx, l.database)
		if err != nil {
			return nil, err
		}
		return func(ctx context.Context) error {
			token, err := newToken()
			if err != nil {
				return err
			}
			n := l.user()
			_, err = conn.Exec(ctx, insertSQL, 30*size+n, 1+n%growthProducts, token)
			return err
		}, nil
	}}
}
