package booking

import (
	"context"
	"errors"

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

// Ledger is a gateway's own list of every charge, where it opens one: the only truth
// about money outside.
type Ledger interface {
	// Charges hands over all charges, oldest first, page by page; an error of the
	// receiver ends it. ErrNoLedger: there is none, or not the whole of it was heard.
	Charges(ctx context.Context, receive func(page []LedgerCharge) error) error
}

// LedgerCharge is money that a gateway took for an order, given back since or not.
type LedgerCharge struct {
	OrderID   string
	Amount    decimal.Decimal
	Cancelled bool
}

// ErrNoLedger says that no gateway's ledger could be read. It wraps why.
var ErrNoLedger = errors.New("no ledger of the gateway")

// Account is one payment as the gateway's ledger has to have it.
type Account struct {
	OrderID   string
	BookingID int64
	ProductID int64
	Kept      decimal.Decimal // what must have stayed there
	Settled   bool            // nobody is still going to move money for it
}

// Accounts is the database's side of a ledger.
type Accounts interface {
	// AccountsOf reads the payments of some orders; an order that no payment bears is
	// left out.
	AccountsOf(ctx context.Context, orderIDs []string) ([]Account, error)
	// SoldOrders pages through the orders that CONFIRMED bookings were paid with, of one
	// product or (0) of all, by booking id after the cursor; next 0 ends.
	SoldOrders(ctx context.Context, productID, after int64) (orderIDs []string, next int64, err error)
}
