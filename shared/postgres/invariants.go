package postgres

// paymentsOfBooking is each booking b with its payments p, and the states of each one's
// attempts.
const paymentsOfBooking = `
FROM booking b CROSS JOIN LATERAL (
    SELECT p.id, p.payment_method, p.amount, p.status,
        (SELECT a.state FROM payment_attempt a WHERE a.payment_id = p.id AND a.kind = 'APPROVE' LIMIT 1) AS charge,
        (SELECT c.state FROM payment_attempt c WHERE c.payment_id = p.id AND c.kind = 'CANCEL' LIMIT 1) AS refund
    FROM payment p WHERE p.booking_id = b.id OFFSET 0) p
WHERE b.id = ANY($1)`

// openStates are those in which a booking is one of its user's open ones.
const openStates = `('INIT', 'PAYMENT_PENDING', 'CONFIRMED')`

// ofBookings are judged for each booking. $1 are booking ids.
var ofBookings = []invariant{
	{"I2", `
SELECT format('user %s has more than one open booking of product %s; cancel all but one', b.user_id, b.product_id), o.ids || b.id
FROM booking b CROSS JOIN LATERAL (
    SELECT array_agg(o.id ORDER BY o.id) AS ids FROM booking o
    WHERE o.user_id = b.user_id AND o.product_id = b.product_id AND o.id < b.id AND o.status IN ` + openStates + `) o
WHERE b.id = ANY($1) AND b.status IN ` + openStates + ` AND o.ids IS NOT NULL`},
	{"I3", `
SELECT format('booking %s is CONFIRMED with %s paid of %s and %s payments READY; compare its timeline with the gateway, then cancel it',
    b.id, n.paid, b.total_amount, n.ready), ARRAY[b.id]
FROM booking b CROSS JOIN LATERAL (
    SELECT coalesce(sum(p.amount) FILTER (WHERE p.status = 'SUCCESS'), 0) AS paid, count(*) FILTER (WHERE p.status = 'READY') AS ready
    FROM payment p WHERE p.booking_id = b.id) n
WHERE b.id = ANY($1) AND b.status = 'CONFIRMED' AND (n.paid <> b.total_amount OR n.ready > 0)`},
	{"I4", `
SELECT format('booking %s is %s and its payment %s (%s) is SUCCESS with no refund on its way; give %s back by hand, at the gateway or with grant-points',
    b.id, b.status, p.id, p.payment_method, p.amount), ARRAY[b.id]` + paymentsOfBooking + `
  AND b.status IN ('FAILED', 'CANCELLED') AND p.status = 'SUCCESS' AND p.refund IS DISTINCT FROM 'PENDING'`},
	{"I5", `
SELECT format('payment %s of booking %s is %s, its charge %s and its refund %s; look its order up at the gateway and give back there what was kept',
    p.id, b.id, p.status, coalesce(p.charge, 'unrecorded'), coalesce(p.refund, 'not commanded')), ARRAY[b.id]` + paymentsOfBooking + `
  AND p.payment_method <> 'POINT' AND (
    p.status IN ('FAILED', 'CANCELLED') AND p.charge = 'APPROVED' AND p.refund IS NULL
    OR p.status = 'SUCCESS' AND b.status = 'CONFIRMED' AND (p.charge IS DISTINCT FROM 'APPROVED' OR p.refund IS NOT NULL))`},
	{"I5", `
SELECT format('payment %s of booking %s has %s attempts of kind %s; look its order up at the gateway and give back there what was taken twice',
    t.payment_id, b.id, t.attempts, t.kind), ARRAY[b.id]
FROM booking b CROSS JOIN LATERAL (
    SELECT a.payment_id, a.kind, count(*) AS attempts FROM payment_attempt a WHERE a.booking_id = b.id
    GROUP BY a.payment_id, a.kind HAVING count(*) > 1) t
WHERE b.id = ANY($1)`},
	{"I6", `
SELECT format('payment %s of booking %s is %s, and its points were debited %s and credited %s times of %s movements; put the balance of user %s right with grant-points',
    p.id, b.id, p.status, l.debits, l.credits, l.moves, b.user_id), ARRAY[b.id]
FROM booking b CROSS JOIN LATERAL (
    SELECT p.id, p.amount, p.status FROM payment p WHERE p.booking_id = b.id AND p.payment_method = 'POINT' OFFSET 0) p
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE l.kind = 'DEBIT' AND l.delta = -p.amount AND l.user_id = b.user_id) AS debits,
        count(*) FILTER (WHERE l.kind = 'CREDIT' AND l.delta = p.amount AND l.user_id = b.user_id) AS credits,
        count(*) AS moves
    FROM point_ledger l WHERE l.payment_id = p.id) l
WHERE b.id = ANY($1) AND (l.moves <> l.debits + l.credits OR l.debits > 1 OR l.debits <> l.credits + (p.status = 'SUCCESS')::integer)`},
	{"I7", `
SELECT format('booking %s is %s, %s past its hold; see why the sweep does not run, or cancel it', b.id, b.status, now() - b.hold_expires_at), ARRAY[b.id]
FROM booking b
WHERE b.id = ANY($1) AND b.status IN ('INIT', 'PAYMENT_PENDING') AND b.hold_expires_at < now() - interval '120 seconds'`},
	// Nothing waits for longer than a lease or a back-off, which are minutes.
	{"I7", `
SELECT format('booking %s has a %s attempt that is %s and was to be taken up at %s; redrive it', b.id, a.kind, a.state, coalesce(a.next_try_at::text, 'no time')), ARRAY[b.id]
FROM booking b CROSS JOIN LATERAL (
    SELECT a.kind, a.state, a.next_try_at FROM payment_attempt a
    WHERE a.booking_id = b.id AND a.state IN ('REQUESTED', 'UNKNOWN', 'PENDING') OFFSET 0) a
WHERE b.id = ANY($1) AND (a.next_try_at IS NULL OR a.next_try_at NOT BETWEEN now() - interval '120 seconds' AND now() + interval '1 hour')`},
	{"I7", `
SELECT format('booking %s has a message that has not been sent since %s; see why the queue takes none, then redrive it', b.id, o.created_at), ARRAY[b.id]
FROM booking b CROSS JOIN LATERAL (
    SELECT min(o.created_at) AS created_at FROM outbox o WHERE o.booking_id = b.id AND o.sent_at IS NULL) o
WHERE b.id = ANY($1) AND o.created_at < now() - interval '120 seconds'`},
	{"I8", `
SELECT format('booking %s was %s at %s, and %s; compare its timeline with the gateway, then set its status back',
    b.id, e.event, e.at, coalesce('came to ' || e.later || ' after that', 'is ' || b.status || ' now')), ARRAY[b.id]
FROM booking b CROSS JOIN LATERAL (
    SELECT e.event, e.at, (
        SELECT l.event FROM booking_event l
        WHERE l.booking_id = b.id AND l.id > e.id AND (
            l.event IN ('HELD', 'HOLD_EXTENDED', 'REGISTERED', 'CHARGE_REQUESTED', 'POINTS_DEBITED', 'PAYMENT_PENDING', 'CONFIRMED', 'FAILED')
            OR l.event = 'CANCELLED' AND e.event <> 'CONFIRMED')
        ORDER BY l.id LIMIT 1) AS later
    FROM booking_event e WHERE e.booking_id = b.id AND e.event IN ('CONFIRMED', 'FAILED', 'CANCELLED') OFFSET 0) e
WHERE b.id = ANY($1) AND (e.later IS NOT NULL OR b.status <> e.event AND NOT (e.event = 'CONFIRMED' AND b.status = 'CANCELLED'))`},
	{"I9", `
SELECT format('booking %s, a payment or an attempt of it bears what is no amount; find the amount in its timeline and put the row right', b.id), ARRAY[b.id]
FROM booking b CROSS JOIN LATERAL (SELECT count(*) AS odd FROM payment p WHERE p.booking_id = b.id AND ` + noAmount("p.amount") + `) p
CROSS JOIN LATERAL (SELECT count(*) AS odd FROM payment_attempt a WHERE a.booking_id = b.id AND ` + noAmount("a.amount") + `) a
WHERE b.id = ANY($1) AND (p.odd > 0 OR a.odd > 0 OR ` + noAmount("b.total_amount") + `)`},
}
