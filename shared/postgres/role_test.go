package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"stayhold/shared/booking"
	"stayhold/shared/postgres/postgrestest"
)

const (
	forbidden = "42501" // insufficient_privilege
	guarded   = "SH020" // a trigger of 003_guards.sql
)

// codeOf is the SQLSTATE that a statement ended with, empty when it did not fail.
func codeOf(err error) string {
	var refused *pgconn.PgError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &refused):
		return refused.Code
	}
	return err.Error()
}

// connect opens a session that the test closes.
func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// undone runs a statement in a transaction that leaves nothing behind.
func undone(t *testing.T, conn *pgx.Conn, sql string, args ...any) error {
	t.Helper()
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, err = tx.Exec(t.Context(), sql, args...)
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	return err
}

// tablesOf lists every table of ours.
func tablesOf(t *testing.T, owner *pgx.Conn) []string {
	t.Helper()
	rows, err := owner.Query(t.Context(), `SELECT relname FROM pg_class
		WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname <> 'goose_db_version' ORDER BY relname`)
	if err != nil {
		t.Fatal(err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(tables) < 11 {
		t.Fatalf("tables %v: %v", tables, err)
	}
	return tables
}

// TestTheFunctionsMayOnlyReadAndCall asks for what the functions' login must not do, on
// rows that are there, and expects to be refused for want of a right.
func TestTheFunctionsMayOnlyReadAndCall(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t, nil)
	if err := migrate(t.Context(), url); err != nil { // here itself: a copy has not the database's own rights
		t.Fatal(err)
	}
	if _, err := postgrestest.PutLogin(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	b := sold(t, open(t, url, false))
	owner := connect(t, url)
	functions := connect(t, postgrestest.Functions(url))
	refused := []string{
		`CREATE TABLE mine (n int)`, `CREATE TEMPORARY TABLE mine (n int)`, `CREATE VIEW mine AS SELECT 1`, `CREATE SCHEMA mine`,
		`CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'`, `CREATE OR REPLACE FUNCTION stuck_after() RETURNS integer LANGUAGE sql AS 'SELECT 9'`,
		`CREATE INDEX mine ON booking (id)`, `CREATE TRIGGER mine BEFORE UPDATE ON booking EXECUTE FUNCTION guard()`,
		`CREATE ROLE mine`, `CREATE EXTENSION citext`,
		`ALTER TABLE booking ADD COLUMN mine int`, `ALTER TABLE booking DISABLE TRIGGER booking_moves`, `ALTER TABLE booking OWNER TO stayhold_functions`,
		`ALTER FUNCTION cancel_booking SECURITY INVOKER`, `ALTER SCHEMA public RENAME TO mine`,
		`DROP TABLE booking_event`, `DROP FUNCTION guard() CASCADE`, `DROP TRIGGER booking_moves ON booking`, `DROP SCHEMA public CASCADE`,
		`GRANT stayhold TO stayhold_functions`,
		`SET ROLE stayhold`, `SET SESSION AUTHORIZATION stayhold`, `SET session_replication_role = replica`,
		`LOCK TABLE booking IN ACCESS EXCLUSIVE MODE`, `SELECT id FROM booking FOR UPDATE`, `SELECT id FROM goose_db_version`,
		`SELECT setval(pg_get_serial_sequence('booking', 'id'), 1)`,
		// The parts of an entry do nothing for who may not write.
		`SELECT note(1, 'CONFIRMED')`, `SELECT fence(b, 'FAILED', 'X', '') FROM booking b`, `SELECT command_refund(id, amount) FROM payment`,
		`SELECT remember(ARRAY['1', 's', 'k', 'f', 'r'], '{}')`, `SELECT promise(id, 'compensate') FROM booking`,
	}
	for _, table := range tablesOf(t, owner) {
		refused = append(refused, `DELETE FROM `+table, `TRUNCATE `+table+` CASCADE`, `INSERT INTO `+table+` DEFAULT VALUES`)
	}
	for table, columns := range map[string]string{
		"booking": "status, hold_expires_at, failure_code, total_amount, user_id", "payment": "status, amount", "payment_attempt": "state, lease_until",
		"point_ledger": "delta", "stock_adjustment": "delta", "booking_event": "event", "user_point": "balance",
		"product": "remaining_stock, total_stock, price", "outbox": "sent_at", "idempotency_key": "outcome", "spent_token": "created_at",
	} {
		for column := range strings.SplitSeq(columns, ", ") {
			refused = append(refused, fmt.Sprintf(`UPDATE %s SET %[2]s = %[2]s`, table, column))
		}
	}
	before := contents(t, owner)
	for _, sql := range refused {
		if code := codeOf(undone(t, functions, sql)); code != forbidden {
			t.Errorf("%s: %q", sql, code)
		}
	}
	if after := contents(t, owner); after != before {
		t.Errorf("something was written: %s, then %s", before, after)
	}
	for _, table := range tablesOf(t, owner) {
		if err := undone(t, functions, `SELECT count(*) FROM `+table); err != nil {
			t.Errorf("reading %s: %v", table, err)
		}
	}
	if n := number(t, postgrestest.Functions(url), `SELECT count(*) FROM booking WHERE id = $1 AND status = 'CONFIRMED'`, b.ID); n != 1 {
		t.Errorf("the booking is not CONFIRMED any more")
	}
}

// contents is how many rows each table has.
func contents(t *testing.T, owner *pgx.Conn) (all string) {
	t.Helper()
	for _, table := range tablesOf(t, owner) {
		var n int64
		if err := owner.QueryRow(t.Context(), `SELECT count(*) FROM `+table).Scan(&n); err != nil {
			t.Fatal(err)
		}
		all += fmt.Sprintf("%s %d, ", table, n)
	}
	return all
}

// TestOnlyTheEntriesLendTheirOwnersRights finds a routine that is an entry for too many,
// or that looks for its tables where a caller can put
// others, or that may keep a plan which reads a table whole.
func TestOnlyTheEntriesLendTheirOwnersRights(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t, migrate)
	rows, err := connect(t, url).Query(t.Context(), `
		SELECT proname::text, prosecdef, coalesce(array_to_string(proconfig, ';'), ''),
			has_function_privilege('public', oid, 'EXECUTE'), has_function_privilege('stayhold_app', oid, 'EXECUTE')
		FROM pg_proc WHERE pronamespace = 'public'::regnamespace`)
	if err != nil {
		t.Fatal(err)
	}
	type routine struct {
		Name           string
		Lends          bool
		Settings       string
		Anybody, Group bool
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[routine])
	if err != nil {
		t.Fatal(err)
	}
	entries := 0
	for _, r := range all {
		if !r.Lends {
			continue
		}
		entries++
		if r.Settings != "search_path=public, pg_temp;enable_seqscan=off;plan_cache_mode=force_generic_plan" || r.Anybody || !r.Group {
			t.Errorf("%+v", r)
		}
	}
	if entries != 19 {
		t.Errorf("%d entries, not 19", entries)
	}
}

// TestATemporaryTableStandsInForNothing: were a routine to look for its tables in the
// caller's session first, it would write there with its owner's rights.
func TestATemporaryTableStandsInForNothing(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t, migrate)
	b := sold(t, open(t, url, false))
	functions := connect(t, postgrestest.Functions(url))
	// A copy of a database lets everybody make temporary tables, as Postgres has it by default.
	for _, sql := range []string{
		`CREATE TEMPORARY TABLE booking (LIKE public.booking)`, `SET search_path = pg_temp, public`,
		fmt.Sprintf(`SELECT public.cancel_booking(1, %d, '', NULL)`, b.ID),
	} {
		if _, err := functions.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	if n := number(t, url, `SELECT count(*) FROM booking WHERE id = $1 AND status = 'CANCELLED'`, b.ID); n != 1 {
		t.Error("the cancel went elsewhere")
	}
}

// TestAnOwnerWhoMayMakeNoRoles migrates as one who owns the database and nothing more:
// first without the functions' role, as before there was one, and then with it.
func TestAnOwnerWhoMayMakeNoRoles(t *testing.T) {
	t.Parallel()
	postgrestest.URL(t) // skips where there is no Postgres
	srv, err := postgrestest.Start(t.Context(), postgrestest.Config{Dir: filepath.Join(t.TempDir(), "postgres")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Stop)
	exec := func(sql string) {
		t.Helper()
		if err := postgrestest.Exec(t.Context(), srv.URL(), sql); err != nil {
			t.Fatal(err)
		}
	}
	exec(`CREATE ROLE plain LOGIN PASSWORD 'plain'`)
	exec(`ALTER DATABASE stayhold OWNER TO plain`)
	owner := strings.Replace(srv.URL(), srv.URL()[strings.Index(srv.URL(), "//"):strings.Index(srv.URL(), "@")], "//plain:plain", 1)
	if err := migrate(t.Context(), owner); err != nil {
		t.Fatal(err)
	}
	if n := number(t, owner, `SELECT count(*) FROM pg_roles WHERE rolname = 'stayhold_app'`); n != 0 {
		t.Fatal("he made a role")
	}
	b := sold(t, openAs(t, owner, false))
	if err := postgrestest.Exec(t.Context(), owner, `UPDATE payment SET status = 'READY' WHERE booking_id = $1`, b.ID); err != nil {
		t.Errorf("by his own hand: %v", err)
	}
	if err := postgrestest.Exec(t.Context(), owner, `UPDATE payment SET status = 'SUCCESS' WHERE booking_id = $1`, b.ID); err != nil {
		t.Errorf("by his own hand, back: %v", err)
	}

	if _, err := postgrestest.PutLogin(t.Context(), srv.URL()); err != nil {
		t.Fatal(err)
	}
	functions := open(t, srv.URL(), false)
	if _, err := functions.Booking(t.Context(), 1, b.ID); !errors.Is(err, booking.ErrInternal) {
		t.Errorf("read before the role had its rights: %v", err)
	}
	if err := migrate(t.Context(), owner); err != nil {
		t.Fatal(err)
	}
	if _, err := functions.Cancel(t.Context(), booking.Cancellation{UserID: 1, BookingID: b.ID}); err != nil {
		t.Errorf("cancel: %v", err)
	}
	if code := codeOf(undone(t, connect(t, postgrestest.Functions(srv.URL())), `DELETE FROM booking_event`)); code != forbidden {
		t.Errorf("delete: %q", code)
	}
}
