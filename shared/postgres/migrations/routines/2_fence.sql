-- The fence: the one way in which an open booking ends. The caller holds the lock on
-- the booking row. What it leaves to be done outside is in rows when it commits.

-- command_refund writes the row that commands a charge to go back, once for ever.
CREATE OR REPLACE FUNCTION command_refund(p_payment bigint, p_amount numeric) RETURNS void LANGUAGE plpgsql AS $$
DECLARE a payment_attempt;
BEGIN
    INSERT INTO payment_attempt (payment_id, booking_id, kind, state, order_id, idempotency_key, payment_key, amount, next_try_at)
    SELECT t.payment_id, t.booking_id, 'CANCEL', 'PENDING', t.order_id, 'cancel-' || t.order_id, t.payment_key, p_amount, clock_timestamp()
    FROM payment_attempt t
    WHERE t.payment_id = p_payment AND t.kind = 'APPROVE'
    ON CONFLICT ON CONSTRAINT payment_attempt_one_per_kind DO NOTHING
    RETURNING * INTO a;
    IF FOUND THEN
        PERFORM note(a.booking_id, 'REFUND_REQUESTED', format('%s of order %s', a.amount, a.order_id));
    END IF;
END $$;

-- return_points gives the points of a sold booking back, once.
CREATE OR REPLACE FUNCTION return_points(b booking) RETURNS void LANGUAGE plpgsql AS $$
DECLARE p payment;
BEGIN
    SELECT * INTO p FROM payment
    WHERE booking_id = b.id AND payment_method = 'POINT' AND status = 'SUCCESS';
    IF NOT FOUND THEN
        RETURN;
    END IF;
    UPDATE user_point SET balance = balance + p.amount, updated_at = now() WHERE user_id = b.user_id;
    INSERT INTO point_ledger (user_id, delta, kind, payment_id, reason)
    VALUES (b.user_id, p.amount, 'CREDIT', p.id, format('booking %s cancelled', b.id));
    UPDATE payment SET status = 'CANCELLED', updated_at = now() WHERE id = p.id AND status = 'SUCCESS';
    PERFORM note(b.id, 'POINTS_RETURNED', p.amount::text);
END $$;

-- fence ends the booking as FAILED (with its code) or CANCELLED and returns the outbox
-- rows to send. A charge in flight stays untouched: its result finds the booking dead.
CREATE OR REPLACE FUNCTION fence(b booking, p_status text, p_code text, p_detail text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE p payment; owed boolean;
BEGIN
    UPDATE booking SET status = p_status, failure_code = p_code,
        failure_detail = CASE WHEN p_code IS NOT NULL THEN left(p_detail, 500) END, updated_at = now()
    WHERE id = b.id AND status = b.status;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'booking % is not % any more', b.id, b.status;
    END IF;
    PERFORM note(b.id, p_status, concat_ws(': ', p_code, nullif(p_detail, '')));

    FOR p IN SELECT * FROM payment WHERE booking_id = b.id AND payment_method <> 'POINT' AND status = 'SUCCESS' LOOP
        PERFORM command_refund(p.id, p.amount);
    END LOOP;
    PERFORM return_points(b);
    UPDATE payment SET status = 'CANCELLED', updated_at = now()
    WHERE booking_id = b.id AND status = 'READY' AND NOT EXISTS (
        SELECT FROM payment_attempt a
        WHERE a.payment_id = payment.id AND a.kind = 'APPROVE' AND a.state || '' IN ('REQUESTED', 'UNKNOWN'));
    IF b.status = 'CONFIRMED' THEN
        UPDATE product SET remaining_stock = remaining_stock + 1, updated_at = now() WHERE id = b.product_id;
    END IF;

    owed := b.status = 'CONFIRMED' OR b.hold_expires_at > clock_timestamp()
        OR compensation(b.id) <> '{}'::jsonb;
    RETURN CASE WHEN owed THEN promise(b.id, 'compensate') END;
END $$;
