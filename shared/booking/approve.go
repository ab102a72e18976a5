package booking

import (
	"context"
	"errors"
	"time"
)

// Clock measures how long this process has been at it. No decision about a booking
// is made by it: those are the database's and the gate's.
type Clock interface {
	Now() time.Time
}

// Approve has the gateway charge the booking's card or wallet.
//
// The intent is committed before a byte is sent. Died after that: the attempt's lease
// lapses, and the buyer's repeat, a message or the sweep finds out what became of it.
type Approve struct {
	Store          Store
	Gate           Gate
	Gateway        Gateway
	Queue          Queue
	Clock          Clock
	HoldTTL        time.Duration
	Window         time.Duration // PAYMENT_WINDOW
	GatewayTimeout time.Duration
}

// ApproveCommand asks to charge. PaymentKey is the gateway's token for this order;
// empty when there is nothing to charge.
type ApproveCommand struct {
	UserID     int64
	BookingID  int64
	PaymentKey string
	Key        *IdempotencyKey
}

// callTime is what one gateway call may take, with some slack around the gateway's
// own timeout. So much must be left, of the hold and of the lease, when a confirm is
// sent.
func callTime(gatewayTimeout time.Duration) time.Duration {
	return gatewayTimeout + min(2*time.Second, gatewayTimeout/2)
}

// lease is how long an owner may work on an attempt: a look-up and a confirm.
func lease(gatewayTimeout time.Duration) time.Duration { return 2 * callTime(gatewayTimeout) }

// Run answers with the booking: PAYMENT_PENDING when charged, Pending when the
// gateway's answer is not known. Errors: those of BeginApproval and EndApproval, and
// ErrCommitResultUnknown where the gateway was asked and its answer cannot be recorded.
func (s Approve) Run(ctx context.Context, cmd ApproveCommand) (Result, error) {
	began := s.Clock.Now()
	in, result, err := s.Store.BeginApproval(ctx, ApprovalRequest{
		UserID: cmd.UserID, BookingID: cmd.BookingID, PaymentKey: cmd.PaymentKey,
		Owner: newToken(), Lease: lease(s.GatewayTimeout), SendTime: callTime(s.GatewayTimeout),
		Window: s.Window, Limit: s.HoldTTL + 3*s.Window, Key: cmd.Key,
	})
	if err != nil || in == nil {
		return result, err
	}
	found := s.find(ctx, began, *in)
	result, err = s.Store.EndApproval(ctx, *in, found)
	if errors.Is(err, ErrUnavailable) && found.Code != FoundNotSent && found.Code != FoundHoldLost {
		err = ErrCommitResultUnknown.Because(err) // the repeat looks up what became of it
	}
	result.Deferred = errors.Join(found.Cause, finish(ctx, s.Gate, s.Queue, s.Store, result))
	return result, err
}

// find charges, or finds out what an earlier charge became.
func (s Approve) find(ctx context.Context, began time.Time, in Intent) Finding {
	if !in.First {
		answer := s.Gateway.Lookup(ctx, in.Charge)
		found, decided := seen(answer)
		if decided {
			return found
		}
		mayBeUnsent := answer.Verdict == VerdictNotFound || answer.Verdict == VerdictInProgress
		if !mayBeUnsent || in.HoldLeft <= 0 {
			return found
		}
	}
	if code, ok := s.ensure(ctx, in); !ok {
		return Finding{Code: code}
	}
	spent := s.Clock.Now().Sub(began)
	if min(in.HoldLeft, lease(s.GatewayTimeout))-spent < callTime(s.GatewayTimeout) {
		return Finding{Code: unsent(in)}
	}
	return answered(in, s.Gateway.Confirm(ctx, in.Charge))
}

// ensure holds the unit until the recorded deadline. When it cannot, it says what
// that means: only a first knows for certain that nothing was sent.
func (s Approve) ensure(ctx context.Context, in Intent) (FindingCode, bool) {
	code, err := whenWarm(ctx, s.Gate, s.Store, in.Hold.ProductID, func() (EnsureCode, bool, error) {
		c, err := s.Gate.Ensure(ctx, in.Hold, in.Deadline)
		return c, c == EnsureCold, err
	})
	switch {
	case err == nil && code == EnsureOK:
		return "", true
	case err == nil && code == EnsureLost && in.First:
		return FoundHoldLost, false
	default:
		return unsent(in), false
	}
}

func unsent(in Intent) FindingCode {
	if in.First {
		return FoundNotSent
	}
	return FoundUnknown
}

// answered reads a confirm's answer. A decline is believed from a first only: a
// re-send may be told "no" while the first request still charges.
func answered(in Intent, a Answer) Finding {
	switch {
	case a.Verdict == VerdictApproved:
		return Finding{Code: FoundApproved, Reference: a.Reference}
	case a.Verdict == VerdictDeclined && in.First:
		return Finding{Code: FoundDeclined, DeclineCode: a.DeclineCode}
	case a.Verdict == VerdictRefused && in.First:
		return Finding{Code: FoundNotSent, Cause: a.Cause}
	default:
		return Finding{Code: FoundUnknown, Cause: a.Cause}
	}
}

// seen reads a look-up's answer; undecided is a charge that may still come.
func seen(a Answer) (found Finding, decided bool) {
	found = Finding{ByLookup: true, Reference: a.Reference, Amount: a.Amount, DeclineCode: a.DeclineCode}
	switch a.Verdict {
	case VerdictApproved:
		found.Code = FoundApproved
	case VerdictDeclined:
		found.Code = FoundDeclined
	case VerdictReturned:
		found.Code, found.DeclineCode = FoundDeclined, "RETURNED"
	case VerdictMismatched:
		found.Code = FoundMismatched
	default:
		return Finding{Code: FoundUnknown, Cause: a.Cause}, false
	}
	return found, true
}
