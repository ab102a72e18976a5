package booking

import (
	"context"

	"github.com/shopspring/decimal"
)

// Charge is one payment as it was, or will be, asked of a gateway. OrderID and Key
// belong to the payment for ever: a repeat bears the same.
type Charge struct {
	Method     Method
	OrderID    string
	PaymentKey string
	Key        string // Idempotency-Key of this call
	Amount     decimal.Decimal
}

// Verdict is what a gateway's answer proves.
type Verdict string

// The verdicts. Whatever is not listed by the gateway as one of the others is
// Unknown.
const (
	VerdictApproved   Verdict = "APPROVED"    // charged: this order, key and amount
	VerdictDeclined   Verdict = "DECLINED"    // a listed refusal: not charged, and final
	VerdictMismatched Verdict = "MISMATCHED"  // only from Lookup: charged, but another amount, order or key
	VerdictNotFound   Verdict = "NOT_FOUND"   // only from Lookup: the gateway knows no such order (yet)
	VerdictInProgress Verdict = "IN_PROGRESS" // only from Lookup: begun and not decided
	VerdictRefused    Verdict = "REFUSED"     // our configuration is at fault (401, 403, bad key): nothing was done
	VerdictReturned   Verdict = "RETURNED"    // the money is back: cancelled in full
	VerdictUnknown    Verdict = "UNKNOWN"
)

// Answer is a gateway's answer, classified. Cause is for the log.
type Answer struct {
	Verdict     Verdict
	Reference   string          // the gateway's own transaction reference, if it gave one
	DeclineCode string          // with DECLINED: the gateway's code
	Amount      decimal.Decimal // with APPROVED, MISMATCHED: what was taken
	Cause       error
}

// Gateway moves money outside. It never retries by itself, and it answers UNKNOWN
// where an adapter would return an error: the caller must not confuse silence with
// refusal. The charge's Method chooses which gateway is called.
type Gateway interface {
	// Confirm charges. It answers APPROVED, DECLINED, REFUSED or UNKNOWN.
	Confirm(ctx context.Context, c Charge) Answer
	// Lookup asks what became of the order. It answers APPROVED, DECLINED, MISMATCHED,
	// NOT_FOUND, IN_PROGRESS, RETURNED or UNKNOWN.
	Lookup(ctx context.Context, c Charge) Answer
	// Cancel gives the whole charge back. It answers RETURNED (also when it was back
	// already), REFUSED or UNKNOWN.
	Cancel(ctx context.Context, c Charge, reason string) Answer
}
