package main

import (
	"context"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shopspring/decimal"

	"stayhold/shared/booking"
	"stayhold/shared/hold"
	"stayhold/shared/hold/holdtest"
	"stayhold/shared/postgres"
	"stayhold/shared/postgres/migrations"
	"stayhold/shared/postgres/postgrestest"
)

// lab is a Postgres that flushes and a Redis that appends, as in the local stack, for what is measured in this process.
type lab struct {
	database    string // its owner's URL
	redis       string // URL
	secureRedis string // the same over TLS, where it shows a certificate
	event       event  // of a reserve
	complete    event
	admin       booking.Admin
	users       atomic.Int64
	mu          sync.Mutex
	undo        []func()
}

// openLab starts the servers below dir and brings the schema up. An error is one line for a person, which names what
// has to be installed when a server is missing; nothing is left running then.
func openLab(ctx context.Context, root, dir string) (*lab, error) {
	return openLabWith(ctx, root, dir, postgrestest.Config{})
}

// openLabWith does so with what else the database is to do: show a certificate, as Redis then does too, or keep a log.
func openLabWith(ctx context.Context, root, dir string, c postgrestest.Config) (_ *lab, err error) {
	l := &lab{}
	defer func() {
		if err != nil {
			l.close()
		}
	}()
	if l.event, err = readEvent(filepath.Join(root, "events", "reserve.json")); err != nil {
		return nil, err
	}
	if l.complete, err = readEvent(filepath.Join(root, "events", "complete.json")); err != nil {
		return nil, err
	}
	c.Dir, c.Fsync = filepath.Join(dir, "postgres"), true
	db, err := postgrestest.Start(ctx, c)
	if err != nil {
		return nil, err
	}
	l.later(db.Stop)
	gate, err := holdtest.Start(ctx, holdtest.Config{Dir: filepath.Join(dir, "redis"), Certificate: c.Certificate})
	if err != nil {
		return nil, err
	}
	l.later(gate.Stop)
	l.database, l.redis, l.secureRedis = db.URL(), gate.URL(), gate.SecureURL()
	if _, err := migrations.Run(ctx, postgres.Options{URL: l.database}); err != nil {
		return nil, err
	}
	if _, err := postgrestest.PutLogin(ctx, l.database); err != nil {
		return nil, err
	}
	l.admin.Store, l.admin.Gate, err = l.ports(l.direct())
	return l, err
}

// later keeps what will undo something; the last is undone first.
func (l *lab) later(undo func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.undo = append(l.undo, undo)
}

// close ends every connection, then the servers.
func (l *lab) close() { l.closeTo(0) }

// within closes what is opened while run goes on: connections of one measure are not in the next one's way.
func (l *lab) within(run func() error) error {
	l.mu.Lock()
	kept := len(l.undo)
	l.mu.Unlock()
	defer l.closeTo(kept)
	return run()
}

func (l *lab) closeTo(kept int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := len(l.undo) - 1; i >= kept; i-- {
		l.undo[i]()
	}
	l.undo = l.undo[:kept]
}

// direct leads the functions' login straight to the database.
func (l *lab) direct() postgres.Options {
	return postgres.Options{URL: postgrestest.Functions(l.database)}
}

// ports opens a store and a gate as one environment of a function does.
func (l *lab) ports(o postgres.Options) (*postgres.Store, *hold.Gate, error) {
	db, err := postgres.Open(o)
	if err != nil {
		return nil, nil, err
	}
	l.later(db.Close)
	gate, err := hold.New(hold.Options{URL: l.redis})
	if err != nil {
		return nil, nil, err
	}
	l.later(func() { _ = gate.Close() }) // the process ends soon after
	return db, gate, nil
}

// product makes one that is on sale, with that many units.
func (l *lab) product(ctx context.Context, stock int64) (int64, error) {
	now := time.Now()
	return l.admin.PutProduct(ctx, booking.ProductDraft{
		Name: "a room", Price: decimal.New(100_000, 0), Stock: &stock, Status: "ACTIVE",
		SaleStartAt: now.Add(-time.Hour), CheckInAt: now.AddDate(0, 1, 0), CheckOutAt: now.AddDate(0, 1, 1),
	})
}

// productsOf makes that many, each with that many units.
func (l *lab) productsOf(ctx context.Context, n int, stock int64) ([]int64, error) {
	all := make([]int64, n)
	for i := range all {
		var err error
		if all[i], err = l.product(ctx, stock); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// user is one that nobody else of this run is.
func (l *lab) user() int64 { return l.users.Add(1) }
