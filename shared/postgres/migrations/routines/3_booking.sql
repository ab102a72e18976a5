-- The steps that move a booking without a gateway. Each is one call, one transaction.

-- spend marks a token whose hold the caller is going to release, so that no other
-- request of the user adopts the hold meanwhile; unless it is the booking's own.
CREATE OR REPLACE FUNCTION spend(p_token text, b booking) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO spent_token (token) SELECT p_token WHERE b.hold_token IS DISTINCT FROM p_token
    ON CONFLICT ON CONSTRAINT spent_token_pkey DO NOTHING;
END $$;

-- open_booking makes a booking under a hold that the gate gave. Reserves of one user
-- come one after the other (the advisory lock), so that the cap on his open holds is
-- exact over all products; no other step takes that lock.
CREATE OR REPLACE FUNCTION open_booking(
    p_user bigint, p_product bigint, p_token text, p_deadline timestamptz, p_max_open integer, p_key text[]
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE p product; b booking; result jsonb;
BEGIN
    PERFORM pg_advisory_xact_lock(hashint8extended(p_user, 1));
    PERFORM key_taken(p_key);
    SELECT * INTO p FROM product WHERE id = p_product;
    IF NOT FOUND OR p.status = 'INACTIVE' THEN
        RETURN refusal('PRODUCT_NOT_FOUND');
    END IF;
    SELECT * INTO b FROM booking
    WHERE user_id = p_user AND product_id + 0 = p_product AND status || '' IN ('INIT', 'PAYMENT_PENDING', 'CONFIRMED')
    FOR UPDATE;
    IF FOUND THEN
        IF b.status = 'CONFIRMED' THEN
            PERFORM spend(p_token, b);
            RETURN outcome(b.id, 'ALREADY_PURCHASED');
        END IF;
        IF b.hold_token = p_token OR b.hold_expires_at > clock_timestamp() OR EXISTS (
            SELECT FROM payment y, LATERAL (SELECT state FROM payment_attempt WHERE payment_id = y.id AND kind = 'APPROVE' OFFSET 0) a
            WHERE y.booking_id = b.id AND (a.state IN ('REQUESTED', 'UNKNOWN') OR y.status = 'SUCCESS')
        ) THEN
            PERFORM spend(p_token, b);
            RETURN outcome(b.id, 'DUPLICATE_RESERVATION');
        END IF;
    END IF;
    IF EXISTS (SELECT FROM booking WHERE hold_token = p_token) OR EXISTS (SELECT FROM spent_token WHERE token = p_token) THEN
        RETURN refusal('TOKEN_SPENT');
    END IF;
    IF p.remaining_stock = 0 THEN
        PERFORM spend(p_token, NULL);
        RETURN refusal('SOLD_OUT');
    END IF;
    IF (SELECT count(*) FROM booking
        WHERE user_id = p_user AND status || '' IN ('INIT', 'PAYMENT_PENDING') AND hold_expires_at > clock_timestamp()
    ) >= p_max_open THEN
        PERFORM spend(p_token, NULL);
        RETURN refusal('HOLD_LIMIT');
    END IF;
    IF b.id IS NOT NULL THEN
        PERFORM fence(b, 'FAILED', 'HOLD_EXPIRED', 'the hold lapsed; its user reserved again');
    END IF;
    INSERT INTO booking (user_id, product_id, total_amount, hold_token, hold_expires_at, check_in_at)
    VALUES (p_user, p_product, p.price, p_token, p_deadline, p.check_in_at)
    RETURNING * INTO b;
    PERFORM note(b.id, 'HELD', 'until ' || to_char(p_deadline AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'));
    result := jsonb_build_object('created', true, 'booking', booking_json(b, '[]'));
    RETURN remember(p_key, result);
END $$;

-- register_payments replaces the payment set, unless it is the same.
CREATE OR REPLACE FUNCTION register_payments(
    p_user bigint, p_booking bigint, p_methods text[], p_amounts text[], p_key text[]
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE b booking; becomes text; charge payment; parts text[]; asked record;
BEGIN
    SELECT * INTO b FROM booking WHERE id = p_booking AND user_id = p_user FOR UPDATE;
    IF NOT FOUND THEN
        RETURN refusal('BOOKING_NOT_FOUND');
    END IF;
    PERFORM key_taken(p_key);
    SELECT * INTO charge FROM payment
    WHERE booking_id = b.id AND payment_method <> 'POINT' AND status IN ('READY', 'SUCCESS');
    IF b.status NOT IN ('INIT', 'PAYMENT_PENDING') OR charge.status = 'SUCCESS' THEN
        RETURN wrong_state(b, false);
    END IF;
    IF EXISTS (SELECT FROM payment_attempt a
        WHERE a.payment_id = charge.id AND a.kind = 'APPROVE' AND a.state || '' IN ('REQUESTED', 'UNKNOWN')
    ) THEN
        RETURN outcome(b.id, 'PAYMENT_IN_PROGRESS');
    END IF;
    SELECT array_agg(ARRAY[payment_method::text, amount::text] ORDER BY payment_method) INTO parts
    FROM payment WHERE booking_id = b.id AND status = 'READY';
    SELECT array_agg(ARRAY[m, a::numeric(15,2)::text] ORDER BY m) AS parts, count(*) FILTER (WHERE m <> 'POINT') AS charges,
        sum(a::numeric) AS total, coalesce(sum(a::numeric) FILTER (WHERE m = 'POINT'), 0) AS points
    INTO asked
    FROM unnest(p_methods, p_amounts) AS s(m, a);
    IF parts = asked.parts THEN
        RETURN remember(p_key, outcome(b.id));
    END IF;
    IF asked.charges > 1 THEN
        RETURN remember(p_key, outcome(b.id, 'METHOD_COMBINATION'));
    END IF;
    IF asked.total <> b.total_amount THEN
        RETURN remember(p_key, outcome(b.id, 'AMOUNT_MISMATCH'));
    END IF;
    IF asked.points > 0 AND NOT EXISTS (SELECT FROM user_point WHERE user_id = p_user AND balance >= asked.points) THEN
        RETURN remember(p_key, outcome(b.id, 'INSUFFICIENT_POINTS'));
    END IF;

    IF parts IS NOT NULL THEN
        UPDATE payment SET status = 'CANCELLED', updated_at = now() WHERE booking_id = b.id AND status = 'READY';
    END IF;
    INSERT INTO payment (booking_id, payment_method, amount, order_id)
    SELECT b.id, m, a::numeric, CASE WHEN m <> 'POINT' THEN 'sh-' || replace(gen_random_uuid()::text, '-', '') END
    FROM unnest(p_methods, p_amounts) WITH ORDINALITY AS s(m, a, i) ORDER BY i;
    INSERT INTO booking_event (booking_id, event, detail)
    SELECT b.id, 'REGISTERED', format('%s %s', m, a::numeric(15,2))
    FROM unnest(p_methods, p_amounts) WITH ORDINALITY AS s(m, a, i) ORDER BY i;
    becomes := CASE WHEN asked.points = b.total_amount THEN 'PAYMENT_PENDING' ELSE 'INIT' END;
    UPDATE booking SET updated_at = now(), status = becomes WHERE id = b.id AND status = b.status;
    IF becomes <> b.status THEN
        PERFORM note(b.id, becomes);
    END IF;
    RETURN remember(p_key, outcome(b.id) || '{"created": true}');
END $$;

-- complete_booking confirms: the balance and the stock are debited here and nowhere
-- else. It ends its transaction (SH001 points, SH002 stock) when one of them is gone,
-- and touches the hot product row last.
CREATE OR REPLACE FUNCTION complete_booking(
    p_user bigint, p_booking bigint, p_min_left_ms bigint, p_held timestamptz, p_key text[]
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE b booking; charge payment; attempt payment_attempt; points payment; result jsonb;
BEGIN
    SELECT * INTO b FROM booking WHERE id = p_booking AND user_id = p_user FOR UPDATE;
    IF NOT FOUND THEN
        RETURN refusal('BOOKING_NOT_FOUND');
    END IF;
    PERFORM key_taken(p_key);
    IF b.status = 'CONFIRMED' THEN
        RETURN remember(p_key, outcome(b.id));
    END IF;
    IF b.status NOT IN ('INIT', 'PAYMENT_PENDING') THEN
        result := wrong_state(b, true);
        RETURN CASE WHEN result #>> '{error,code}' = 'HOLD_EXPIRED' THEN remember(p_key, result) ELSE result END;
    END IF;
    SELECT * INTO charge FROM payment
    WHERE booking_id = b.id AND payment_method <> 'POINT' AND status IN ('READY', 'SUCCESS');
    SELECT * INTO attempt FROM payment_attempt WHERE payment_id = charge.id AND kind = 'APPROVE';
    IF attempt.state IN ('REQUESTED', 'UNKNOWN') THEN
        RETURN outcome(b.id, 'PAYMENT_IN_PROGRESS');
    END IF;
    IF b.status <> 'PAYMENT_PENDING' OR charge.status = 'READY' OR EXISTS (
        SELECT FROM payment_attempt c WHERE c.payment_id = charge.id AND c.kind = 'CANCEL'
    ) THEN
        RETURN outcome(b.id, 'PAYMENT_INCOMPLETE');
    END IF;
    IF p_held IS NULL AND b.hold_expires_at < clock_timestamp() + make_interval(secs => p_min_left_ms / 1000.0) THEN
        RETURN outcome(b.id, 'HOLD_SHORT');
    END IF;

    SELECT * INTO points FROM payment WHERE booking_id = b.id AND payment_method = 'POINT' AND status = 'READY';
    IF FOUND THEN
        UPDATE user_point SET balance = balance - points.amount, updated_at = now()
        WHERE user_id = p_user AND balance >= points.amount;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'not enough points' USING ERRCODE = 'SH001';
        END IF;
        INSERT INTO point_ledger (user_id, delta, kind, payment_id, reason)
        VALUES (p_user, -points.amount, 'DEBIT', points.id, format('booking %s', b.id));
        UPDATE payment SET status = 'SUCCESS', updated_at = now() WHERE id = points.id AND status = 'READY';
    END IF;
    IF (SELECT coalesce(sum(amount), 0) FROM payment WHERE booking_id = b.id AND status = 'SUCCESS') <> b.total_amount THEN
        RAISE EXCEPTION 'booking %: the paid amounts are not its total', b.id;
    END IF;
    UPDATE booking SET status = 'CONFIRMED', hold_expires_at = coalesce(p_held, hold_expires_at), updated_at = now()
    WHERE id = b.id AND status = b.status;
    IF points.id IS NULL THEN
        PERFORM note(b.id, 'CONFIRMED');
    ELSE
        PERFORM note_both(b.id, 'POINTS_DEBITED', points.amount::text, 'CONFIRMED');
    END IF;
    result := remember(p_key, outcome(b.id));
    UPDATE product SET remaining_stock = remaining_stock - 1, updated_at = now()
    WHERE id = b.product_id AND remaining_stock > 0;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no stock' USING ERRCODE = 'SH002';
    END IF;
    RETURN result;
END $$;

-- surrender_booking looks again, and fences a booking that complete could not confirm.
CREATE OR REPLACE FUNCTION surrender_booking(p_booking bigint, p_code text, p_detail text, p_key text[])
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE b booking; sending jsonb; result jsonb;
BEGIN
    SELECT * INTO b FROM booking WHERE id = p_booking FOR UPDATE;
    IF NOT FOUND THEN
        RETURN refusal('BOOKING_NOT_FOUND');
    END IF;
    PERFORM key_taken(p_key);
    IF b.status = 'CONFIRMED' THEN
        RETURN remember(p_key, outcome(b.id));
    END IF;
    IF b.status = 'INIT' THEN
        RETURN outcome(b.id, 'PAYMENT_INCOMPLETE');
    END IF;
    IF b.status = 'PAYMENT_PENDING' THEN
        sending := fence(b, 'FAILED', p_code, p_detail);
        SELECT * INTO b FROM booking WHERE id = p_booking;
    END IF;
    IF b.status = 'CANCELLED' THEN
        RETURN wrong_state(b, false);
    END IF;
    result := outcome(b.id, b.failure_code, compensation(b.id));
    IF b.failure_code IN ('HOLD_EXPIRED', 'INSUFFICIENT_POINTS') THEN
        PERFORM remember(p_key, result);
    END IF;
    RETURN result || jsonb_strip_nulls(jsonb_build_object('sending', sending));
END $$;

-- cancel_booking ends a booking for its user, or (p_user 0) for an administrator, whom
-- the check-in does not bind.
CREATE OR REPLACE FUNCTION cancel_booking(p_user bigint, p_booking bigint, p_reason text, p_key text[])
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE b booking; sending jsonb;
BEGIN
    SELECT * INTO b FROM booking WHERE id = p_booking AND (p_user = 0 OR user_id = p_user) FOR UPDATE;
    IF NOT FOUND THEN
        RETURN refusal('BOOKING_NOT_FOUND');
    END IF;
    PERFORM key_taken(p_key);
    IF b.status = 'FAILED' OR b.status = 'CONFIRMED' AND p_user <> 0 AND clock_timestamp() >= b.check_in_at THEN
        RETURN wrong_state(b, false);
    END IF;
    IF b.status <> 'CANCELLED' THEN
        sending := fence(b, 'CANCELLED', NULL, p_reason);
    END IF;
    RETURN remember(p_key, outcome(b.id)) || jsonb_strip_nulls(jsonb_build_object('sending', sending));
END $$;

-- lapse_booking ends a live booking whose deadline plus grace is past; NULL when it is
-- not, any more.
CREATE OR REPLACE FUNCTION lapse_booking(p_booking bigint, p_grace_ms bigint) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE b booking; sending jsonb;
BEGIN
    SELECT * INTO b FROM booking WHERE id = p_booking FOR UPDATE;
    IF b.status IS NULL OR b.status NOT IN ('INIT', 'PAYMENT_PENDING')
        OR b.hold_expires_at + make_interval(secs => p_grace_ms / 1000.0) > clock_timestamp() THEN
        RETURN NULL;
    END IF;
    sending := fence(b, 'FAILED', 'HOLD_EXPIRED', 'the hold lapsed');
    RETURN outcome(b.id) || jsonb_strip_nulls(jsonb_build_object('sending', sending));
END $$;
