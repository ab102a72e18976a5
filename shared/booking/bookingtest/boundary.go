package bookingtest

import (
	"context"
	"errors"
	"time"

	"github.com/shopspring/decimal"

	"stayhold/shared/booking"
)

// Ports are what the steps of one invocation reach the outside by.
type Ports struct {
	Store   booking.Store
	Gate    booking.Gate
	Gateway booking.Gateway
	Queue   booking.Queue
}

// Fate is what becomes of one port call.
type Fate int

// The fates. A dead process has no further effect: a panic would still run its defers,
// so each of its later calls fails without happening instead.
const (
	Passes     Fate = iota
	Fails           // it does not happen, and the caller is told so
	ReplyLost       // it happens, and the caller is told that nobody knows
	DiesBefore      // the process dies, and the call does not happen
	DiesAfter       // the call happens, and the process dies of it
)

func (f Fate) String() string {
	return [...]string{"passes", "fails at", "goes on without the reply of", "dies before", "dies after"}[f]
}

// ErrDead is what the calls of a dead process return. Nobody sees it outside.
var ErrDead = errors.New("the process is dead")

var errInjected = errors.New("injected")

// Between puts a boundary at every port call: at says, by the call's name, what
// becomes of it. From the call at which the process dies, at is not asked again.
func (p Ports) Between(at func(ctx context.Context, call string) Fate) Ports {
	b := &boundary{at: at}
	return Ports{
		Store:   boundStore{p.Store, b},
		Gate:    boundGate{p.Gate, b},
		Gateway: boundGateway{p.Gateway, b},
		Queue:   boundQueue{p.Queue, b},
	}
}

type boundary struct {
	at   func(ctx context.Context, call string) Fate
	dead bool
}

func (b *boundary) fate(ctx context.Context, call string) Fate {
	if b.dead {
		return DiesBefore
	}
	fate := b.at(ctx, call)
	b.dead = fate == DiesBefore || fate == DiesAfter
	return fate
}

// cross takes one call over the boundary. doubt is what the caller is told when the
// reply is lost.
func cross[T any](ctx context.Context, b *boundary, name string, doubt error, call func() (T, error)) (T, error) {
	var none T
	switch b.fate(ctx, name) {
	case DiesBefore:
		return none, ErrDead
	case DiesAfter:
		_, _ = call() // nobody hears the answer
		return none, ErrDead
	case Fails:
		return none, errNoReply
	case ReplyLost:
		_, _ = call()
		return none, doubt
	default:
		return call()
	}
}

// crossError is cross for a call that answers with an error alone.
func crossError(ctx context.Context, b *boundary, name string, doubt error, call func() error) error {
	_, err := cross(ctx, b, name, doubt, func() (struct{}, error) { return struct{}{}, call() })
	return err
}

// crossPair is cross for a call that answers with two values.
func crossPair[A, B any](ctx context.Context, b *boundary, name string, doubt error, call func() (A, B, error)) (A, B, error) {
	type pair struct {
		first  A
		second B
	}
	p, err := cross(ctx, b, name, doubt, func() (p pair, err error) {
		p.first, p.second, err = call()
		return p, err
	})
	return p.first, p.second, err
}

var (
	errUnknown = booking.ErrCommitResultUnknown.Because(errInjected) // of a transaction
	errNoReply = booking.ErrUnavailable.Because(errInjected)         // of anything else, and of a call that did not happen
)

type boundStore struct {
	booking.Store
	b *boundary
}

func (s boundStore) Recall(ctx context.Context, key booking.IdempotencyKey) (*booking.Recalled, error) {
	return cross(ctx, s.b, "Recall", errNoReply, func() (*booking.Recalled, error) { return s.Store.Recall(ctx, key) })
}

func (s boundStore) Open(ctx context.Context, o booking.Opening) (booking.Result, error) {
	return cross(ctx, s.b, "Open", errUnknown, func() (booking.Result, error) { return s.Store.Open(ctx, o) })
}

func (s boundStore) Register(ctx context.Context, r booking.Registration) (booking.Result, error) {
	return cross(ctx, s.b, "Register", errUnknown, func() (booking.Result, error) { return s.Store.Register(ctx, r) })
}

func (s boundStore) Complete(ctx context.Context, c booking.Completion) (booking.Result, error) {
	return cross(ctx, s.b, "Complete", errUnknown, func() (booking.Result, error) { return s.Store.Complete(ctx, c) })
}

func (s boundStore) Surrender(ctx context.Context, q booking.Surrender) (booking.Result, error) {
	return cross(ctx, s.b, "Surrender", errUnknown, func() (booking.Result, error) { return s.Store.Surrender(ctx, q) })
}

func (s boundStore) Cancel(ctx context.Context, c booking.Cancellation) (booking.Result, error) {
	return cross(ctx, s.b, "Cancel", errUnknown, func() (booking.Result, error) { return s.Store.Cancel(ctx, c) })
}

func (s boundStore) Lapse(ctx context.Context, bookingID int64, grace time.Duration) (booking.Result, error) {
	return cross(ctx, s.b, "Lapse", errUnknown, func() (booking.Result, error) { return s.Store.Lapse(ctx, bookingID, grace) })
}

func (s boundStore) Dead(ctx context.Context, bookingID int64) (booking.Booking, error) {
	return cross(ctx, s.b, "Dead", errNoReply, func() (booking.Booking, error) { return s.Store.Dead(ctx, bookingID) })
}

