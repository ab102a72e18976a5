package postgres_test

import (
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"stayhold/shared/postgres/postgrestest"
)

// broken is what each CHECK refuses, of rows that a sold booking has left.
var broken = map[string][]string{
	"booking_failure_if_failed":         {`UPDATE booking SET failure_code = 'SOLD_OUT'`, `UPDATE booking SET status = 'FAILED'`},
	"booking_status_known":              {`UPDATE booking SET status = 'SOLD'`, `UPDATE booking SET status = 'INIT,FAILED'`, `UPDATE booking SET status = ''`},
	"booking_total_positive":            {`UPDATE booking SET total_amount = 0`, `UPDATE booking SET total_amount = -1`, `UPDATE booking SET total_amount = 'NaN'`},
	"booking_user_positive":             {`UPDATE booking SET user_id = 0`},
	"idempotency_key_claim_or_outcome":  {`INSERT INTO idempotency_key VALUES (1, 's', 'k', 'f', 'r', NULL, NULL)`, `INSERT INTO idempotency_key VALUES (1, 's', 'k', 'f', 'r', '{}', now())`},
	"outbox_task_known":                 {`INSERT INTO outbox (booking_id, task) SELECT id, 'forget' FROM booking`},
	"payment_amount_positive":           {`UPDATE payment SET amount = 0`, `UPDATE payment SET amount = -1`, `UPDATE payment SET amount = 'NaN'`},
	"payment_method_known":              {`UPDATE payment SET payment_method = 'CASH' WHERE payment_method = 'CARD'`},
	"payment_order_unless_point":        {`UPDATE payment SET order_id = 'o' WHERE payment_method = 'POINT'`, `UPDATE payment SET order_id = NULL WHERE payment_method = 'CARD'`},
	"payment_status_known":              {`UPDATE payment SET status = 'PAID'`},
	"payment_attempt_amount_positive":   {`UPDATE payment_attempt SET amount = 0`, `UPDATE payment_attempt SET amount = 'NaN'`},
	"payment_attempt_state_known":       {`UPDATE payment_attempt SET state = 'PENDING'`, `UPDATE payment_attempt SET kind = 'CANCEL'`, `UPDATE payment_attempt SET kind = 'REFUND'`},
	"point_ledger_delta_moves":          {`UPDATE point_ledger SET delta = 0`, `UPDATE point_ledger SET delta = 'NaN'`},
	"point_ledger_kind_known":           {`UPDATE point_ledger SET kind = 'GIFT' WHERE kind = 'DEBIT'`},
	"point_ledger_payment_unless_grant": {`UPDATE point_ledger SET kind = 'GRANT' WHERE kind = 'DEBIT'`, `UPDATE point_ledger SET payment_id = NULL WHERE kind = 'DEBIT'`},
	"product_dates_in_order":            {`UPDATE product SET check_in_at = check_out_at`, `UPDATE product SET sale_start_at = check_out_at`},
	"product_price_positive":            {`UPDATE product SET price = 0`, `UPDATE product SET price = 'NaN'`},
	"product_status_follows_stock":      {`UPDATE product SET status = 'SOLD_OUT'`},
	"product_status_known":              {`UPDATE product SET status = 'GONE'`},
	"product_stock_in_bounds":           {`UPDATE product SET remaining_stock = -1`, `UPDATE product SET remaining_stock = total_stock + 1`},
	"user_point_not_negative":           {`UPDATE user_point SET balance = -0.01`, `UPDATE user_point SET balance = 'NaN'`},
	"user_point_user_positive":          {`INSERT INTO user_point (user_id) VALUES (0)`},
}

// TestEachCheckRefusesWhatItIsThereFor breaks one rule at a time, those of tables that come
// later too. The status that follows the stock by itself is held still.
func TestEachCheckRefusesWhatItIsThereFor(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t, migrate)
	sold(t, open(t, url, false))
	conn := connect(t, url)
	if _, err := conn.Exec(t.Context(), `ALTER TABLE product DISABLE TRIGGER product_follow`); err != nil {
		t.Fatal(err)
	}
	rows, err := conn.Query(t.Context(), `SELECT conname::text FROM pg_constraint
		WHERE contype = 'c' AND connamespace = 'public'::regnamespace ORDER BY conname`)
	if err != nil {
		t.Fatal(err)
	}
	checks, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if known := slices.Sorted(maps.Keys(broken)); err != nil || !slices.Equal(checks, known) {
		t.Errorf("the checks are %v, and these are known: %v (%v)", checks, known, err)
	}
	for name, all := range broken {
		for _, sql := range all {
			_, err := conn.Exec(t.Context(), sql)
			var refused *pgconn.PgError
			if !errors.As(err, &refused) || refused.ConstraintName != name {
				t.Errorf("%s: %s: %v", name, sql, err)
			}
		}
	}
}
