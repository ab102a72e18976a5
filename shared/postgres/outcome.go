package postgres

import (
	"encoding/json"
	"errors"

	"github.com/jackc/pgx/v5"

	"stayhold/shared/booking"
)

// outcome is what a routine answers, and what is stored under an idempotency key: a result, or
// a refusal with the booking that it is about; or an intent that has to be carried out.
type outcome struct {
	booking.Result
	refusal error
	intent  *intent
}

// intent is a claimed attempt, of a charge or of a refund.
type intent struct {
	booking.Intent
	stuck bool
}

func decodeOutcome(raw []byte) (o outcome, err error) {
	err = decode(raw, func(r *reader) { r.outcome(&o) })
	return o, err
}

func decodeBooking(raw []byte) (b booking.Booking, err error) {
	err = decode(raw, func(r *reader) { r.booking(&b) })
	return b, err
}

func decodeIntent(raw []byte) (in intent, err error) {
	err = decode(raw, func(r *reader) { r.intent(&in) })
	return in, err
}

func (r *reader) outcome(to *outcome) {
	r.object(func(name string) {
		switch name {
		case "booking":
			r.booking(&to.Booking)
		case "created":
			r.boolean(&to.Created)
		case "pending":
			r.boolean(&to.Pending)
		case "error":
			to.refusal = r.refusal()
		case "sending":
			array(r, &to.Sending, r.outgoing)
		case "intent":
			if !r.null() {
				to.intent = &intent{}
				r.intent(to.intent)
			}
		default:
			r.Value()
		}
	})
}

// inner are the refusals that no caller ever sees.
var inner = map[string]error{
	"TOKEN_SPENT":        booking.ErrTokenSpent,
	"HOLD_SHORT":         booking.ErrHoldShort,
	"PAYMENT_KEY_NEEDED": booking.ErrInvalidRequest.With("errors", []booking.Violation{{Pointer: "/paymentKey", Code: "REQUIRED"}}),
}

// refusal reads an error of the domain; nil: there is none.
func (r *reader) refusal() error {
	if r.null() {
		return nil
	}
	var code string
	var members map[string]any
	r.object(func(name string) {
		switch name {
		case "code":
			text(r, &code)
		case "members":
			// Anything may stand in there: a time, a number, a list.
			if json.Unmarshal([]byte(r.Value()), &members) != nil {
				r.expected("object")
			}
		default:
			r.Value()
		}
	})
	if err, ok := inner[code]; ok {
		return err
	}
	err := booking.ErrorByCode(code)
	for name, value := range members {
		err = err.With(name, value)
	}
	return err
}

func (r *reader) outgoing(to *booking.Outgoing) {
	r.object(func(name string) {
		switch name {
		case "id":
			r.integer(&to.ID)
		case "task":
			text(r, &to.Task)
		case "bookingId":
			r.integer(&to.BookingID)
		default:
			r.Value()
		}
	})
}

func (r *reader) booking(to *booking.Booking) {
	var failure booking.Failure
	r.object(func(name string) {
		switch name {
		case "id":
			r.integer(&to.ID)
		case "userId":
			r.integer(&to.UserID)
		case "productId":
			r.integer(&to.ProductID)
		case "status":
			text(r, &to.Status)
		case "total":
			r.amount(&to.Total)
		case "holdToken":
			text(r, &to.HoldToken)
		case "holdExpiresAt":
			r.instant(&to.HoldExpiresAt)
		case "checkInAt":
			r.instant(&to.CheckInAt)
		case "payments":
			array(r, &to.Payments, r.payment)
		case "failureCode":
			text(r, &failure.Code)
		case "failureDetail":
			text(r, &failure.Detail)
		case "createdAt":
			r.instant(&to.CreatedAt)
		case "updatedAt":
			r.instant(&to.UpdatedAt)
		case "readAt":
			r.instant(&to.ReadAt)
		case "timeline":
			array(r, &to.Timeline, r.event)
		default:
			r.Value()
		}
	})
	if failure.Code != "" {
		to.Failure = &failure
	}
}

func (r *reader) payment(to *booking.Payment) {
	r.object(func(name string) {
		switch name {
		case "id":
			r.integer(&to.ID)
		case "method":
			text(r, &to.Method)
		case "amount":
			r.amount(&to.Amount)
		case "status":
			text(r, &to.Status)
		case "approval":
			text(r, &to.Approval)
		case "orderId":
			text(r, &to.OrderID)
		case "refundState":
			text(r, &to.RefundState)
		case "refundAmount":
			r.amount(&to.RefundAmount)
		default:
			r.Value()
		}
	})
}

func (r *reader) event(to *booking.Event) {
	r.object(func(name string) {
		switch name {
		case "at":
			r.instant(&to.At)
		case "event":
			text(r, &to.Event)
		case "detail":
			text(r, &to.Detail)
		default:
			r.Value()
		}
	})
}

func (r *reader) intent(to *intent) {
	r.object(func(name string) {
		switch name {
		case "attemptId":
			r.integer(&to.AttemptID)
		case "bookingId":
			r.integer(&to.BookingID)
		case "first":
			r.boolean(&to.First)
		case "over":
			r.boolean(&to.Over)
		case "stuck":
			r.boolean(&to.stuck)
		case "method":
			text(r, &to.Charge.Method)
		case "orderId":
			text(r, &to.Charge.OrderID)
		case "paymentKey":
			text(r, &to.Charge.PaymentKey)
		case "key":
			text(r, &to.Charge.Key)
		case "amount":
			r.amount(&to.Charge.Amount)
		case "productId":
			r.integer(&to.Hold.ProductID)
		case "userId":
			r.integer(&to.Hold.UserID)
		case "holdToken":
			text(r, &to.Hold.Token)
		case "deadline":
			r.instant(&to.Deadline)
		case "leftMs":
			r.millis(&to.HoldLeft)
		default:
			r.Value()
		}
	})
}

// orNothing turns "no such row" into what the caller names.
func orNothing(err, none error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return none
	}
	return err
}