func (s boundStore) BeginApproval(ctx context.Context, r booking.ApprovalRequest) (*booking.Intent, booking.Result, error) {
	return crossPair(ctx, s.b, "BeginApproval", errUnknown, func() (*booking.Intent, booking.Result, error) {
		return s.Store.BeginApproval(ctx, r)
	})
}

func (s boundStore) EndApproval(ctx context.Context, in booking.Intent, f booking.Finding) (booking.Result, error) {
	return cross(ctx, s.b, "EndApproval", errUnknown, func() (booking.Result, error) { return s.Store.EndApproval(ctx, in, f) })
}

func (s boundStore) ClaimApproval(ctx context.Context, bookingID int64, owner string, lease, session time.Duration) (booking.Intent, error) {
	return cross(ctx, s.b, "ClaimApproval", errUnknown, func() (booking.Intent, error) {
		return s.Store.ClaimApproval(ctx, bookingID, owner, lease, session)
	})
}

func (s boundStore) ClaimRefund(ctx context.Context, bookingID int64, owner string, lease time.Duration) (booking.RefundIntent, error) {
	return cross(ctx, s.b, "ClaimRefund", errUnknown, func() (booking.RefundIntent, error) {
		return s.Store.ClaimRefund(ctx, bookingID, owner, lease)
	})
}

func (s boundStore) EndRefund(ctx context.Context, in booking.RefundIntent, back bool, reference string) error {
	return crossError(ctx, s.b, "EndRefund", errUnknown, func() error { return s.Store.EndRefund(ctx, in, back, reference) })
}

func (s boundStore) Unsent(ctx context.Context, age time.Duration, limit int) ([]booking.Outgoing, error) {
	return cross(ctx, s.b, "Unsent", errNoReply, func() ([]booking.Outgoing, error) { return s.Store.Unsent(ctx, age, limit) })
}

func (s boundStore) MarkSent(ctx context.Context, ids ...int64) error {
	return crossError(ctx, s.b, "MarkSent", errUnknown, func() error { return s.Store.MarkSent(ctx, ids...) })
}

func (s boundStore) ProductFacts(ctx context.Context, productID int64) (booking.Facts, error) {
	return cross(ctx, s.b, "ProductFacts", errNoReply, func() (booking.Facts, error) { return s.Store.ProductFacts(ctx, productID) })
}

func (s boundStore) GatePlaces(ctx context.Context, productID int64) (booking.Facts, []booking.Place, error) {
	return crossPair(ctx, s.b, "GatePlaces", errNoReply, func() (booking.Facts, []booking.Place, error) {
		return s.Store.GatePlaces(ctx, productID)
	})
}

func (s boundStore) PlacesOf(ctx context.Context, productID int64, userIDs []int64) ([]booking.Place, error) {
	return cross(ctx, s.b, "PlacesOf", errNoReply, func() ([]booking.Place, error) {
		return s.Store.PlacesOf(ctx, productID, userIDs)
	})
}

func (s boundStore) OpenPlaces(ctx context.Context, productID, after int64, limit int) ([]booking.Place, error) {
	return cross(ctx, s.b, "OpenPlaces", errNoReply, func() ([]booking.Place, error) {
		return s.Store.OpenPlaces(ctx, productID, after, limit)
	})
}

func (s boundStore) OnSale(ctx context.Context, after int64, limit int) ([]int64, error) {
	return cross(ctx, s.b, "OnSale", errNoReply, func() ([]int64, error) { return s.Store.OnSale(ctx, after, limit) })
}

func (s boundStore) LapsedBookings(ctx context.Context, grace time.Duration, limit int) ([]int64, error) {
	return cross(ctx, s.b, "LapsedBookings", errNoReply, func() ([]int64, error) { return s.Store.LapsedBookings(ctx, grace, limit) })
}

func (s boundStore) DueApprovals(ctx context.Context, limit int) ([]int64, error) {
	return cross(ctx, s.b, "DueApprovals", errNoReply, func() ([]int64, error) { return s.Store.DueApprovals(ctx, limit) })
}

func (s boundStore) DueRefunds(ctx context.Context, limit int) ([]int64, error) {
	return cross(ctx, s.b, "DueRefunds", errNoReply, func() ([]int64, error) { return s.Store.DueRefunds(ctx, limit) })
}

func (s boundStore) Purge(ctx context.Context, limit int) (int64, error) {
	return cross(ctx, s.b, "Purge", errUnknown, func() (int64, error) { return s.Store.Purge(ctx, limit) })
}

func (s boundStore) PutProduct(ctx context.Context, d booking.ProductDraft) (int64, error) {
	return cross(ctx, s.b, "PutProduct", errUnknown, func() (int64, error) { return s.Store.PutProduct(ctx, d) })
}

func (s boundStore) AdjustStock(ctx context.Context, productID, delta int64, reason string) (booking.Stock, error) {
	return cross(ctx, s.b, "AdjustStock", errUnknown, func() (booking.Stock, error) {
		return s.Store.AdjustStock(ctx, productID, delta, reason)
	})
}

func (s boundStore) GrantPoints(ctx context.Context, userID int64, amount decimal.Decimal, reason string) (decimal.Decimal, error) {
	return cross(ctx, s.b, "GrantPoints", errUnknown, func() (decimal.Decimal, error) {
		return s.Store.GrantPoints(ctx, userID, amount, reason)
	})
}

func (s boundStore) Redrive(ctx context.Context, bookingID int64) ([]int64, error) {
	return cross(ctx, s.b, "Redrive", errUnknown, func() ([]int64, error) { return s.Store.Redrive(ctx, bookingID) })
}
