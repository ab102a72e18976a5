// Package booking is the domain of Stayhold: what a booking is, which states it
// may pass through, and one file per step that moves it (reserve, register,
// approve, complete, cancel, compensate, resolve, sweep, warm, reconcile, query,
// admin).
//
// Invariants: Postgres (the Store) arbitrates and the gate only admits; every
// side effect outside is preceded by a committed intent; a step that gives up
// first fences the booking, then undoes; an unknown answer is a state and never
// an error that is guessed away.
//
// A step may die between any two calls to its ports. Each repeat, message or
// sweep then starts from the rows and finishes the work; no step has repair code
// of its own.
package booking

import (
	"time"

	"github.com/shopspring/decimal"
)

// Status is where a booking stands.
type Status string

// The states of a booking. FAILED (the system gave up) and CANCELLED (its user
// asked) are terminal.
const (
	Init           Status = "INIT"
	PaymentPending Status = "PAYMENT_PENDING"
	Confirmed      Status = "CONFIRMED"
	Failed         Status = "FAILED"
	Cancelled      Status = "CANCELLED"
)

// Statuses lists every Status, in the order of the flow.
var Statuses = []Status{Init, PaymentPending, Confirmed, Failed, Cancelled}

// Live says that the booking may still become CONFIRMED.
func (s Status) Live() bool { return s == Init || s == PaymentPending }

// Dead says that the booking has ended and holds nothing.
func (s Status) Dead() bool { return s == Failed || s == Cancelled }

// Booking is one unit of one product for one user, as a transaction left it. Every
// time in it is the database's.
type Booking struct {
	ID            int64
	UserID        int64
	ProductID     int64
	Status        Status
	Total         decimal.Decimal
	HoldToken     string
	HoldExpiresAt time.Time // the recorded deadline of the hold, lapsed or not
	CheckInAt     time.Time // frozen when the booking was made
	Payments      []Payment // oldest first, ended ones too
	Failure       *Failure
	CreatedAt     time.Time
	UpdatedAt     time.Time
	ReadAt        time.Time // the database's clock when this was read
	Timeline      []Event   // only where it was asked for
}

// Failure says why a booking is FAILED: a code of the API and one line.
type Failure struct {
	Code   string
	Detail string
}

// Event is one line of a booking's timeline: a hold, charge, refund, point or
// state change, with the gateway's own reference where it has one.
type Event struct {
	At     time.Time
	Event  string
	Detail string
}

// Remain is how long the hold still lasts: 0 outside INIT and PAYMENT_PENDING and
// after the deadline.
func (b Booking) Remain() time.Duration {
	if !b.Status.Live() || !b.HoldExpiresAt.After(b.ReadAt) {
		return 0
	}
	return b.HoldExpiresAt.Sub(b.ReadAt)
}

// Hold is the booking's place in the gate.
func (b Booking) Hold() Hold {
	return Hold{ProductID: b.ProductID, UserID: b.UserID, Token: b.HoldToken}
}

// charge is the current gateway payment: the one of the live set, or nil.
func (b Booking) charge() *Payment {
	for i, p := range b.Payments {
		if p.Method.ByGateway() && (p.Status == PaymentReady || p.Status == PaymentSuccess) {
			return &b.Payments[i]
		}
	}
	return nil
}

// Action is a call that a booking's user may make.
type Action string

// The actions, named as in their paths.
const (
	ActionRegister Action = "register"
	ActionApprove  Action = "pg-approve"
	ActionComplete Action = "complete"
	ActionCancel   Action = "cancel"
)

// NextActions lists what the booking's user may call now, in the order of the flow.
func (b Booking) NextActions() []Action {
	actions := []Action{}
	charge := b.charge()
	if b.Status.Live() {
		started := charge != nil && charge.Approval != ApprovalNone
		if !started && (b.Status == Init || charge == nil) {
			actions = append(actions, ActionRegister)
		}
		if charge != nil && charge.Status == PaymentReady && charge.Approval != ApprovalRequested {
			actions = append(actions, ActionApprove)
		}
		if b.Status == PaymentPending && (charge == nil || charge.Status == PaymentSuccess) {
			actions = append(actions, ActionComplete)
		}
	}
	if b.Status.Live() || b.Status == Confirmed && b.ReadAt.Before(b.CheckInAt) {
		actions = append(actions, ActionCancel)
	}
	return actions
}

// RefundState is how far the gateway money of a booking has gone back.
type RefundState string

// The states of a refund. Stuck money is still being tried, and somebody is told.
const (
	RefundNone    RefundState = "NONE"
	RefundPending RefundState = "PENDING"
	RefundDone    RefundState = "DONE"
	RefundStuck   RefundState = "STUCK"
)

// Refund sums up the gateway money that goes back: points return in the transaction
// that ends the booking and are not part of it.
func (b Booking) Refund() (RefundState, decimal.Decimal) {
	state, amount := RefundNone, decimal.Zero
	rank := map[RefundState]int{RefundNone: 0, RefundDone: 1, RefundPending: 2, RefundStuck: 3}
	raise := func(to RefundState) {
		if rank[to] > rank[state] {
			state = to
		}
	}
	for _, p := range b.Payments {
		switch p.RefundState {
		case RefundNone:
			if b.Status.Dead() && p.Status == PaymentReady && p.Approval.Open() {
				raise(RefundPending) // nobody knows yet whether there is money to return
			}
			continue
		default:
			raise(p.RefundState)
		}
		amount = amount.Add(p.RefundAmount)
	}
	return state, amount
}
