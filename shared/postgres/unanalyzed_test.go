package postgres_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"stayhold/shared/booking"
	"stayhold/shared/postgres"
	"stayhold/shared/postgres/postgrestest"
)

// A sale begins on tables of which the planner knows nothing yet, or that they are empty or small. What it has planned
// then a connection keeps while they grow: no call may read more for it than its own rows.
func TestNobodyReadsAWholeSaleToFindHisOwnRows(t *testing.T) {
	t.Parallel()
	const (
		few, many = 8, 20
		others    = 3000
		// each is what a whole purchase, with a look at everything, reads of tables and indexes, and a half more.
		each = 150
	)
	for name, analyzed := range map[string]struct{ empty, small bool }{"never": {}, "when they were empty": {empty: true}, "when they were small": {small: true}} {
		for _, pooler := range []bool{false, true} {
			t.Run(fmt.Sprintf("analyzed %s, pooler %t", name, pooler), func(t *testing.T) {
				t.Parallel()
				url := postgrestest.Database(t, migrate)
				session := postgrestest.Session(t, url)
				run := func(sql string, args ...any) {
					t.Helper()
					if err := session(sql, args...); err != nil {
						t.Fatal(err)
					}
				}
				run(`DO $$ DECLARE one regclass; BEGIN
FOR one IN SELECT oid FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace LOOP
    EXECUTE format('ALTER TABLE %s SET (autovacuum_enabled = false)', one);
END LOOP; END $$`)
				if analyzed.empty {
					run(`VACUUM ANALYZE`)
				}
				store := open(t, url, pooler)
				room := product(t, store, 2*others)
				for user := range int64(few) {
					if analyzed.small && user == few/2 {
						run(`VACUUM ANALYZE`)
					}
					buy(t, store, user+1, room)
				}
				run(othersSQL, room, others)
				run(`SELECT pg_stat_force_next_flush()`)
				run(`SELECT pg_stat_reset()`)
				for user := range int64(many) {
					buy(t, store, few+user+1, room)
				}
				store.Close() // a session tells what it has read when it ends
				if read, where := readBy(t, url, many); read > each*many+others {
					t.Errorf("%d rows and entries were read for %d purchases: %s", read, many, where)
				}
			})
		}
	}
}

