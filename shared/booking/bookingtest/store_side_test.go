package bookingtest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"stayhold/shared/booking"
	"stayhold/shared/booking/bookingtest"
	"stayhold/shared/postgres"
	"stayhold/shared/postgres/migrations"
	"stayhold/shared/postgres/postgrestest"
)

// side is one of the two databases that are given the same operations. Their clocks
// differ once time has passed: in the fake the clock moves, in Postgres the rows do.
type party struct {
	booking.Store
	moment  time.Time // its clock when the operation under way began
	intents []booking.Intent
	refunds []booking.RefundIntent
	orders  map[string]string // order ids in the order of their appearance
	rows    func() map[string][]map[string]any
}

// in is a moment of the side's own clock.
func (s *party) in(span time.Duration) time.Time { return s.moment.Add(span) }

// pair is the fake and the real database, side by side.
type pair struct {
	t          *testing.T
	fake, real *party
	memory     *bookingtest.Database // the fake itself
	beside     func(sql string, args ...any) error
	ask        func(sql string, args ...any) (string, error)
	ahead      time.Duration // of the fake's clock
	passed     time.Time     // when time was last made to pass
	stalled    bool          // an operation was slow: from then on no times are compared
}

func migrate(ctx context.Context, url string) error {
	_, err := migrations.Run(ctx, postgres.Options{URL: url})
	return err
}

