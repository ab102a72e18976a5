package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"stayhold/shared/booking"
)

const recallSQL = `
SELECT fingerprint, request_id, outcome, claimed_until
FROM idempotency_key
WHERE user_id = $1 AND scope = $2 AND key = $3
  AND now() - created_at < interval '24 hours'
  AND (outcome IS NOT NULL OR claimed_until > now())`

// Recall reads what a request with this key was answered; nil: the key is free.
func (s *Store) Recall(ctx context.Context, key booking.IdempotencyKey) (*booking.Recalled, error) {
	var fingerprint, requestID string
	var raw []byte
	var claimed *time.Time
	err := s.read(ctx, func(c *pgxpool.Conn) error {
		return c.QueryRow(ctx, recallSQL, key.UserID, key.Scope, key.Key).Scan(&fingerprint, &requestID, &raw, &claimed)
	})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, err
	case fingerprint != key.Fingerprint:
		return nil, booking.ErrIdempotencyKeyReused
	case claimed != nil:
		return nil, booking.ErrIdempotencyInProgress
	}
	stored, err := decodeOutcome(raw)
	if err != nil {
		return nil, err
	}
	return &booking.Recalled{RequestID: requestID, Result: stored.Result, Err: stored.refusal}, nil
}

// answer calls a routine whose outcome is the step's.
func (s *Store) answer(ctx context.Context, sql string, args ...any) (booking.Result, error) {
	o, err := s.step(ctx, sql, args...)
	if err != nil {
		return booking.Result{}, err
	}
	return o.Result, o.refusal
}

const openSQL = `SELECT open_booking($1, $2, $3, $4, $5, $6)`

// Open inserts a booking under a hold.
func (s *Store) Open(ctx context.Context, o booking.Opening) (booking.Result, error) {
	return s.answer(ctx, openSQL, o.Hold.UserID, o.Hold.ProductID, o.Hold.Token, o.Deadline, o.MaxOpenHolds, keyArgument(o.Key))
}

const registerSQL = `SELECT register_payments($1, $2, $3, $4, $5)`

// Register replaces a booking's payment set.
func (s *Store) Register(ctx context.Context, r booking.Registration) (booking.Result, error) {
	methods := make([]string, len(r.Set))
	amounts := make([]string, len(r.Set))
	for i, part := range r.Set {
		methods[i], amounts[i] = string(part.Method), part.Amount.String()
	}
	return s.answer(ctx, registerSQL, r.UserID, r.BookingID, methods, amounts, keyArgument(r.Key))
}

const completeSQL = `SELECT complete_booking($1, $2, $3, $4, $5)`

// Complete confirms a paid booking.
func (s *Store) Complete(ctx context.Context, c booking.Completion) (booking.Result, error) {
	var held *time.Time
	if !c.Held.IsZero() {
		held = &c.Held
	}
	return s.answer(ctx, completeSQL, c.UserID, c.BookingID, c.MinLeft.Milliseconds(), held, keyArgument(c.Key))
}

const surrenderSQL = `SELECT surrender_booking($1, $2, $3, $4)`

// Surrender fences a booking that cannot be confirmed.
func (s *Store) Surrender(ctx context.Context, r booking.Surrender) (booking.Result, error) {
	return s.answer(ctx, surrenderSQL, r.BookingID, r.Cause.Code, r.Cause.Detail, keyArgument(r.Key))
}

const cancelSQL = `SELECT cancel_booking($1, $2, $3, $4)`

// Cancel fences a booking for its user.
func (s *Store) Cancel(ctx context.Context, c booking.Cancellation) (booking.Result, error) {
	return s.answer(ctx, cancelSQL, c.UserID, c.BookingID, c.Reason, keyArgument(c.Key))
}

const lapseSQL = `SELECT lapse_booking($1, $2)`

// Lapse fences a booking whose hold is past.
func (s *Store) Lapse(ctx context.Context, bookingID int64, grace time.Duration) (booking.Result, error) {
	return s.answer(ctx, lapseSQL, bookingID, grace.Milliseconds())
}

