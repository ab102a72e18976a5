package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"stayhold/shared/booking"
	"stayhold/shared/postgres/postgrestest"
)

const (
	auditedBookings = 1_000_000
	auditedProducts = 200
	// An invocation of AdminFunction ends after 300 s. What is held against these is processor time, of this process and the
	// servers: a busy machine changes it little.
	auditSeconds    = 150
	auditOneSeconds = 2
)

// auditGroup measures the audit of everything, and of one product among it: database and gate. A ledger is not in it,
// since no real gateway opens one.
func auditGroup(ctx context.Context, b *bench) error {
	l, err := openLab(ctx, b.root, filepath.Join(b.work, "audit"))
	if err != nil {
		return err
	}
	defer l.close()
	bookings, products := int64(auditedBookings), int64(auditedProducts)
	if b.quick {
		bookings, products = bookings/20, products/20
	}
	began := time.Now()
	if err := postgrestest.Bulk(ctx, l.database, products, bookings); err != nil {
		return err
	}
	for id := int64(1); id <= products; id++ {
		if err := l.warm(ctx, id); err != nil {
			return err
		}
	}
	b.say("%-10s %d bookings of %d products, in rows and gates  (%.1f s)", "audit", bookings, products, time.Since(began).Seconds())
	l.admin.Reconciler = booking.Reconcile{Store: l.admin.Store, Gate: l.admin.Gate}
	for _, one := range []struct {
		id, name string
		product  int64
		most     float64
	}{
		{"audit", fmt.Sprintf("audit of %d bookings", bookings), 0, auditSeconds},
		{"audit-one", fmt.Sprintf("    of one product's %d", bookings/products), 1, auditOneSeconds},
	} {
		began, clocks := time.Now(), readClocks()
		found, err := l.admin.Audit(ctx, one.product)
		took, worked := time.Since(began), readClocks().family-clocks.family
		switch {
		case err != nil:
			return err
		case len(found) > 0:
			return fmt.Errorf("the audit finds %d breaches in sound rows: %s", len(found), found[0].Detail)
		}
		b.say("%-10s %s: %.2f s, %.2f s of them processor time", "audit", one.name, took.Seconds(), worked.Seconds())
		b.report.amount(one.id, one.name+": processor time", "s", spreadOf([]float64{worked.Seconds()})).judged(atMost, one.most)
	}
	return nil
}

// warm seeds a product's gate as its first buyer would.
func (l *lab) warm(ctx context.Context, product int64) error {
	const nonce = "bench"
	facts, places, err := l.admin.Store.GatePlaces(ctx, product)
	if err != nil {
		return err
	}
	if mine, err := l.admin.Gate.MarkWarm(ctx, product, nonce); err != nil || !mine {
		return fmt.Errorf("warming product %d: %w", product, err)
	}
	if seeded, err := l.admin.Gate.Seed(ctx, nonce, facts, places); err != nil || !seeded {
		return fmt.Errorf("seeding product %d: %w", product, err)
	}
	return nil
}
