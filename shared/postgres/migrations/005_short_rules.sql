-- +goose NO TRANSACTION
-- +goose Up
-- The rules of the tables, as short as they can be said. Postgres keeps a CHECK as a tree
-- in text and reads all of it for each statement that writes the table: an IN of five
-- words is five constants with a cast each, 1,600 characters, and the array of them one
-- constant, 725. An amount within a range is one operator in place of two. A range ends
-- before NaN, which Postgres takes for greater than every number.
--
-- A rule gives way to its successor in one step, so that no row is written without it, and
-- the rows that are there are looked at beside the running sale. The step waits for the
-- transactions that have the table, and everybody behind it: a second at most, as in 003.

-- +goose StatementBegin
DO $$
DECLARE one record;
BEGIN
    FOR one IN SELECT * FROM (VALUES
        ('product', 'product_price_positive', $c$price <@ '(0,NaN)'::numrange$c$),
        ('product', 'product_status_known', $c$status = ANY ('{ACTIVE,SOLD_OUT,INACTIVE}')$c$),
        ('booking', 'booking_total_positive', $c$total_amount <@ '(0,NaN)'::numrange$c$),
        ('booking', 'booking_status_known', $c$status = ANY ('{INIT,PAYMENT_PENDING,CONFIRMED,FAILED,CANCELLED}')$c$),
        ('payment', 'payment_amount_positive', $c$amount <@ '(0,NaN)'::numrange$c$),
        ('payment', 'payment_method_known', $c$payment_method = ANY ('{CARD,YPAY,POINT}')$c$),
        ('payment', 'payment_status_known', $c$status = ANY ('{READY,SUCCESS,FAILED,CANCELLED}')$c$),
        ('user_point', 'user_point_not_negative', $c$balance <@ '[0,NaN)'::numrange$c$),
        ('point_ledger', 'point_ledger_kind_known', $c$kind = ANY ('{GRANT,DEBIT,CREDIT}')$c$),
        ('payment_attempt', 'payment_attempt_amount_positive', $c$amount <@ '(0,NaN)'::numrange$c$),
        ('payment_attempt', 'payment_attempt_state_known', $c$
            kind = 'APPROVE' AND state = ANY ('{REQUESTED,UNKNOWN,APPROVED,DECLINED,CLOSED}')
            OR kind = 'CANCEL' AND state = ANY ('{PENDING,DONE}')$c$)
    ) AS v(belongs, name, rule) LOOP
        SET LOCAL lock_timeout = '1s';
        EXECUTE format('ALTER TABLE %I DROP CONSTRAINT IF EXISTS %I, ADD CONSTRAINT %I CHECK (%s) NOT VALID',
            one.belongs, one.name, one.name, one.rule);
        COMMIT;
        EXECUTE format('ALTER TABLE %I VALIDATE CONSTRAINT %I', one.belongs, one.name);
        COMMIT;
    END LOOP;
END $$;
-- +goose StatementEnd