const beginApprovalSQL = `SELECT begin_approval($1, $2, $3, $4, $5, $6, $7, $8, $9)`

// BeginApproval commits the intent to charge.
func (s *Store) BeginApproval(ctx context.Context, r booking.ApprovalRequest) (*booking.Intent, booking.Result, error) {
	var paymentKey *string
	if r.PaymentKey != "" {
		paymentKey = &r.PaymentKey
	}
	o, err := s.step(ctx, beginApprovalSQL, r.UserID, r.BookingID, paymentKey, r.Owner,
		r.Lease.Milliseconds(), r.SendTime.Milliseconds(), r.Window.Milliseconds(), r.Limit.Milliseconds(), keyArgument(r.Key))
	if err != nil {
		return nil, booking.Result{}, err
	}
	if o.intent == nil {
		return nil, o.Result, o.refusal
	}
	in := o.intent.Intent
	in.Owner, in.Key = r.Owner, r.Key
	return &in, booking.Result{}, nil
}

const endApprovalSQL = `SELECT end_approval($1, $2, $3, $4, $5, $6, $7, $8, $9)`

// EndApproval records what was found out of a charge.
func (s *Store) EndApproval(ctx context.Context, in booking.Intent, f booking.Finding) (booking.Result, error) {
	return s.answer(ctx, endApprovalSQL, in.AttemptID, in.Owner, in.First, string(f.Code), f.ByLookup,
		f.DeclineCode, f.Reference, f.Amount.String(), keyArgument(in.Key))
}

const claimApprovalSQL = `SELECT claim_approval($1, $2, $3, $4)`

// ClaimApproval leases an attempt whose answer is not known.
func (s *Store) ClaimApproval(ctx context.Context, bookingID int64, owner string, lease, session time.Duration) (booking.Intent, error) {
	o, err := s.step(ctx, claimApprovalSQL, bookingID, owner, lease.Milliseconds(), session.Milliseconds())
	if err != nil {
		return booking.Intent{}, err
	}
	in := o.intent.Intent
	in.Owner = owner
	return in, nil
}

const claimRefundSQL = `SELECT claim_refund($1, $2, $3)`

// ClaimRefund leases a row that commands money back.
func (s *Store) ClaimRefund(ctx context.Context, bookingID int64, owner string, lease time.Duration) (booking.RefundIntent, error) {
	var raw []byte
	err := s.write(ctx, func(c *pgxpool.Conn) error {
		return c.QueryRow(ctx, claimRefundSQL, bookingID, owner, lease.Milliseconds()).Scan(&raw)
	})
	switch {
	case err != nil:
		return booking.RefundIntent{}, err
	case raw == nil:
		return booking.RefundIntent{}, booking.ErrNothingDue
	}
	in, err := decodeIntent(raw)
	return booking.RefundIntent{AttemptID: in.AttemptID, BookingID: bookingID, Owner: owner, Stuck: in.stuck, Charge: in.Charge}, err
}

const endRefundSQL = `SELECT end_refund($1, $2, $3, $4)`

// EndRefund records that money is back, or has to be asked for again.
func (s *Store) EndRefund(ctx context.Context, in booking.RefundIntent, back bool, reference string) error {
	return s.write(ctx, func(c *pgxpool.Conn) error {
		_, err := c.Exec(ctx, endRefundSQL, in.AttemptID, in.Owner, back, reference)
		return err
	})
}

const deadSQL = `
SELECT id, user_id, product_id, status, hold_token
FROM booking WHERE id = $1 AND status IN ('FAILED', 'CANCELLED')`

// Dead reads a booking that has ended, as far as its release needs it.
func (s *Store) Dead(ctx context.Context, bookingID int64) (booking.Booking, error) {
	var b booking.Booking
	err := s.read(ctx, func(c *pgxpool.Conn) error {
		return c.QueryRow(ctx, deadSQL, bookingID).Scan(&b.ID, &b.UserID, &b.ProductID, &b.Status, &b.HoldToken)
	})
	return b, orNothing(err, booking.ErrNothingDue)
}
