-- The transactions around giving gateway money back: any cancel row is the command,
-- whatever became of its booking.

-- claim_refund leases one due cancel row of the booking; NULL when there is none.
CREATE OR REPLACE FUNCTION claim_refund(p_booking bigint, p_owner text, p_lease_ms bigint) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE a payment_attempt; method text; leased timestamptz;
BEGIN
    PERFORM FROM booking WHERE id = p_booking FOR UPDATE;
    SELECT * INTO a FROM payment_attempt
    WHERE booking_id = p_booking AND kind = 'CANCEL' AND state || '' = 'PENDING'
      AND next_try_at <= clock_timestamp() AND (lease_until IS NULL OR lease_until <= clock_timestamp())
    ORDER BY next_try_at LIMIT 1;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    leased := clock_timestamp() + make_interval(secs => p_lease_ms / 1000.0);
    UPDATE payment_attempt SET owner = p_owner, lease_until = leased, next_try_at = leased, updated_at = now() WHERE id = a.id;
    SELECT payment_method INTO method FROM payment WHERE id = a.payment_id;
    RETURN jsonb_build_object('attemptId', a.id, 'method', method, 'orderId', a.order_id,
        'paymentKey', a.payment_key, 'key', a.idempotency_key, 'amount', a.amount::text,
        'stuck', a.tries >= stuck_after());
END $$;

-- end_refund records that the money is back (believed from anybody), or puts the row
-- down for a later try (by the lease's owner).
CREATE OR REPLACE FUNCTION end_refund(p_attempt bigint, p_owner text, p_back boolean, p_reference text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE a payment_attempt;
BEGIN
    PERFORM FROM booking WHERE id = (SELECT t.booking_id FROM payment_attempt t WHERE t.id = p_attempt) FOR UPDATE;
    SELECT * INTO a FROM payment_attempt WHERE id = p_attempt AND state || '' = 'PENDING';
    IF NOT FOUND THEN
        RETURN;
    END IF;
    IF p_back THEN
        UPDATE payment_attempt SET state = 'DONE', reference = p_reference, lease_until = NULL, next_try_at = NULL, updated_at = now()
        WHERE id = a.id;
        UPDATE payment SET status = 'CANCELLED', updated_at = now() WHERE id = a.payment_id AND status = 'SUCCESS';
        PERFORM note(a.booking_id, 'REFUNDED', concat_ws(', ', format('%s of order %s', a.amount, a.order_id), 'reference ' || nullif(p_reference, '')));
    ELSIF a.owner = p_owner THEN
        UPDATE payment_attempt SET lease_until = NULL, tries = a.tries + 1, updated_at = now(),
            next_try_at = clock_timestamp() + backoff(a.tries + 1)
        WHERE id = a.id;
        IF a.tries + 1 = stuck_after() THEN
            PERFORM note(a.booking_id, 'REFUND_STUCK', format('order %s: the gateway has not given the money back in %s tries; it is tried on', a.order_id, a.tries + 1));
        END IF;
    END IF;
END $$;
