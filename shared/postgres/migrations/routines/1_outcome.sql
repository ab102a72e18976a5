-- What the steps share: the booking as JSON, the outcome of a step, idempotency keys,
-- and the timeline. A routine locks the booking row first and only then looks, so
-- that each statement in it sees what the lock waited for; clock_timestamp(), not
-- now(), is the time after the wait.
--
-- What a routine calls and what looks at tables, or at the clock, is plpgsql, where one
-- statement would do in SQL: a session keeps the plans of the one, and parses and plans
-- the other at each call, which costs more than to run it.
--
-- A plan is made when a session first calls, which may be before the first sale, and is
-- kept while the tables grow: it has to be right whatever the planner knew then. So an
-- entry reads no table whole (7_rights.sql), and a condition that could lead to an index
-- over more than the rows in question, above all to one of all that waits, which an
-- outage fills, is written so that it leads to none: status || '', product_id + 0.
-- LATERAL with OFFSET 0 is a look at one row for each row, and nothing else.

-- From so many failed tries on, a refund is shown as stuck.
CREATE OR REPLACE FUNCTION stuck_after() RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 3';

-- How long the n-th failed try keeps the next one waiting.
CREATE OR REPLACE FUNCTION backoff(p_tries integer) RETURNS interval LANGUAGE sql IMMUTABLE AS
'SELECT make_interval(secs => least(2 ^ least(p_tries, 10), 300))';

CREATE OR REPLACE FUNCTION payments_json(p_booking bigint) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN RETURN (SELECT coalesce(jsonb_agg(jsonb_build_object(
    'id', p.id, 'method', p.payment_method, 'amount', p.amount::text, 'status', p.status,
    'orderId', coalesce(p.order_id, ''),
    'approval', CASE
        WHEN c.state = 'DONE' THEN 'CANCELLED'
        WHEN c.tries >= stuck_after() THEN 'CANCEL_FAILED'
        WHEN c.state = 'PENDING' THEN 'CANCEL_REQUESTED'
        WHEN a.state = 'CLOSED' THEN 'CANCELLED'
        ELSE coalesce(a.state, 'NONE') END,
    'refundState', CASE
        WHEN c.state = 'DONE' THEN 'DONE'
        WHEN c.tries >= stuck_after() THEN 'STUCK'
        WHEN c.state = 'PENDING' THEN 'PENDING'
        ELSE 'NONE' END,
    'refundAmount', coalesce(c.amount, 0)::text
) ORDER BY p.id), '[]')
FROM payment p
LEFT JOIN LATERAL (SELECT state FROM payment_attempt WHERE payment_id = p.id AND kind = 'APPROVE' OFFSET 0) a ON true
LEFT JOIN LATERAL (SELECT state, tries, amount FROM payment_attempt WHERE payment_id = p.id AND kind = 'CANCEL' OFFSET 0) c ON true
WHERE p.booking_id = p_booking);
END $$;

CREATE OR REPLACE FUNCTION booking_json(b booking, p_payments jsonb) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN RETURN jsonb_build_object(
    'id', b.id, 'userId', b.user_id, 'productId', b.product_id, 'status', b.status,
    'total', b.total_amount::text, 'holdToken', b.hold_token, 'holdExpiresAt', b.hold_expires_at,
    'checkInAt', b.check_in_at, 'payments', p_payments,
    'failureCode', coalesce(b.failure_code, ''), 'failureDetail', coalesce(b.failure_detail, ''),
    'createdAt', b.created_at, 'updatedAt', b.updated_at, 'readAt', clock_timestamp());
END $$;

-- The outcome of a step, as it is answered and, for a key, stored: the booking and,
-- where it was refused, the code with further members.
CREATE OR REPLACE FUNCTION outcome(p_booking bigint, p_code text DEFAULT NULL, p_members jsonb DEFAULT '{}')
RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE b booking;
BEGIN
    SELECT * INTO b FROM booking WHERE id = p_booking;
    IF p_code IS NULL THEN
        RETURN jsonb_build_object('booking', booking_json(b, payments_json(b.id)));
    END IF;
    RETURN jsonb_build_object('booking', booking_json(b, payments_json(b.id)),
        'error', jsonb_build_object('code', p_code, 'members', jsonb_strip_nulls(p_members)));
END $$;

-- A refusal that shows no booking.
CREATE OR REPLACE FUNCTION refusal(p_code text) RETURNS jsonb LANGUAGE sql IMMUTABLE AS
$$ SELECT jsonb_build_object('error', jsonb_build_object('code', p_code, 'members', '{}'::jsonb)) $$;

