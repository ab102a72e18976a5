package postgres

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/shopspring/decimal"

	"stayhold/shared/booking"
)

// outcome is what a routine answers, and what is stored under an idempotency key.
type outcome struct {
	Booking *bookingRow `json:"booking"`
	Created bool        `json:"created"`
	Pending bool        `json:"pending"`
	Error   *refusal    `json:"error"`
	Sending []outgoing  `json:"sending"`
	Intent  *intentRow  `json:"intent"`
}

type refusal struct {
	Code    string         `json:"code"`
	Members map[string]any `json:"members"`
}

type outgoing struct {
	ID        int64        `json:"id"`
	Task      booking.Task `json:"task"`
	BookingID int64        `json:"bookingId"`
}

func (o outgoing) domain() booking.Outgoing {
	return booking.Outgoing{ID: o.ID, Message: booking.Message{Task: o.Task, BookingID: o.BookingID}}
}

type bookingRow struct {
	ID            int64           `json:"id"`
	UserID        int64           `json:"userId"`
	ProductID     int64           `json:"productId"`
	Status        booking.Status  `json:"status"`
	Total         decimal.Decimal `json:"total"`
	HoldToken     string          `json:"holdToken"`
	HoldExpiresAt time.Time       `json:"holdExpiresAt"`
	CheckInAt     time.Time       `json:"checkInAt"`
	Payments      []paymentRow    `json:"payments"`
	FailureCode   string          `json:"failureCode"`
	FailureDetail string          `json:"failureDetail"`
	CreatedAt     time.Time       `json:"createdAt"`
	UpdatedAt     time.Time       `json:"updatedAt"`
	ReadAt        time.Time       `json:"readAt"`
	Timeline      []eventRow      `json:"timeline"`
}

type paymentRow struct {
	ID           int64                 `json:"id"`
	Method       booking.Method        `json:"method"`
	Amount       decimal.Decimal       `json:"amount"`
	Status       booking.PaymentStatus `json:"status"`
	Approval     booking.Approval      `json:"approval"`
	OrderID      string                `json:"orderId"`
	RefundState  booking.RefundState   `json:"refundState"`
	RefundAmount decimal.Decimal       `json:"refundAmount"`
}

type eventRow struct {
	At     time.Time `json:"at"`
	Event  string    `json:"event"`
	Detail string    `json:"detail"`
}

type intentRow struct {
	AttemptID  int64           `json:"attemptId"`
	BookingID  int64           `json:"bookingId"`
	First      bool            `json:"first"`
	Over       bool            `json:"over"`
	Stuck      bool            `json:"stuck"`
	Method     booking.Method  `json:"method"`
	OrderID    string          `json:"orderId"`
	PaymentKey string          `json:"paymentKey"`
	Key        string          `json:"key"`
	Amount     decimal.Decimal `json:"amount"`
	ProductID  int64           `json:"productId"`
	UserID     int64           `json:"userId"`
	HoldToken  string          `json:"holdToken"`
	Deadline   time.Time       `json:"deadline"`
	LeftMillis int64           `json:"leftMs"`
}

func (r intentRow) domain(owner string, key *booking.IdempotencyKey) booking.Intent {
	return booking.Intent{
		AttemptID: r.AttemptID, BookingID: r.BookingID, Owner: owner, First: r.First, Over: r.Over, Key: key,
		Charge:   booking.Charge{Method: r.Method, OrderID: r.OrderID, PaymentKey: r.PaymentKey, Key: r.Key, Amount: r.Amount},
		Hold:     booking.Hold{ProductID: r.ProductID, UserID: r.UserID, Token: r.HoldToken},
		Deadline: r.Deadline, HoldLeft: time.Duration(r.LeftMillis) * time.Millisecond,
	}
}

func decodeOutcome(raw []byte) (outcome, error) {
	var o outcome
	if err := json.Unmarshal(raw, &o); err != nil {
		return o, booking.ErrInternal.Because(err)
	}
	return o, nil
}

// result gives the outcome as the steps see it: a refusal comes with the booking that
// it is about.
func (o outcome) result() (booking.Result, error) {
	r := booking.Result{Created: o.Created, Pending: o.Pending}
	if o.Booking != nil {
		r.Booking = o.Booking.domain()
	}
	for _, s := range o.Sending {
		r.Sending = append(r.Sending, s.domain())
	}
	if o.Error == nil {
		return r, nil
	}
	return r, o.Error.domain()
}

// inner are the refusals that no caller ever sees.
var inner = map[string]error{
	"TOKEN_SPENT":        booking.ErrTokenSpent,
	"HOLD_SHORT":         booking.ErrHoldShort,
	"PAYMENT_KEY_NEEDED": booking.ErrInvalidRequest.With("errors", []booking.Violation{{Pointer: "/paymentKey", Code: "REQUIRED"}}),
}

func (r refusal) domain() error {
	if err, ok := inner[r.Code]; ok {
		return err
	}
	err := booking.ErrorByCode(r.Code)
	for name, value := range r.Members {
		err = err.With(name, value)
	}
	return err
}

func (r bookingRow) domain() booking.Booking {
	b := booking.Booking{
		ID: r.ID, UserID: r.UserID, ProductID: r.ProductID, Status: r.Status, Total: r.Total,
		HoldToken: r.HoldToken, HoldExpiresAt: r.HoldExpiresAt, CheckInAt: r.CheckInAt,
		CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt, ReadAt: r.ReadAt,
		Payments: make([]booking.Payment, len(r.Payments)),
	}
	for i, p := range r.Payments {
		b.Payments[i] = booking.Payment{
			ID: p.ID, Method: p.Method, Amount: p.Amount, Status: p.Status, Approval: p.Approval,
			OrderID: p.OrderID, RefundState: p.RefundState, RefundAmount: p.RefundAmount,
		}
	}
	if r.FailureCode != "" {
		b.Failure = &booking.Failure{Code: r.FailureCode, Detail: r.FailureDetail}
	}
	for _, e := range r.Timeline {
		b.Timeline = append(b.Timeline, booking.Event(e))
	}
	return b
}

// orNothing turns "no such row" into what the caller names.
func orNothing(err, none error) error {
	if errors.Is(err, errNoRow) {
		return none
	}
	return err
}
