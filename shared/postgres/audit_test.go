package postgres_test

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"stayhold/shared/postgres"
	"stayhold/shared/postgres/postgrestest"
)

// Bounds of an audit: of all of 50,000 bookings, and of one product's 500 among them.
// They are generous: this machine does it in a fraction of the time when nobody else
// uses it.
const (
	auditAllWithin = 20 * time.Second
	auditOneWithin = 2 * time.Second
)

func TestAuditOfManyBookingsIsBounded(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t, migrate)
	if err := postgrestest.Bulk(t.Context(), url, 100, 50_000); err != nil {
		t.Fatal(err)
	}
	store := open(t, url, false)
	for _, one := range []struct {
		product int64
		within  time.Duration
	}{{0, auditAllWithin}, {7, auditOneWithin}} {
		began := time.Now()
		found, err := store.Breaches(t.Context(), one.product)
		if err != nil || len(found) > 0 {
			t.Errorf("audit of product %d: %v %v", one.product, found, err)
		}
		took := time.Since(began)
		t.Logf("audit of product %d: %v", one.product, took)
		if took > one.within {
			t.Errorf("audit of product %d took %v, and may take %v", one.product, took, one.within)
		}
	}
	plansUseIndexes(t, url)
}

// plansUseIndexes holds every statement of one product's audit against its plan: no
// table that grows with the sales is read from end to end.
func plansUseIndexes(t *testing.T, url string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context()) //nolint:errcheck // the test is over
	var ids []int64
	if err := conn.QueryRow(t.Context(), `SELECT array_agg(id) FROM booking WHERE product_id = 7`).Scan(&ids); err != nil || len(ids) != 500 {
		t.Fatalf("%d bookings: %v", len(ids), err)
	}
	for name, asked := range postgres.ProductStatements(7, ids) {
		var lines []string
		rows, err := conn.Query(t.Context(), `EXPLAIN (COSTS OFF) `+asked.SQL, asked.Args...)
		if err != nil {
			t.Fatal(err)
		}
		if lines, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		plan := strings.Join(lines, "\n")
		for _, table := range []string{"booking", "payment", "payment_attempt", "outbox", "booking_event", "point_ledger"} {
			if strings.Contains(plan, "Seq Scan on "+table+" ") {
				t.Errorf("%s reads all of %s:\n%s", name, table, plan)
			}
		}
	}
}
