package postgres_test

import (
	"fmt"
	"slices"
	"testing"

	"stayhold/shared/booking"
	"stayhold/shared/postgres/postgrestest"
)

// machine is the states of one table's rows: what each may become. A state that may
// become nothing is terminal, and its row is not written at all, not even as it is.
type machine struct {
	table, column string
	begins        []string
	steps         map[string][]string
	row           func(state string) string // inserts row $1
}

var machines = map[string]machine{
	"booking": {"booking", "status", []string{"INIT"}, map[string][]string{
		"INIT":            {"INIT", "PAYMENT_PENDING", "FAILED", "CANCELLED"},
		"PAYMENT_PENDING": {"PAYMENT_PENDING", "INIT", "CONFIRMED", "FAILED", "CANCELLED"},
		"CONFIRMED":       {"CONFIRMED", "CANCELLED"},
		"FAILED":          nil, "CANCELLED": nil,
	}, func(state string) string {
		return `INSERT INTO booking (id, user_id, product_id, total_amount, status, hold_token, hold_expires_at, check_in_at, failure_code)
			OVERRIDING SYSTEM VALUE VALUES ($1::bigint, $1::bigint, (SELECT min(id) FROM product), 100, '` + state + `', 'guard-' || $1::bigint, now(), now(),
			CASE WHEN '` + state + `' = 'FAILED' THEN 'HOLD_EXPIRED' END)`
	}},
	"payment": {"payment", "status", []string{"READY"}, map[string][]string{
		"READY":   {"READY", "SUCCESS", "FAILED", "CANCELLED"},
		"SUCCESS": {"SUCCESS", "CANCELLED"},
		"FAILED":  nil, "CANCELLED": nil,
	}, func(state string) string {
		return `INSERT INTO payment (id, booking_id, payment_method, amount, status, order_id)
			OVERRIDING SYSTEM VALUE VALUES ($1::bigint, (SELECT min(id) FROM booking), 'CARD', 1, '` + state + `', 'guard-' || $1::bigint)`
	}},
	"approval": {"payment_attempt", "state", []string{"REQUESTED"}, map[string][]string{
		"REQUESTED": {"REQUESTED", "UNKNOWN", "APPROVED", "DECLINED", "CLOSED"},
		"UNKNOWN":   {"UNKNOWN", "APPROVED", "DECLINED", "CLOSED"},
		"DECLINED":  {"APPROVED"}, "CLOSED": {"APPROVED"}, // money that turned up
		"APPROVED": nil,
	}, attempt("APPROVE")},
	"refund": {"payment_attempt", "state", []string{"PENDING"}, map[string][]string{
		"PENDING": {"PENDING", "DONE"},
		"DONE":    nil,
	}, attempt("CANCEL")},
}

func attempt(kind string) func(string) string {
	return func(state string) string {
		return `INSERT INTO payment_attempt (id, payment_id, booking_id, kind, state, order_id, idempotency_key, payment_key, amount)
			OVERRIDING SYSTEM VALUE VALUES ($1::bigint, $1::bigint, (SELECT min(id) FROM booking), '` + kind + `', '` + state + `', 'o', 'guard-' || $1::bigint, 'k', 1)`
	}
}

