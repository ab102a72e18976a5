-- The transactions around a charge: the intent before it, the finding after it.

-- intent_json is a leased attempt as its owner needs it.
CREATE OR REPLACE FUNCTION intent_json(b booking, p payment, a payment_attempt, p_first boolean, p_over boolean)
RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN RETURN jsonb_build_object('intent', jsonb_build_object(
    'attemptId', a.id, 'bookingId', b.id, 'first', p_first, 'over', p_over,
    'method', p.payment_method, 'orderId', a.order_id, 'paymentKey', a.payment_key,
    'key', a.idempotency_key, 'amount', a.amount::text,
    'productId', b.product_id, 'userId', b.user_id, 'holdToken', b.hold_token,
    'deadline', b.hold_expires_at,
    'leftMs', floor(extract(epoch FROM b.hold_expires_at - clock_timestamp()) * 1000)::bigint));
END $$;

-- begin_approval commits the intent to charge, or answers a call that has nothing to
-- charge. The hold is lengthened once per payment, and never past the limit.
CREATE OR REPLACE FUNCTION begin_approval(
    p_user bigint, p_booking bigint, p_payment_key text, p_owner text,
    p_lease_ms bigint, p_send_ms bigint, p_window_ms bigint, p_limit_ms bigint, p_key text[]
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    b booking; p payment; a payment_attempt; result jsonb;
    moment timestamptz; leased timestamptz; needed timestamptz;
BEGIN
    SELECT * INTO b FROM booking WHERE id = p_booking AND user_id = p_user FOR UPDATE;
    IF NOT FOUND THEN
        RETURN refusal('BOOKING_NOT_FOUND');
    END IF;
    PERFORM key_taken(p_key);
    SELECT * INTO p FROM payment
    WHERE booking_id = b.id AND payment_method <> 'POINT' AND status IN ('READY', 'SUCCESS');
    IF b.status IN ('FAILED', 'CANCELLED') THEN
        result := wrong_state(b, true);
        RETURN CASE WHEN result #>> '{error,code}' = 'HOLD_EXPIRED' THEN remember(p_key, result) ELSE result END;
    END IF;
    IF p.id IS NULL AND NOT EXISTS (SELECT FROM payment WHERE booking_id = b.id AND status IN ('READY', 'SUCCESS')) THEN
        RETURN outcome(b.id, 'PAYMENT_INCOMPLETE');
    END IF;
    IF p.id IS NULL OR p.status = 'SUCCESS' THEN
        RETURN remember(p_key, outcome(b.id));
    END IF;
    IF p_payment_key IS NULL THEN
        RETURN refusal('PAYMENT_KEY_NEEDED');
    END IF;

    moment := clock_timestamp();
    leased := moment + make_interval(secs => p_lease_ms / 1000.0);
    SELECT * INTO a FROM payment_attempt WHERE payment_id = p.id AND kind = 'APPROVE';
    IF FOUND THEN
        IF a.payment_key <> p_payment_key OR a.lease_until > moment THEN
            RETURN outcome(b.id, 'PAYMENT_IN_PROGRESS');
        END IF;
        UPDATE payment_attempt SET owner = p_owner, lease_until = leased, next_try_at = leased, updated_at = now(),
            sendable_until = CASE WHEN b.hold_expires_at > moment THEN leased ELSE sendable_until END
        WHERE id = a.id RETURNING * INTO a;
        PERFORM remember(p_key, NULL, leased);
        RETURN intent_json(b, p, a, false, false);
    END IF;

    needed := moment + make_interval(secs => CASE WHEN p.hold_extended THEN p_send_ms ELSE greatest(p_window_ms, p_send_ms) END / 1000.0);
    IF needed > b.hold_expires_at AND
        (p.hold_extended OR needed > b.created_at + make_interval(secs => p_limit_ms / 1000.0)) THEN
        RETURN remember(p_key, outcome(b.id, 'HOLD_EXPIRED'));
    END IF;
    IF needed > b.hold_expires_at THEN
        UPDATE booking SET hold_expires_at = needed, updated_at = now() WHERE id = b.id RETURNING * INTO b;
        UPDATE payment SET hold_extended = true, updated_at = now() WHERE id = p.id;
        PERFORM note(b.id, 'HOLD_EXTENDED', 'until ' || to_char(needed AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'));
    END IF;
    INSERT INTO payment_attempt (payment_id, booking_id, kind, state, order_id, idempotency_key, payment_key, amount,
        owner, lease_until, sendable_until, next_try_at)
    VALUES (p.id, b.id, 'APPROVE', 'REQUESTED', p.order_id, 'approve-' || p.order_id, p_payment_key, p.amount,
        p_owner, leased, leased, leased)
    RETURNING * INTO a;
    PERFORM note(b.id, 'CHARGE_REQUESTED', format('%s by %s, order %s', p.amount, p.payment_method, p.order_id));
    PERFORM remember(p_key, NULL, leased);
    RETURN intent_json(b, p, a, true, false);
END $$;

-- claim_approval leases an attempt that nobody works on, and judges whether its
-- session is over before anybody looks; NULL when none is due.
CREATE OR REPLACE FUNCTION claim_approval(p_booking bigint, p_owner text, p_lease_ms bigint, p_session_ms bigint)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE b booking; p payment; a payment_attempt; leased timestamptz;
BEGIN
    SELECT * INTO b FROM booking WHERE id = p_booking FOR UPDATE;
    SELECT * INTO a FROM payment_attempt
    WHERE booking_id = b.id AND kind = 'APPROVE' AND state || '' IN ('REQUESTED', 'UNKNOWN')
      AND next_try_at <= clock_timestamp() AND (lease_until IS NULL OR lease_until <= clock_timestamp())
    ORDER BY id LIMIT 1;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    leased := clock_timestamp() + make_interval(secs => p_lease_ms / 1000.0);
    UPDATE payment_attempt SET owner = p_owner, lease_until = leased, next_try_at = leased, updated_at = now()
    WHERE id = a.id RETURNING * INTO a;
    SELECT * INTO p FROM payment WHERE id = a.payment_id;
    RETURN intent_json(b, p, a, false,
        clock_timestamp() > a.sendable_until + make_interval(secs => p_session_ms / 1000.0));
END $$;

-- found_charged: the money was taken, whoever found it. Where the booking can use it,
-- it is paid; otherwise the money is commanded back.
CREATE OR REPLACE FUNCTION found_charged(b booking, p payment, a payment_attempt, p_reference text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE told text;
BEGIN
    IF a.state = 'APPROVED' THEN
        RETURN NULL;
    END IF;
    UPDATE payment_attempt SET state = 'APPROVED', reference = p_reference, lease_until = NULL, next_try_at = NULL, updated_at = now()
    WHERE id = a.id;
    told := concat_ws(', ', format('%s, order %s', a.amount, a.order_id), 'reference ' || nullif(p_reference, ''));
    UPDATE payment SET status = 'SUCCESS', updated_at = now() WHERE id = p.id AND status = 'READY';
    IF FOUND AND b.status = 'INIT' THEN
        UPDATE booking SET status = 'PAYMENT_PENDING', updated_at = now() WHERE id = b.id AND status = b.status;
        PERFORM note_both(b.id, 'CHARGED', told, 'PAYMENT_PENDING');
        RETURN NULL;
    END IF;
    PERFORM note(b.id, 'CHARGED', told);
    PERFORM command_refund(p.id, a.amount);
    RETURN promise(b.id, 'compensate');
END $$;

-- found_uncharged: the charge is over and took nothing (or another amount, which goes
-- back). The payment has ended; the hold has not.
CREATE OR REPLACE FUNCTION found_uncharged(b booking, p payment, a payment_attempt, p_state text, p_event text, p_detail text)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE payment_attempt SET state = p_state, lease_until = NULL, next_try_at = NULL, updated_at = now() WHERE id = a.id;
    PERFORM note(b.id, p_event, p_detail);
    UPDATE payment SET updated_at = now(), status = CASE
        WHEN p_state = 'CLOSED' AND b.status IN ('FAILED', 'CANCELLED') THEN 'CANCELLED' ELSE 'FAILED' END
    WHERE id = p.id AND status = 'READY';
    IF FOUND AND b.status = 'INIT' THEN
        UPDATE payment SET status = 'CANCELLED', updated_at = now() WHERE booking_id = b.id AND status = 'READY';
    END IF;
END $$;

-- found_nothing: the answer is not known. Only the lease's owner may put it down. The
-- next look-up is as far off as the charge is old, up to five minutes: how often its
-- buyer asks again does not put it off.
CREATE OR REPLACE FUNCTION found_nothing(a payment_attempt) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    UPDATE payment_attempt SET state = 'UNKNOWN', lease_until = NULL, updated_at = now(),
        tries = a.tries + CASE WHEN a.state = 'UNKNOWN' THEN 1 ELSE 0 END,
        next_try_at = clock_timestamp() + CASE WHEN a.state = 'UNKNOWN'
            THEN least(greatest(clock_timestamp() - a.created_at, interval '2 seconds'), interval '300 seconds') ELSE interval '0' END
    WHERE id = a.id;
    IF a.state = 'REQUESTED' THEN
        PERFORM note(a.booking_id, 'CHARGE_UNKNOWN', format('order %s: the gateway''s answer is not known yet', a.order_id));
        RETURN promise(a.booking_id, 'resolve');
    END IF;
    RETURN NULL;
END $$;

-- end_approval records a finding and says what the buyer is told. What is believed
-- from whom is the protocol's: a charge from anybody; a decline from a look-up, or from
-- the first call of an owner whose lease was not taken over; the rest from that owner.
CREATE OR REPLACE FUNCTION end_approval(
    p_attempt bigint, p_owner text, p_first boolean, p_finding text, p_by_lookup boolean,
    p_decline text, p_reference text, p_amount text, p_key text[]
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    b booking; p payment; a payment_attempt; mine boolean; open boolean;
    found text := p_finding; sending jsonb; result jsonb; told text; members jsonb := '{}';
BEGIN
    SELECT k.* INTO b FROM booking k
    WHERE k.id = (SELECT t.booking_id FROM payment_attempt t WHERE t.id = p_attempt) FOR UPDATE;
    SELECT * INTO a FROM payment_attempt WHERE id = p_attempt;
    IF a.id IS NULL THEN
        RETURN refusal('INTERNAL');
    END IF;
    SELECT * INTO p FROM payment WHERE id = a.payment_id;
    open := a.state IN ('REQUESTED', 'UNKNOWN');
    mine := open AND a.owner = p_owner AND a.lease_until IS NOT NULL;
    IF found = 'DECLINED' AND NOT p_by_lookup AND NOT (p_first AND mine)
        OR found IN ('NOT_SENT', 'HOLD_LOST') AND NOT (p_first AND mine) THEN
        found := 'UNKNOWN';
    END IF;

    IF found = 'APPROVED' THEN
        sending := found_charged(b, p, a, p_reference);
    ELSIF found = 'DECLINED' AND open THEN
        PERFORM found_uncharged(b, p, a, 'DECLINED', 'CHARGE_DECLINED', format('order %s: %s', a.order_id, p_decline));
        told := 'PAYMENT_DECLINED';
        members := jsonb_build_object('declineCode', p_decline);
    ELSIF found = 'MISMATCHED' AND a.state <> 'APPROVED' THEN
        PERFORM found_uncharged(b, p, a, 'APPROVED', 'CHARGE_MISMATCHED', format('order %s: %s was taken instead of %s', a.order_id, p_amount, a.amount));
        PERFORM command_refund(p.id, p_amount::numeric);
        sending := promise(b.id, 'compensate');
    ELSIF found = 'CLOSED' AND mine THEN
        PERFORM found_uncharged(b, p, a, 'CLOSED', 'CHARGE_CLOSED', format('order %s: never charged, and the gateway''s session is over', a.order_id));
    ELSIF found = 'UNKNOWN' AND mine THEN
        sending := found_nothing(a);
    ELSIF found IN ('NOT_SENT', 'HOLD_LOST') THEN
        DELETE FROM payment_attempt WHERE id = a.id;
        PERFORM note(b.id, 'CHARGE_NOT_SENT', format('order %s', a.order_id));
        told := 'DEPENDENCY_UNAVAILABLE';
        IF b.status IN ('FAILED', 'CANCELLED') THEN
            UPDATE payment SET status = 'CANCELLED', updated_at = now() WHERE id = p.id AND status = 'READY';
        ELSIF found = 'HOLD_LOST' THEN
            sending := fence(b, 'FAILED', 'HOLD_EXPIRED', 'the hold lapsed and no unit was free');
            told := 'HOLD_EXPIRED';
        END IF;
    END IF;

    IF told IS NOT NULL THEN
        result := outcome(b.id, told, members || compensation(b.id));
    ELSE
        SELECT * INTO b FROM booking WHERE id = b.id;
        SELECT t.state, y.status INTO a.state, p.status FROM payment_attempt t JOIN payment y ON y.id = t.payment_id WHERE t.id = a.id;
        IF b.status IN ('FAILED', 'CANCELLED') THEN
            result := wrong_state(b, true);
        ELSIF a.state IN ('REQUESTED', 'UNKNOWN') THEN
            result := outcome(b.id) || '{"pending": true}';
        ELSIF p.status IS DISTINCT FROM 'SUCCESS' THEN
            result := outcome(b.id, 'PAYMENT_INCOMPLETE', compensation(b.id));
        ELSE
            result := outcome(b.id);
        END IF;
    END IF;
    told := result #>> '{error,code}';
    PERFORM settle_claim(p_key, CASE
        WHEN result ? 'pending' OR told NOT IN ('PAYMENT_DECLINED', 'HOLD_EXPIRED') THEN NULL ELSE result END);
    RETURN result || jsonb_strip_nulls(jsonb_build_object('sending', sending));
END $$;
