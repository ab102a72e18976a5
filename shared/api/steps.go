package api

import (
	"context"
	"slices"

	"github.com/aws/aws-lambda-go/lambda"

	"stayhold/shared/booking"
)

// The paths of the POST routes.
const (
	reservePath  = "/bookings/reserve"
	registerPath = "/bookings/{bookingId}/payments/register"
	approvePath  = "/bookings/{bookingId}/payments/pg-approve"
	completePath = "/bookings/{bookingId}/complete"
	cancelPath   = "/bookings/{bookingId}/cancel"
)

const (
	maxPayments   = 8
	maxPaymentKey = 200
)

// Step is one step's Run.
type Step[C any] func(ctx context.Context, command C) (booking.Result, error)

// Reserve handles POST /bookings/reserve.
func (e *Edge) Reserve(step Step[booking.ReserveCommand]) lambda.Handler {
	return e.post("reserve", reservePath, func(f *faults, v *value) decoded {
		productID := f.open(v, "productId").id("productId")
		return decoded{
			canonical: struct {
				ProductID int64 `json:"productId"`
			}{productID},
			run: func(ctx context.Context, r request) (booking.Result, error) {
				return step(ctx, booking.ReserveCommand{UserID: r.user, ProductID: productID, Key: r.key})
			},
		}
	})
}

// Register handles POST /bookings/{bookingId}/payments/register.
func (e *Edge) Register(step Step[booking.Registration]) lambda.Handler {
	return e.post("register", registerPath, func(f *faults, v *value) decoded {
		set := f.open(v, "payments").set("payments")
		parts := make([][2]string, len(set))
		for i, p := range set {
			parts[i] = [2]string{string(p.Method), money(p.Amount)}
		}
		return decoded{
			canonical: map[string]any{"payments": parts},
			fault:     set.CheckMethods(),
			run: func(ctx context.Context, r request) (booking.Result, error) {
				return step(ctx, booking.Registration{UserID: r.user, BookingID: r.booking, Set: set, Key: r.key})
			},
		}
	})
}

// Approve handles POST /bookings/{bookingId}/payments/pg-approve.
func (e *Edge) Approve(step Step[booking.ApproveCommand]) lambda.Handler {
	return e.post("approve", approvePath, func(f *faults, v *value) decoded {
		canonical := map[string]string{}
		fields := f.open(v, "paymentKey")
		if fields.optional("paymentKey") != nil {
			canonical["paymentKey"] = fields.paymentKey("paymentKey")
		}
		return decoded{canonical: canonical, run: func(ctx context.Context, r request) (booking.Result, error) {
			return step(ctx, booking.ApproveCommand{
				UserID: r.user, BookingID: r.booking, PaymentKey: canonical["paymentKey"], Key: r.key,
			})
		}}
	})
}

// Complete handles POST /bookings/{bookingId}/complete.
func (e *Edge) Complete(step Step[booking.CompleteCommand]) lambda.Handler {
	return e.post("complete", completePath, empty(func(ctx context.Context, r request) (booking.Result, error) {
		return step(ctx, booking.CompleteCommand{UserID: r.user, BookingID: r.booking, Key: r.key})
	}))
}

// Cancel handles POST /bookings/{bookingId}/cancel.
func (e *Edge) Cancel(step Step[booking.Cancellation]) lambda.Handler {
	return e.post("cancel", cancelPath, empty(func(ctx context.Context, r request) (booking.Result, error) {
		return step(ctx, booking.Cancellation{UserID: r.user, BookingID: r.booking, Reason: "asked by the user", Key: r.key})
	}))
}

// empty decodes a body without members.
func empty(run func(context.Context, request) (booking.Result, error)) decode {
	return func(f *faults, v *value) decoded {
		f.open(v)
		return decoded{canonical: map[string]string{}, run: run}
	}
}

// set reads a payment set. A method that stands twice is told of only when nothing
// else is wrong.
func (f fields) set(name string) booking.Set {
	v := f.member(name, isArray)
	if v == nil {
		return nil
	}
	if len(v.items) == 0 || len(v.items) > maxPayments {
		f.add(booking.ErrInvalidRequest, v.pointer(), outOfRange)
		return nil
	}
	set := make(booking.Set, len(v.items))
	for i, item := range v.items {
		part := f.open(item, "method", "amount")
		set[i] = booking.Part{Method: part.method("method"), Amount: part.amount("amount", false)}
	}
	return set
}

func (f fields) method(name string) booking.Method {
	v := f.member(name, isString)
	if v == nil {
		return ""
	}
	method := booking.Method(v.text)
	if !slices.Contains(booking.Methods, method) {
		f.add(booking.ErrInvalidMethod, v.pointer(), booking.ErrInvalidMethod.Code)
	}
	return method
}

// paymentKey reads ^[A-Za-z0-9_=-]{1,200}$.
func (f fields) paymentKey(name string) string {
	v := f.member(name, isString)
	if v == nil {
		return ""
	}
	good := len(v.text) > 0 && len(v.text) <= maxPaymentKey
	for _, c := range []byte(v.text) {
		good = good && (c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_' || c == '=' || c == '-')
	}
	if !good {
		f.add(booking.ErrInvalidRequest, v.pointer(), wrongValue)
	}
	return v.text
}
