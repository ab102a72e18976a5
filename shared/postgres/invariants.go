package postgres

// paymentsOfBooking is each booking b with its payments p, the charge of each and its
// refund.
const paymentsOfBooking = `
FROM booking b
JOIN payment p ON p.booking_id = b.id AND p.booking_id = ANY($1)
LEFT JOIN payment_attempt charge ON charge.payment_id = p.id AND charge.kind = 'APPROVE' AND charge.booking_id = ANY($1)
LEFT JOIN payment_attempt refund ON refund.payment_id = p.id AND refund.kind = 'CANCEL' AND refund.booking_id = ANY($1)
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
    b.id, coalesce(n.paid, 0), b.total_amount, coalesce(n.ready, 0)), ARRAY[b.id]
FROM booking b LEFT JOIN (
    SELECT booking_id, sum(amount) FILTER (WHERE status = 'SUCCESS') AS paid, count(*) FILTER (WHERE status = 'READY') AS ready
    FROM payment WHERE booking_id = ANY($1) GROUP BY booking_id) n ON n.booking_id = b.id
WHERE b.id = ANY($1) AND b.status = 'CONFIRMED' AND (n.paid IS DISTINCT FROM b.total_amount OR n.ready > 0)`},
	{"I4", `
SELECT format('booking %s is %s and its payment %s (%s) is SUCCESS with no refund on its way; give %s back by hand, at the gateway or with grant-points',
    b.id, b.status, p.id, p.payment_method, p.amount), ARRAY[b.id]` + paymentsOfBooking + `
  AND b.status IN ('FAILED', 'CANCELLED') AND p.status = 'SUCCESS' AND refund.state IS DISTINCT FROM 'PENDING'`},
	{"I5", `
SELECT format('payment %s of booking %s is %s, its charge %s and its refund %s; look its order up at the gateway and give back there what was kept',
    p.id, b.id, p.status, coalesce(charge.state, 'unrecorded'), coalesce(refund.state, 'not commanded')), ARRAY[b.id]` + paymentsOfBooking + `
  AND p.payment_method <> 'POINT' AND (
    p.status IN ('FAILED', 'CANCELLED') AND charge.state = 'APPROVED' AND refund.state IS NULL
    OR p.status = 'SUCCESS' AND b.status = 'CONFIRMED' AND (charge.state IS DISTINCT FROM 'APPROVED' OR refund.state IS NOT NULL))`},
	{"I5", `
SELECT format('payment %s of booking %s has %s attempts of kind %s; look its order up at the gateway and give back there what was taken twice',
    payment_id, booking_id, count(*), kind), ARRAY[booking_id]
FROM payment_attempt WHERE booking_id = ANY($1)
GROUP BY booking_id, payment_id, kind HAVING count(*) > 1`},
	{"I6", `
SELECT format('payment %s of booking %s is %s, and its points were debited %s and credited %s times of %s movements; put the balance of user %s right with grant-points',
    p.id, b.id, p.status, l.debits, l.credits, l.moves, b.user_id), ARRAY[b.id]
FROM booking b JOIN payment p ON p.booking_id = b.id AND p.booking_id = ANY($1) AND p.payment_method = 'POINT'
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
SELECT format('booking %s has a %s attempt that is %s and was to be taken up at %s; redrive it', a.booking_id, a.kind, a.state, coalesce(a.next_try_at::text, 'no time')), ARRAY[a.booking_id]
FROM payment_attempt a
WHERE a.booking_id = ANY($1) AND a.state IN ('REQUESTED', 'UNKNOWN', 'PENDING') AND (a.next_try_at IS NULL OR a.next_try_at NOT BETWEEN now() - interval '120 seconds' AND now() + interval '1 hour')`},
	{"I7", `
SELECT format('booking %s has a message that has not been sent since %s; see why the queue takes none, then redrive it', o.booking_id, o.created_at), ARRAY[o.booking_id]
FROM outbox o
WHERE o.booking_id = ANY($1) AND o.sent_at IS NULL AND o.created_at < now() - interval '120 seconds'`},
	{"I8", `
SELECT format('booking %s has ended or was sold, and its timeline goes on to %s while it is %s; compare that with the gateway, then set its status back',
    b.id, (SELECT e.event FROM booking_event e WHERE e.id = t.moved), b.status), ARRAY[b.id]
FROM booking b JOIN (
    SELECT booking_id,
        min(id) FILTER (WHERE event IN ('FAILED', 'CANCELLED')) AS ended, min(id) FILTER (WHERE event = 'CONFIRMED') AS sold,
        max(id) AS moved, max(id) FILTER (WHERE event <> 'CANCELLED') AS moved_on, bool_or(event = 'CANCELLED') AS cancelled
    FROM booking_event
    WHERE booking_id = ANY($1) AND event IN ('HELD', 'HOLD_EXTENDED', 'REGISTERED', 'CHARGE_REQUESTED', 'POINTS_DEBITED',
        'INIT', 'PAYMENT_PENDING', 'CONFIRMED', 'FAILED', 'CANCELLED')
    GROUP BY booking_id) t ON t.booking_id = b.id
WHERE b.id = ANY($1) AND (t.moved > t.ended OR t.moved_on > t.sold
    OR b.status <> CASE WHEN t.cancelled THEN 'CANCELLED' WHEN t.ended IS NOT NULL THEN 'FAILED' WHEN t.sold IS NOT NULL THEN 'CONFIRMED' ELSE b.status END)`},
	{"I9", `
SELECT format('booking %s, a payment or an attempt of it bears what is no amount; find the amount in its timeline and put the row right', booking_id), ARRAY[booking_id]
FROM (
    SELECT id AS booking_id FROM booking WHERE id = ANY($1) AND ` + noAmount("total_amount") + `
    UNION SELECT booking_id FROM payment WHERE booking_id = ANY($1) AND ` + noAmount("amount") + `
    UNION SELECT booking_id FROM payment_attempt WHERE booking_id = ANY($1) AND ` + noAmount("amount") + `) odd`},
}