// A crowd of refunds that wait for a gateway does not stand between the sweep and the charges that it has to look up.
func TestDueChargesAreFoundBehindACrowdOfRefunds(t *testing.T) {
	t.Parallel()
	const crowd, due = 3000, 5
	url := postgrestest.Database(t, migrate)
	session := postgrestest.Session(t, url)
	run := func(sql string, args ...any) {
		t.Helper()
		if err := session(sql, args...); err != nil {
			t.Fatal(err)
		}
	}
	room := product(t, open(t, url, false), 2*crowd)
	// counted tells a number of what a call reads of the attempts, by a session of its own.
	user := int64(0)
	counted := func(number string, call func(*postgres.Store)) (n int64) {
		t.Helper()
		run(`VACUUM ANALYZE`)
		run(`SELECT pg_stat_force_next_flush()`)
		run(`SELECT pg_stat_reset()`)
		store := open(t, url, false)
		call(store)
		user++
		if _, err := store.Open(t.Context(), opening(user, room)); err != nil { // by which it is seen that the session has told
			t.Fatal(err)
		}
		store.Close()
		readBy(t, url, 1)
		sql := `SELECT ` + number + ` FROM pg_stat_user_tables JOIN pg_statio_user_tables USING (relid) WHERE relid = 'payment_attempt'::regclass`
		if err := postgrestest.Row(t.Context(), url, sql, &n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	run(othersSQL, room, crowd)
	run(`UPDATE payment_attempt SET next_try_at = now() - id * interval '1 second'`)
	run(`UPDATE payment_attempt SET kind = 'CANCEL', state = 'PENDING' WHERE id > (SELECT min(id) + $1 - 1 FROM payment_attempt)`, due)
	blocks := counted("idx_blks_hit + idx_blks_read", func(store *postgres.Store) {
		if list, err := store.DueApprovals(t.Context(), 100); err != nil || len(list) != due {
			t.Fatalf("%v %v", list, err)
		}
	})
	if blocks < 1 || blocks > 8 {
		t.Errorf("%d blocks of indexes were read for %d charges", blocks, due)
	}

	// An operator sends all of them on their way, batch by batch: none reads those of the others.
	run(`UPDATE payment_attempt SET next_try_at = now() + id * interval '1 second'`)
	rows := counted("seq_tup_read + idx_tup_fetch", func(store *postgres.Store) {
		if list, err := store.Redrive(t.Context(), 0); err != nil || len(list) != crowd {
			t.Fatalf("%d %v", len(list), err)
		}
	})
	if rows < crowd || rows > 3*crowd {
		t.Errorf("%d rows were read to redrive %d", rows, crowd)
	}
}

// othersSQL are $2 other buyers of product $1, whose approval is under way.
const othersSQL = `
WITH bought AS (
    INSERT INTO booking (user_id, product_id, total_amount, hold_token, hold_expires_at, check_in_at)
    SELECT 1000000 + n, $1, 100, md5(n::text), now() + interval '1 hour', now() + interval '2 hours' FROM generate_series(1, $2::bigint) AS n
    RETURNING id, user_id, hold_token
), due AS (
    INSERT INTO payment (booking_id, payment_method, amount, order_id)
    SELECT id, m, 50, CASE m WHEN 'CARD' THEN 'sh-' || hold_token END FROM bought, unnest(ARRAY['POINT', 'CARD']) AS m
    RETURNING id, booking_id, amount, order_id
), asked AS (
    INSERT INTO payment_attempt (payment_id, booking_id, kind, state, order_id, idempotency_key, payment_key, amount, next_try_at)
    SELECT id, booking_id, 'APPROVE', 'REQUESTED', order_id, 'approve-' || order_id, 'k', amount, now() + interval '1 hour' FROM due WHERE order_id IS NOT NULL
), noted AS (
    INSERT INTO booking_event (booking_id, event) SELECT id, e FROM bought, unnest(ARRAY['HELD', 'REGISTERED', 'CHARGE_REQUESTED']) AS e
), told AS (
    INSERT INTO outbox (booking_id, task) SELECT id, 'resolve' FROM bought
), spent AS (
    INSERT INTO spent_token (token) SELECT 'spent-' || hold_token FROM bought
), account AS (
    INSERT INTO user_point (user_id, balance) SELECT user_id, 50 FROM bought
), granted AS (
    INSERT INTO point_ledger (user_id, delta, kind, reason) SELECT user_id, 50, 'GRANT', 'test' FROM bought
)
INSERT INTO idempotency_key (user_id, scope, key, fingerprint, request_id, outcome) SELECT user_id, 'reserve', 'k', 'f', 'r', '{}' FROM bought`

// buy makes a purchase by points and card, and looks at everything that its buyer can look at.
func buy(t *testing.T, store *postgres.Store, user, room int64) {
	t.Helper()
	key := func(scope string) *booking.IdempotencyKey {
		return &booking.IdempotencyKey{UserID: user, Scope: scope, Key: "k", Fingerprint: "f", RequestID: fmt.Sprint(user)}
	}
	ctx := t.Context()
	must := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	_, err := store.GrantPoints(ctx, user, decimal.NewFromInt(10), "test")
	must(err)
	_, err = store.Recall(ctx, *key("reserve"))
	must(err)
	o := opening(user, room)
	o.Key = key("reserve")
	r, err := store.Open(ctx, o)
	must(err)
	_, err = store.Checkout(ctx, user, room)
	must(err)
	set := booking.Set{{Method: booking.Point, Amount: decimal.NewFromInt(10)}, {Method: booking.Card, Amount: decimal.NewFromInt(90)}}
	_, err = store.Register(ctx, booking.Registration{UserID: user, BookingID: r.Booking.ID, Set: set, Key: key("register")})
	must(err)
	in, _, err := store.BeginApproval(ctx, booking.ApprovalRequest{UserID: user, BookingID: r.Booking.ID, PaymentKey: "k", Owner: "o",
		Lease: time.Minute, SendTime: time.Second, Window: time.Second, Limit: time.Hour, Key: key("approve")})
	must(err)
	_, err = store.EndApproval(ctx, *in, booking.Finding{Code: booking.FoundApproved, Reference: "ref"})
	must(err)
	_, err = store.Complete(ctx, booking.Completion{UserID: user, BookingID: r.Booking.ID, MinLeft: time.Second, Key: key("complete")})
	must(err)
	_, err = store.Booking(ctx, user, r.Booking.ID)
	must(err)
	_, err = store.BookingsOf(ctx, user, "", booking.Page{Limit: 20})
	must(err)
	_, err = store.Points(ctx, user)
	must(err)
	if user%10 == 0 {
		_, err = store.Cancel(ctx, booking.Cancellation{UserID: user, BookingID: r.Booking.ID})
		must(err)
		_, err = store.ClaimRefund(ctx, r.Booking.ID, "o", time.Minute)
		must(err)
	}
}

// readBy is how many rows of tables and entries of indexes were read since the database was made, and where most of them,
// once so many purchases are known.
func readBy(t *testing.T, url string, purchases int64) (read int64, where string) {
	t.Helper()
	var known int64
	for deadline := time.Now().Add(time.Minute); known < purchases; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d purchases are known", known)
		}
		if err := postgrestest.Row(t.Context(), url, `
WITH reads AS (
    SELECT relname AS name, seq_tup_read AS n FROM pg_stat_user_tables
    UNION ALL SELECT indexrelname, idx_tup_read FROM pg_stat_user_indexes
), most AS (SELECT name, n FROM reads ORDER BY n DESC LIMIT 5)
SELECT (SELECT n_tup_ins FROM pg_stat_user_tables WHERE relname = 'booking'),
    (SELECT sum(n)::bigint FROM reads), (SELECT string_agg(name || ' ' || n, ', ') FROM most)`,
			&known, &read, &where); err != nil {
			t.Fatal(err)
		}
	}
	return read, where
}
