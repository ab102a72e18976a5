-- What an administrator and the sweep write without a booking's step.

-- insert_product makes a product with its first stock.
CREATE OR REPLACE FUNCTION insert_product(
    p_name text, p_price text, p_stock bigint, p_sale timestamptz, p_check_in timestamptz, p_check_out timestamptz, p_status text
) RETURNS bigint LANGUAGE sql AS $$
WITH made AS (
    INSERT INTO product (name, price, remaining_stock, total_stock, sale_start_at, check_in_at, check_out_at, status)
    VALUES (p_name, p_price::numeric, p_stock, p_stock, p_sale, p_check_in, p_check_out, p_status)
    RETURNING id
)
INSERT INTO stock_adjustment (product_id, delta, reason)
SELECT id, p_stock, 'first stock' FROM made
RETURNING product_id
$$;

-- update_product changes a product but for its stock; no row when there is none.
CREATE OR REPLACE FUNCTION update_product(
    p_product bigint, p_name text, p_price text, p_sale timestamptz, p_check_in timestamptz, p_check_out timestamptz, p_status text
) RETURNS SETOF bigint LANGUAGE sql AS $$
UPDATE product SET name = p_name, price = p_price::numeric, sale_start_at = p_sale, check_in_at = p_check_in,
    check_out_at = p_check_out, status = p_status, updated_at = now()
WHERE id = p_product RETURNING id
$$;

-- adjust_stock moves total and remaining stock together; no row without the product.
CREATE OR REPLACE FUNCTION adjust_stock(p_product bigint, p_delta bigint, p_reason text)
RETURNS TABLE (product_id bigint, total bigint, remaining bigint) LANGUAGE sql AS $$
WITH moved AS (
    UPDATE product SET total_stock = total_stock + p_delta, remaining_stock = remaining_stock + p_delta, updated_at = now()
    WHERE id = p_product
    RETURNING id, total_stock, remaining_stock
), noted AS (
    INSERT INTO stock_adjustment (product_id, delta, reason) SELECT id, p_delta, p_reason FROM moved
)
SELECT id, total_stock, remaining_stock FROM moved
$$;

-- grant_points moves a balance by a signed amount; below 0 is refused by constraint.
CREATE OR REPLACE FUNCTION grant_points(p_user bigint, p_amount text, p_reason text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE result numeric;
BEGIN
    INSERT INTO user_point (user_id) VALUES (p_user) ON CONFLICT ON CONSTRAINT user_point_pkey DO NOTHING;
    UPDATE user_point SET balance = balance + p_amount::numeric, updated_at = now()
    WHERE user_id = p_user RETURNING balance INTO result;
    INSERT INTO point_ledger (user_id, delta, kind, reason) VALUES (p_user, p_amount::numeric, 'GRANT', p_reason);
    RETURN result::text;
END $$;

-- redrive_booking makes due now what waits for a later try, and names the booking if
-- that or a message waits.
CREATE OR REPLACE FUNCTION redrive_booking(p_booking bigint) RETURNS SETOF bigint LANGUAGE sql AS $$
WITH attempts AS (
    UPDATE payment_attempt SET next_try_at = now()
    WHERE booking_id = p_booking AND state || '' IN ('UNKNOWN', 'PENDING') AND (lease_until IS NULL OR lease_until <= now())
    RETURNING booking_id
)
SELECT booking_id FROM attempts
UNION SELECT booking_id FROM outbox WHERE booking_id = p_booking AND sent_at IS NULL
$$;

-- redrive_some takes a bounded number of those that would wait longest, charges before
-- refunds, so that no row stays locked for long; what somebody has locked, he is at work on.
CREATE OR REPLACE FUNCTION redrive_some(p_limit bigint) RETURNS SETOF bigint LANGUAGE sql AS $$
UPDATE payment_attempt SET next_try_at = now()
WHERE id = ANY(ARRAY(
    SELECT a.id FROM unnest(ARRAY['APPROVE', 'CANCEL']) AS of(kind), LATERAL (
        SELECT id FROM payment_attempt
        WHERE kind = of.kind AND state IN ('REQUESTED', 'UNKNOWN', 'PENDING') AND next_try_at > now()
          AND state <> 'REQUESTED' AND (lease_until IS NULL OR lease_until <= now())
        ORDER BY next_try_at DESC LIMIT p_limit FOR UPDATE SKIP LOCKED) a
    LIMIT p_limit))
RETURNING booking_id
$$;

-- mark_sent records that the queue has the messages.
CREATE OR REPLACE FUNCTION mark_sent(p_messages bigint[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE outbox SET sent_at = now() WHERE id = ANY(p_messages) AND sent_at + interval '0' IS NULL;
END $$;

-- purge deletes expired keys, messages that were sent long ago, and spent tokens that no
-- gate can still hold. A key that is taken anew while its row is waited for is not the
-- expired one any more: not every version of Postgres sees that by the ctid. With + 0, the
-- rows are found by that alone.
CREATE OR REPLACE FUNCTION purge(p_limit bigint) RETURNS bigint LANGUAGE sql AS $$
WITH keys AS (
    DELETE FROM idempotency_key WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM idempotency_key WHERE created_at < now() - interval '24 hours' LIMIT p_limit))
      AND created_at + interval '0' < now() - interval '24 hours'
    RETURNING 1
), sent AS (
    DELETE FROM outbox WHERE id = ANY(ARRAY(
        SELECT id FROM outbox WHERE sent_at < now() - interval '7 days' LIMIT p_limit))
    RETURNING 1
), spent AS (
    DELETE FROM spent_token WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM spent_token WHERE created_at < now() - interval '7 days' LIMIT p_limit))
    RETURNING 1
)
SELECT (SELECT count(*) FROM keys) + (SELECT count(*) FROM sent) + (SELECT count(*) FROM spent)
$$;