func newPair(t *testing.T) *pair {
	t.Helper()
	url := postgrestest.Database(t, migrate)
	store, err := postgres.Open(postgres.Options{URL: postgrestest.Functions(url)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	p := &pair{t: t, beside: postgrestest.Session(t, url), ask: postgrestest.Answers(t, url), real: &party{Store: store}}
	p.real.rows = p.realRows
	p.clear()
	return p
}

// table is what the comparison must know of one table.
type table struct {
	name  string
	order string
	times []string
	of    func(bookingtest.Rows) any
}

// tables lists every table with its times, which pass together.
var tables = []table{
	{"product", "id", []string{"sale_start_at", "check_in_at", "check_out_at", "created_at", "updated_at"}, func(r bookingtest.Rows) any { return r.Products }},
	{"booking", "id", []string{"hold_expires_at", "check_in_at", "created_at", "updated_at"}, func(r bookingtest.Rows) any { return r.Bookings }},
	{"payment", "id", []string{"created_at", "updated_at"}, func(r bookingtest.Rows) any { return r.Payments }},
	{"payment_attempt", "id", []string{"lease_until", "sendable_until", "next_try_at", "created_at", "updated_at"}, func(r bookingtest.Rows) any { return r.Attempts }},
	{"outbox", "id", []string{"created_at", "sent_at"}, func(r bookingtest.Rows) any { return r.Outbox }},
	{"user_point", "user_id", []string{"created_at", "updated_at"}, func(r bookingtest.Rows) any { return r.Balances }},
	{"point_ledger", "id", []string{"created_at"}, func(r bookingtest.Rows) any { return r.Ledger }},
	{"stock_adjustment", "id", []string{"created_at"}, func(r bookingtest.Rows) any { return r.Adjustments }},
	{"idempotency_key", `user_id, scope COLLATE "C", key COLLATE "C"`, []string{"claimed_until", "created_at"}, func(r bookingtest.Rows) any { return r.Keys }},
	{"spent_token", "created_at", []string{"created_at"}, func(r bookingtest.Rows) any { return r.SpentTokens }},
	{"booking_event", "id", []string{"at"}, func(r bookingtest.Rows) any { return r.Events }},
}

// unnamed lists the tables whose id is only their order: no row and no answer names it,
// and a refused statement of Postgres may have taken one.
var unnamed = []string{"point_ledger", "stock_adjustment", "booking_event"}

// clear empties both databases.
func (p *pair) clear() {
	p.t.Helper()
	// A TRUNCATE makes every file anew, which takes many times as long.
	p.everywhere(func(t table) string {
		sql := "DELETE FROM " + t.name + ";"
		if t.order == "id" {
			sql += fmt.Sprintf("PERFORM setval(pg_get_serial_sequence('%s', 'id'), 1, false);", t.name)
		}
		return sql
	})
	fake := &party{orders: map[string]string{}}
	db := bookingtest.NewDatabase(func() time.Time { return fake.moment })
	fake.Store, fake.rows = db, func() map[string][]map[string]any { return fakeRows(db.Rows()) }
	p.fake, p.memory, p.ahead, p.passed, p.stalled = fake, db, 0, time.Now(), false
	*p.real = party{Store: p.real.Store, rows: p.real.rows, orders: map[string]string{}}
}

func (p *pair) exec(sql string) {
	p.t.Helper()
	if err := p.beside(sql); err != nil {
		p.t.Fatalf("%s: %v", sql, err)
	}
}

// everywhere runs a statement on each table of Postgres, in one transaction. No trigger
// looks on: moved dates are no change of a product.
func (p *pair) everywhere(statement func(table) string) {
	p.t.Helper()
	sql := "DO $$ BEGIN PERFORM set_config('session_replication_role', 'replica', true);"
	for _, t := range tables {
		sql += statement(t)
	}
	p.exec(sql + "END $$")
}

// pass makes time pass on both sides.
func (p *pair) pass(span time.Duration) {
	p.t.Helper()
	p.everywhere(func(t table) string {
		set := make([]string, len(t.times))
		for i, column := range t.times {
			set[i] = fmt.Sprintf("%s = %s - interval '%d seconds'", column, column, span/time.Second)
		}
		return fmt.Sprintf("UPDATE %s SET %s;", t.name, strings.Join(set, ", "))
	})
	p.ahead += span
	p.passed = time.Now()
}

// slow is how long the real database may take for one operation. Past that what the two
// write is too far apart to compare by seconds, and stays so.
const slow = 400 * time.Millisecond

// both runs one operation on both sides.
func (p *pair) both(run func(s *party) reply) (fake, real reply, inTime bool) {
	begun := time.Now()
	p.real.moment = begun
	p.fake.moment = begun.Add(p.ahead)
	real = run(p.real)
	fake = run(p.fake)
	inTime = time.Since(begun) < slow
	p.stalled = p.stalled || !inTime
	return fake, real, inTime
}

// realRows reads every row of Postgres, by column.
func (p *pair) realRows() map[string][]map[string]any {
	parts := make([]string, len(tables))
	for i, t := range tables {
		parts[i] = fmt.Sprintf("'%s', (SELECT coalesce(jsonb_agg(to_jsonb(r) ORDER BY %s), '[]') FROM %s r)", t.name, t.order, t.name)
	}
	raw, err := p.ask("SELECT jsonb_build_object(" + strings.Join(parts, ", ") + ")::text")
	if err != nil {
		p.t.Fatal(err)
	}
	decoder := json.NewDecoder(strings.NewReader(raw))
	decoder.UseNumber()
	var rows map[string][]map[string]any
	if err := decoder.Decode(&rows); err != nil {
		p.t.Fatal(err)
	}
	for _, key := range rows["idempotency_key"] {
		key["outcome"] = key["outcome"] != nil
	}
	return rows
}

// fakeRows gives every row of the fake, by column.
func fakeRows(all bookingtest.Rows) map[string][]map[string]any {
	rows := map[string][]map[string]any{}
	for _, t := range tables {
		list := reflect.ValueOf(t.of(all))
		rows[t.name] = []map[string]any{}
		for i := range list.Len() {
			columns := map[string]any{}
			for field, value := range list.Index(i).Fields() {
				if value.Kind() == reflect.Pointer {
					columns[snake(field.Name)] = !value.IsNil() // what a key remembers is compared when it is recalled
				} else {
					columns[snake(field.Name)] = value.Interface()
				}
			}
			rows[t.name] = append(rows[t.name], columns)
		}
	}
	return rows
}

// snake is a field's name as its column has it.
func snake(name string) string {
	var b strings.Builder
	for i, r := range strings.ReplaceAll(name, "ID", "Id") {
		if r >= 'A' && r <= 'Z' {
			if i > 0 {
				b.WriteByte('_')
			}
			r += 'a' - 'A'
		}
		b.WriteRune(r)
	}
	return b.String()
}