// TestStatesMoveAlongTheirDiagramOnly gives the functions' login every right that it
// has not, as if by mistake, and holds each step of each table's states against the
// diagram.
func TestStatesMoveAlongTheirDiagramOnly(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t, migrate)
	sold(t, open(t, url, false))
	owner, functions := connect(t, url), connect(t, postgrestest.Functions(url))
	for _, sql := range []string{
		`GRANT ALL ON ALL TABLES IN SCHEMA public TO stayhold_functions`,
		// One live charge per booking is another guard's matter.
		`DROP INDEX payment_one_live_charge`, `ALTER TABLE payment_attempt DROP CONSTRAINT payment_attempt_payment`,
	} {
		if _, err := owner.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	id := 1000
	for name, m := range machines {
		for from, allowed := range m.steps {
			id++
			begun := ""
			if !slices.Contains(m.begins, from) {
				begun = guarded
			}
			if code := codeOf(undone(t, functions, m.row(from), id)); code != begun {
				t.Errorf("%s begins as %s: %q", name, from, code)
			}
			if _, err := owner.Exec(t.Context(), m.row(from), id); err != nil {
				t.Fatalf("%s %s: %v", name, from, err)
			}
			for to := range m.steps {
				want := guarded
				if slices.Contains(allowed, to) {
					want = ""
				}
				more := ""
				if m.table == "booking" {
					more = fmt.Sprintf(`, failure_code = CASE WHEN '%s' = 'FAILED' THEN 'HOLD_EXPIRED' END`, to)
				}
				step := fmt.Sprintf(`UPDATE %s SET %s = '%s'%s WHERE id = $1`, m.table, m.column, to, more)
				if code := codeOf(undone(t, functions, step, id)); code != want {
					t.Errorf("%s %s to %s: %q", name, from, to, code)
				}
				// The owner in person puts rows right, whatever their states.
				if err := undone(t, owner, step, id); err != nil {
					t.Errorf("%s %s to %s by the owner: %v", name, from, to, err)
				}
			}
		}
	}
}

// TestWhatWasWrittenDownStays is about rows that never change or go, whatever right
// somebody has been given.
func TestWhatWasWrittenDownStays(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t, migrate)
	store := open(t, url, false)
	b := sold(t, store)
	if _, err := store.Cancel(t.Context(), booking.Cancellation{UserID: 1, BookingID: b.ID}); err != nil {
		t.Fatal(err)
	}
	owner, functions := connect(t, url), connect(t, postgrestest.Functions(url))
	if _, err := owner.Exec(t.Context(), `GRANT ALL ON ALL TABLES IN SCHEMA public TO stayhold_functions`); err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{
		`UPDATE point_ledger SET reason = ''`, `UPDATE stock_adjustment SET reason = ''`, `UPDATE booking_event SET detail = ''`,
		`DELETE FROM point_ledger`, `DELETE FROM stock_adjustment`, `DELETE FROM booking_event`,
		`DELETE FROM booking`, `DELETE FROM payment`, `DELETE FROM payment_attempt WHERE state = 'APPROVED'`, `DELETE FROM payment_attempt WHERE state = 'PENDING'`,
		`TRUNCATE point_ledger`, `TRUNCATE stock_adjustment`, `TRUNCATE booking_event`, `TRUNCATE payment_attempt`,
		`TRUNCATE payment CASCADE`, `TRUNCATE booking CASCADE`,
		`UPDATE booking SET hold_expires_at = now()`, `UPDATE payment SET amount = 1`, `UPDATE payment_attempt SET tries = 9 WHERE state = 'APPROVED'`,
	} {
		if code := codeOf(undone(t, functions, sql)); code != guarded {
			t.Errorf("%s: %q", sql, code)
		}
		if err := undone(t, owner, sql); codeOf(err) == guarded {
			t.Errorf("%s by the owner: %v", sql, err)
		}
	}
}

// TestASlipInARoutineIsRefused puts a fault into an entry: it runs with its owner's
// rights, and is refused all the same, because somebody else called it.
func TestASlipInARoutineIsRefused(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t, migrate)
	store := open(t, url, false)
	b := sold(t, store)
	if _, err := store.Cancel(t.Context(), booking.Cancellation{UserID: 1, BookingID: b.ID}); err != nil {
		t.Fatal(err)
	}
	if err := postgrestest.Exec(t.Context(), url, `
		CREATE OR REPLACE FUNCTION lapse_booking(p_booking bigint, p_grace_ms bigint) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER AS $$
		BEGIN
			UPDATE booking SET status = 'CONFIRMED' WHERE id = p_booking;
			RETURN outcome(p_booking);
		END $$`); err != nil {
		t.Fatal(err)
	}
	_, err := store.Lapse(t.Context(), b.ID, 0)
	if code := codeOf(err); code != guarded {
		t.Errorf("the slip: %q", code)
	}
	if n := number(t, url, `SELECT count(*) FROM booking WHERE status = 'CANCELLED'`); n != 1 {
		t.Error("the booking is not CANCELLED any more")
	}
}
