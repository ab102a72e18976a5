package booking

import (
	"fmt"
	"maps"
	"time"
)

// Kind is the family of an Error; only the api package knows which status it has.
type Kind int

// The kinds of errors that callers see.
const (
	Internal Kind = iota
	Invalid
	Unauthenticated
	Declined
	NotFound
	Conflict
	Gone
	TooLarge
	Unsupported
	Unprocessable
	Limited
	Unavailable
)

// Error is a condition that a caller is told of. Code is the contract; Detail is
// one line for a person and never a driver's or a gateway's own text. Two errors
// are the same (errors.Is) when their codes are.
type Error struct {
	Kind       Kind
	Code       string
	Detail     string
	RetryAfter time.Duration  // 0: none is advised
	Members    map[string]any // further members of the answer, by name
	cause      error
}

func (e *Error) Error() string {
	if e.cause != nil {
		return fmt.Sprintf("%s: %v", e.Code, e.cause)
	}
	return e.Code + ": " + e.Detail
}

// Unwrap gives the inner error, which goes to the log only.
func (e *Error) Unwrap() error { return e.cause }

// Is compares by code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// With returns a copy that bears one more member.
func (e *Error) With(name string, value any) *Error {
	c := *e
	c.Members = maps.Clone(e.Members)
	if c.Members == nil {
		c.Members = map[string]any{}
	}
	c.Members[name] = value
	return &c
}

// Saying returns a copy whose detail is another one.
func (e *Error) Saying(detail string) *Error {
	c := *e
	c.Detail = detail
	return &c
}

// Because returns a copy that carries the inner error for the log.
func (e *Error) Because(cause error) *Error {
	c := *e
	c.cause = cause
	return &c
}

// Violation names one fault of a body: a JSON pointer and a code.
type Violation struct {
	Pointer string `json:"pointer"`
	Code    string `json:"code"`
}

// WithPointer returns a copy whose errors member names the fault at
// base/index/member.
func (e *Error) WithPointer(base string, index int, member string) *Error {
	return e.With("errors", []Violation{{Pointer: fmt.Sprintf("%s/%d/%s", base, index, member), Code: e.Code}})
}

func define(kind Kind, code, detail string) *Error {
	e := &Error{Kind: kind, Code: code, Detail: detail}
	if kind == Unavailable {
		e.RetryAfter = time.Second
	}
	byCode[code] = e
	return e
}

var byCode = map[string]*Error{}

// ErrorByCode finds the error of a stored outcome; an unknown code is INTERNAL.
func ErrorByCode(code string) *Error {
	if e, ok := byCode[code]; ok {
		return e
	}
	return ErrInternal.Because(fmt.Errorf("unknown code %q", code))
}

// The conditions that callers see, one variable each.
var (
	ErrInternal = define(Internal, "INTERNAL", "Something went wrong on our side.")

	ErrInvalidJSON           = define(Invalid, "INVALID_JSON", "The body is not one valid JSON value.")
	ErrInvalidRequest        = define(Invalid, "INVALID_REQUEST", "The request is not valid.")
	ErrUnknownField          = define(Invalid, "UNKNOWN_FIELD", "The body has a member that is not known.")
	ErrDuplicateField        = define(Invalid, "DUPLICATE_FIELD", "The body has a member twice.")
	ErrInvalidAmount         = define(Invalid, "INVALID_AMOUNT", "An amount is not a positive decimal with at most two digits after the point.")
	ErrInvalidMethod         = define(Invalid, "INVALID_METHOD", "A payment method is not one of CARD, YPAY, POINT.")
	ErrDuplicateMethod       = define(Invalid, "DUPLICATE_METHOD", "A payment method stands twice.")
	ErrInvalidIdempotencyKey = define(Invalid, "INVALID_IDEMPOTENCY_KEY", "Idempotency-Key must be 1 to 255 visible ASCII characters without a comma.")

	ErrUnauthenticated = define(Unauthenticated, "UNAUTHENTICATED", "The request bears no identity.")
	ErrInvalidSubject  = define(Unauthenticated, "INVALID_SUBJECT", "The token's subject is not a user's number.")

	ErrPaymentDeclined = define(Declined, "PAYMENT_DECLINED", "The payment was declined. The hold is kept: register a payment again.")

	ErrProductNotFound = define(NotFound, "PRODUCT_NOT_FOUND", "There is no such product.")
	ErrBookingNotFound = define(NotFound, "BOOKING_NOT_FOUND", "There is no such booking.")

	ErrSoldOut               = define(Conflict, "SOLD_OUT", "No unit is free.")
	ErrDuplicateReservation  = define(Conflict, "DUPLICATE_RESERVATION", "You already have an open booking of this product.")
	ErrAlreadyPurchased      = define(Conflict, "ALREADY_PURCHASED", "You have bought this product already.")
	ErrSaleNotOpen           = define(Conflict, "SALE_NOT_OPEN", "The sale has not begun.")
	ErrSaleClosed            = define(Conflict, "SALE_CLOSED", "The sale is over.")
	ErrInvalidState          = define(Conflict, "INVALID_STATE", "The booking's state does not allow this.")
	ErrPaymentIncomplete     = define(Conflict, "PAYMENT_INCOMPLETE", "The booking is not paid: register a payment set and have it approved.")
	ErrPaymentInProgress     = define(Conflict, "PAYMENT_IN_PROGRESS", "A payment of this booking is being decided.")
	ErrIdempotencyInProgress = define(Conflict, "IDEMPOTENCY_IN_PROGRESS", "A request with this Idempotency-Key is still running.")

	ErrHoldExpired = define(Gone, "HOLD_EXPIRED", "The hold has lapsed and no unit is free.")

	ErrPayloadTooLarge      = define(TooLarge, "PAYLOAD_TOO_LARGE", "The body is larger than 16 KiB.")
	ErrUnsupportedMediaType = define(Unsupported, "UNSUPPORTED_MEDIA_TYPE", "The body must be application/json in UTF-8, not compressed.")
	ErrHoldLimit            = define(Limited, "HOLD_LIMIT", "You hold as many units as one user may.")

	ErrAmountMismatch       = define(Unprocessable, "AMOUNT_MISMATCH", "The amounts do not add up to the booking's total.")
	ErrMethodCombination    = define(Unprocessable, "METHOD_COMBINATION", "These payment methods cannot be combined.")
	ErrInsufficientPoints   = define(Unprocessable, "INSUFFICIENT_POINTS", "There are not enough points.")
	ErrIdempotencyKeyReused = define(Unprocessable, "IDEMPOTENCY_KEY_REUSED", "This Idempotency-Key was used with another body.")

	ErrUnavailable         = define(Unavailable, "DEPENDENCY_UNAVAILABLE", "Nothing happened. Try again.")
	ErrCommitResultUnknown = define(Unavailable, "COMMIT_RESULT_UNKNOWN", "It is not known whether this happened. Repeat the same request.")
)

func init() {
	ErrIdempotencyInProgress.RetryAfter = time.Second
	ErrHoldLimit.RetryAfter = 30 * time.Second
}