-- The member that tells a buyer that money has to go back, or nothing.
CREATE OR REPLACE FUNCTION compensation(p_booking bigint) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN RETURN CASE WHEN EXISTS (
    SELECT FROM payment_attempt a
    WHERE a.booking_id = p_booking
      AND (a.kind = 'CANCEL' AND a.state || '' = 'PENDING' OR a.kind = 'APPROVE' AND a.state || '' IN ('REQUESTED', 'UNKNOWN'))
) THEN '{"compensation": "PENDING"}'::jsonb ELSE '{}'::jsonb END;
END $$;

-- What a call on a booking in the wrong state is told. A lapsed hold is 410 to those
-- who would have needed it.
CREATE OR REPLACE FUNCTION wrong_state(b booking, p_needs_hold boolean) RETURNS jsonb LANGUAGE sql STABLE AS $$
SELECT CASE WHEN p_needs_hold AND b.failure_code = 'HOLD_EXPIRED'
    THEN outcome(b.id, 'HOLD_EXPIRED', compensation(b.id))
    ELSE outcome(b.id, 'INVALID_STATE', jsonb_build_object('bookingStatus', b.status)) END
$$;

CREATE OR REPLACE FUNCTION note(p_booking bigint, p_event text, p_detail text DEFAULT '') RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO booking_event (booking_id, event, detail) VALUES (p_booking, p_event, left(p_detail, 500));
END $$;

-- note_both notes an event and the one that follows from it, as one statement.
CREATE OR REPLACE FUNCTION note_both(p_booking bigint, p_event text, p_detail text, p_then text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO booking_event (booking_id, event, detail)
    VALUES (p_booking, p_event, left(p_detail, 500)), (p_booking, p_then, '');
END $$;

CREATE OR REPLACE FUNCTION promise(p_booking bigint, p_task text) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE sending jsonb;
BEGIN
    INSERT INTO outbox (booking_id, task) VALUES (p_booking, p_task)
    RETURNING jsonb_build_array(jsonb_build_object('id', id, 'task', task, 'bookingId', booking_id)) INTO sending;
    RETURN sending;
END $$;

-- A key is the array {user, scope, key, fingerprint, request id}, or NULL for none.
-- key_taken ends the transaction when another request with the key came first.
CREATE OR REPLACE FUNCTION key_taken(p_key text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF p_key IS NULL THEN
        RETURN;
    END IF;
    IF EXISTS (
        SELECT FROM idempotency_key k
        WHERE k.user_id = p_key[1]::bigint AND k.scope = p_key[2] AND k.key = p_key[3]
          AND now() - k.created_at < interval '24 hours'
          AND (k.outcome IS NOT NULL OR k.claimed_until > clock_timestamp())
    ) THEN
        RAISE EXCEPTION 'idempotency key taken' USING ERRCODE = 'SH010';
    END IF;
END $$;

-- remember stores an outcome under the key, or (outcome NULL) claims it until then. It
-- gives the outcome back, so that a routine may end with it.
CREATE OR REPLACE FUNCTION remember(p_key text[], p_outcome jsonb, p_until timestamptz DEFAULT NULL)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    IF p_key IS NULL THEN
        RETURN p_outcome;
    END IF;
    INSERT INTO idempotency_key AS k (user_id, scope, key, fingerprint, request_id, outcome, claimed_until)
    VALUES (p_key[1]::bigint, p_key[2], p_key[3], p_key[4], p_key[5], p_outcome, p_until)
    ON CONFLICT ON CONSTRAINT idempotency_key_pkey DO UPDATE
    SET fingerprint = excluded.fingerprint, request_id = excluded.request_id, outcome = excluded.outcome,
        claimed_until = excluded.claimed_until, created_at = excluded.created_at
    WHERE k.created_at <= now() - interval '24 hours'
       OR k.outcome IS NULL AND k.claimed_until <= clock_timestamp();
    IF NOT FOUND THEN
        RAISE EXCEPTION 'idempotency key taken' USING ERRCODE = 'SH010';
    END IF;
    RETURN p_outcome;
END $$;

-- settle_claim ends this request's own claim: with the outcome, or (NULL) by leaving
-- the key free.
CREATE OR REPLACE FUNCTION settle_claim(p_key text[], p_outcome jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF p_key IS NULL THEN
        RETURN;
    END IF;
    IF p_outcome IS NULL THEN
        DELETE FROM idempotency_key k
        WHERE k.user_id = p_key[1]::bigint AND k.scope = p_key[2] AND k.key = p_key[3]
          AND k.outcome IS NULL AND k.request_id = p_key[5];
    ELSE
        UPDATE idempotency_key k SET outcome = p_outcome, claimed_until = NULL
        WHERE k.user_id = p_key[1]::bigint AND k.scope = p_key[2] AND k.key = p_key[3]
          AND k.outcome IS NULL AND k.request_id = p_key[5];
    END IF;
END $$;
