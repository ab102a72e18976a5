package main

import (
	"context"
	"crypto/md5" //nolint:gosec // as the rows' SQL makes tokens; nothing is secured with it
	"encoding/hex"
	"errors"
	"strconv"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
)

// readySQL makes bookings as reserve, register and approve leave them: paid by points that are there and by a card that
// was charged, under a hold that outlasts the run. $1 is the last booking's and payment's id, $2 the last user's, $3 the
// products, $4 how many there are to be.
var readySQL = []string{`
CREATE TEMP TABLE ready ON COMMIT DROP AS
SELECT $1::bigint + n AS id, $2::bigint + n AS user_id, ($3::bigint[])[1 + (n - 1) % cardinality($3::bigint[])] AS product_id
FROM generate_series(1, $4::bigint) AS n`, `
INSERT INTO user_point (user_id, balance) SELECT user_id, 1000 FROM ready`, `
INSERT INTO point_ledger (user_id, delta, kind, reason) SELECT user_id, 1000, 'GRANT', 'bench' FROM ready`, `
INSERT INTO booking (id, user_id, product_id, total_amount, status, hold_token, hold_expires_at, check_in_at)
OVERRIDING SYSTEM VALUE
SELECT r.id, r.user_id, r.product_id, p.price, 'PAYMENT_PENDING', md5(r.user_id::text), now() + interval '1 hour', p.check_in_at
FROM ready r JOIN product p ON p.id = r.product_id`, `
INSERT INTO payment (id, booking_id, payment_method, amount, status, order_id)
OVERRIDING SYSTEM VALUE
SELECT 2 * id - n, id, CASE n WHEN 1 THEN 'POINT' ELSE 'CARD' END, CASE n WHEN 1 THEN 1000 ELSE 99000 END,
    CASE n WHEN 1 THEN 'READY' ELSE 'SUCCESS' END, CASE n WHEN 0 THEN 'sh-' || md5(user_id::text) END
FROM ready, generate_series(0, 1) AS n ORDER BY id, n DESC`, `
INSERT INTO payment_attempt (payment_id, booking_id, kind, state, order_id, idempotency_key, payment_key, amount, reference)
SELECT 2 * id, id, 'APPROVE', 'APPROVED', 'sh-' || md5(user_id::text), 'approve-sh-' || md5(user_id::text), 'ok-bench', 99000, 'bench'
FROM ready`, `
INSERT INTO booking_event (booking_id, event)
SELECT id, e.event
FROM ready, (VALUES (1, 'HELD'), (2, 'REGISTERED'), (3, 'REGISTERED'), (4, 'CHARGED')) AS e (step, event) ORDER BY id, e.step`, `
SELECT setval(pg_get_serial_sequence('booking', 'id'), max(id)), setval(pg_get_serial_sequence('payment', 'id'), 2 * max(id)) FROM ready`,
}

// paid is a booking that is ready to be completed.
type paid struct {
	id, user, product int64
	token             string
}

// supply hands paid bookings out, each once, to both legs of a duel.
type supply struct {
	all  []paid
	next atomic.Int64
}

func (s *supply) take() (paid, error) {
	i := s.next.Add(1) - 1
	if i >= int64(len(s.all)) {
		return paid{}, errors.New("every booking is complete already")
	}
	return s.all[i], nil
}

// ready makes n paid bookings, spread over the products, which are new, and fills the gate from their rows.
func (l *lab) ready(ctx context.Context, n int, products []int64) (*supply, error) {
	conn, err := pgx.Connect(ctx, l.database)
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // everything is committed, or failed, by then
	lastUser := l.users.Add(int64(n)) - int64(n)
	var last int64
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, `SELECT coalesce(max(id), 0) FROM booking`).Scan(&last); err != nil {
			return err
		}
		// A superuser's: so many rows are not held against their foreign keys one by one, nor begun as INIT.
		if _, err := tx.Exec(ctx, `SET LOCAL session_replication_role = replica`); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, readySQL[0], last, lastUser, products, n); err != nil {
			return err
		}
		for _, sql := range readySQL[1:] {
			if _, err := tx.Exec(ctx, sql); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	// As the server does by itself, a minute later.
	if _, err := conn.Exec(ctx, `VACUUM ANALYZE`); err != nil {
		return nil, err
	}
	s := &supply{all: make([]paid, n)}
	for i := range s.all {
		user := lastUser + int64(i) + 1
		token := md5.Sum(strconv.AppendInt(nil, user, 10)) //nolint:gosec // as above
		s.all[i] = paid{last + int64(i) + 1, user, products[i%len(products)], hex.EncodeToString(token[:])}
	}
	for _, product := range products {
		if err := l.warm(ctx, product); err != nil {
			return nil, err
		}
	}
	return s, nil
}
