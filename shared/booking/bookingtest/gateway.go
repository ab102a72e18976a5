package bookingtest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/shopspring/decimal"

	"stayhold/shared/booking"
)

// lateAfter is how long after the request the money of a "late-…" key moves.
const lateAfter = 5 * time.Second

// Gateway is booking.Gateway in memory: the payment simulator behind the client of
// package paymentgateway as one. The prefix of a paymentKey chooses what a charge does,
// as it does at the simulator; "slow-<ms>-…" is as "ok-…", since no call takes time, and
// what the simulator never answers is UNKNOWN at once. Contexts are not looked at.
//
// Invariants: one charge per order id, for ever; an answer of 2xx or 4xx is remembered
// under its idempotency key (with the call and, of a cancel, the paymentKey) and given
// again, a 5xx and a 409 never.
type Gateway struct {
	now     func() time.Time
	mu      sync.Mutex
	healed  bool
	orders  map[string]*order
	charges []*order
	answers map[string]remembered
}

var _ booking.Gateway = (*Gateway)(nil)

// LedgerEntry is money that was taken for one order. Confirms and Cancels count the
// requests that came in for it, answered or not.
type LedgerEntry struct {
	OrderID    string
	PaymentKey string
	Amount     decimal.Decimal
	Cancelled  bool
	Confirms   int
	Cancels    int
}

// order is all that is known of one order id.
type order struct {
	LedgerEntry           // the amount is what was taken, or was last declined
	due         time.Time // when the money moves; zero: never
	declined    bool
	fails       int // confirms answered 500
	cancelFails int
}

func (o *order) charged(now time.Time) bool { return !o.due.IsZero() && !now.Before(o.due) }

// reply is what the simulator would send: a payment, or an error's code.
type reply struct {
	status  int // 0: nothing is ever sent
	code    string
	payment shown
}

// shown is a payment as the gateway shows it.
type shown struct {
	status    string
	orderID   string
	key       string
	reference string
	amount    decimal.Decimal
}

// remembered is an answer under its idempotency key; before its time the first request
// counts as still being worked on.
type remembered struct {
	reply
	from time.Time
}

// NewGateway returns a gateway that has taken nothing. The function is its clock.
func NewGateway(now func() time.Time) *Gateway {
	return &Gateway{now: now, orders: map[string]*order{}, answers: map[string]remembered{}}
}

// Ledger lists one entry per charge, in the order in which they were asked for; a late
// one is there from when its money moved.
func (g *Gateway) Ledger() []LedgerEntry {
	g.mu.Lock()
	defer g.mu.Unlock()
	var entries []LedgerEntry
	for _, o := range g.charges {
		if o.charged(g.now()) {
			entries = append(entries, o.LedgerEntry)
		}
	}
	return entries
}

// Heal lets cancels of "stuckcancel-…" keys succeed from now on.
func (g *Gateway) Heal() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.healed = true
}

var (
	orderForm  = regexp.MustCompile(`^[A-Za-z0-9_=-]{6,64}$`)
	keyForm    = regexp.MustCompile(`^[A-Za-z0-9_=-]{1,200}$`)
	amountForm = regexp.MustCompile(`^(0|[1-9][0-9]{0,12})(\.[0-9]{1,2})?$`)
)

// Confirm charges as the paymentKey's prefix asks.
func (g *Gateway) Confirm(_ context.Context, c booking.Charge) booking.Answer {
	if !c.Method.ByGateway() || c.OrderID == "" || c.PaymentKey == "" || c.Key == "" || !c.Amount.IsPositive() {
		return answer(booking.VerdictRefused, "confirm: not sent")
	}
	r := reply{status: 400, code: "INVALID_REQUEST"}
	if orderForm.MatchString(c.OrderID) && keyForm.MatchString(c.PaymentKey) && amountForm.MatchString(c.Amount.String()) {
		r = g.confirm(c)
	}
	p := r.payment
	switch {
	case r.code == codeDecline, r.code == codeNoSession:
		a := answer(booking.VerdictDeclined, r.code)
		a.DeclineCode = r.code
		return a
	case r.status == 200 && p.matches(c):
		return booking.Answer{Verdict: booking.VerdictApproved, Reference: p.reference, Amount: p.amount}
	}
	return r.unknown("confirm")
}

func (g *Gateway) confirm(c booking.Charge) reply {
	g.mu.Lock()
	defer g.mu.Unlock()
	now, scope := g.now(), "confirm "+c.Key
	o := g.orders[c.OrderID]
	if o == nil {
		o = &order{LedgerEntry: LedgerEntry{OrderID: c.OrderID}}
		g.orders[c.OrderID] = o
	}
	o.Confirms++
	if known, ok := g.recall(scope, now); ok {
		return known
	}
	return g.remember(scope, g.charge(o, c, now))
}

const (
	codeDecline   = "REJECT_CARD_PAYMENT"
	codeNoSession = "NOT_FOUND_PAYMENT_SESSION"
)

var (
	busy = reply{status: 409, code: "IDEMPOTENT_REQUEST_PROCESSING"}
	down = reply{status: 500, code: "FAILED_PAYMENT_INTERNAL_SYSTEM_PROCESSING"}
)

// charge decides about a confirm that is heard for the first time.
func (g *Gateway) charge(o *order, c booking.Charge, now time.Time) remembered {
	switch {
	case o.charged(now):
		return remembered{reply: reply{status: 400, code: "ALREADY_PROCESSED_PAYMENT"}}
	case !o.due.IsZero():
		return remembered{reply: busy}
	}
	taken, due := c.Amount, now
	kind, _ := behaviourOf(c.PaymentKey)
	switch kind {
	case "":
		return remembered{reply: reply{status: 404, code: codeNoSession}}
	case "decline":
		o.PaymentKey, o.Amount, o.declined = c.PaymentKey, c.Amount, true
		return remembered{reply: reply{status: 403, code: codeDecline}}
	case "timeout":
		return remembered{}
	case "error":
		o.fails++
		return remembered{reply: down}
	case "flaky":
		if o.fails == 0 {
			o.fails++
			return remembered{reply: down}
		}
	case "late":
		due = now.Add(lateAfter)
	case "mismatch":
		taken = another(c.Amount)
	}
	o.PaymentKey, o.Amount, o.due, o.declined = c.PaymentKey, taken, due, false
	g.charges = append(g.charges, o)
	done := remembered{reply{status: 200, payment: o.show()}, due}
	if kind == "lost" || kind == "late" {
		// A repeat gets the answer that the first request never had.
		g.answers["confirm "+c.Key] = done
		return remembered{}
	}
	return done
}

// another is the amount that is taken instead of the one that was asked.
func another(asked decimal.Decimal) decimal.Decimal {
	one := decimal.NewFromInt(1)
	if less := asked.Sub(one); less.IsPositive() {
		return less
	}
	return asked.Add(one)
}

// Lookup asks what became of the order. One that is neither charged nor declined is not
// known.
func (g *Gateway) Lookup(_ context.Context, c booking.Charge) booking.Answer {
	if !c.Method.ByGateway() || c.OrderID == "" {
		return answer(booking.VerdictUnknown, "look-up: not sent")
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	o := g.orders[c.OrderID]
	if o == nil || !o.charged(g.now()) && !o.declined {
		return answer(booking.VerdictNotFound, "look-up: NOT_FOUND_PAYMENT")
	}
	p := o.show()
	a := answer(booking.VerdictUnknown, "look-up: status "+p.status)
	switch {
	case p.status == statusDone && p.matches(c):
		return booking.Answer{Verdict: booking.VerdictApproved, Reference: p.reference, Amount: p.amount}
	case p.status == statusDone:
		a.Verdict, a.Reference, a.Amount = booking.VerdictMismatched, p.reference, p.amount
	case p.foreign(c):
	case p.status == statusCancelled:
		a.Verdict, a.Reference = booking.VerdictReturned, p.reference
	default:
		a.Verdict, a.DeclineCode = booking.VerdictDeclined, p.status
	}
	return a
}

// Cancel gives the whole charge back.
func (g *Gateway) Cancel(_ context.Context, c booking.Charge, _ string) booking.Answer {
	if !c.Method.ByGateway() || c.PaymentKey == "" || c.Key == "" {
		return answer(booking.VerdictRefused, "cancel: not sent")
	}
	r := g.cancel(c)
	switch {
	case r.code == codeCancelled:
		return answer(booking.VerdictReturned, r.code)
	case r.status == 200 && !r.payment.foreign(c):
		return booking.Answer{Verdict: booking.VerdictReturned, Reference: r.payment.reference}
	}
	return r.unknown("cancel")
}

const codeCancelled = "ALREADY_CANCELED_PAYMENT"

func (g *Gateway) cancel(c booking.Charge) reply {
	g.mu.Lock()
	defer g.mu.Unlock()
	now, scope := g.now(), "cancel "+c.PaymentKey+" "+c.Key
	o := g.meant(c, now)
	if o != nil {
		o.Cancels++
	}
	if known, ok := g.recall(scope, now); ok {
		return known
	}
	return g.remember(scope, remembered{reply: g.giveBack(o)})
}

func (g *Gateway) giveBack(o *order) reply {
	if o == nil {
		return reply{status: 404, code: "NOT_FOUND_PAYMENT"}
	}
	kind, n := behaviourOf(o.PaymentKey)
	switch {
	case o.Cancelled:
		return reply{status: 400, code: codeCancelled}
	case kind == "stuckcancel" && !g.healed, kind == "slowcancel" && o.cancelFails < n:
		o.cancelFails++
		return reply{status: 500, code: "FAILED_METHOD_HANDLING_CANCEL"}
	}
	o.Cancelled = true
	return reply{status: 200, payment: o.show()}
}

// meant is the charge that a cancel means where one paymentKey paid several orders: the
// one whose order the idempotency key ends in, else the youngest that is not cancelled,
// or else the youngest.
func (g *Gateway) meant(c booking.Charge, now time.Time) *order {
	var found *order
	for _, o := range g.charges {
		if o.PaymentKey != c.PaymentKey || !o.charged(now) {
			continue
		}
		if strings.HasSuffix(c.Key, "-"+o.OrderID) {
			return o
		}
		if found == nil || found.Cancelled || !o.Cancelled {
			found = o
		}
	}
	return found
}

// recall gives the answer that an idempotency key has already.
func (g *Gateway) recall(scope string, now time.Time) (reply, bool) {
	known, ok := g.answers[scope]
	if ok && now.Before(known.from) {
		return busy, true
	}
	return known.reply, ok
}

// remember keeps an answer that is final.
func (g *Gateway) remember(scope string, r remembered) reply {
	if r.status != 0 && r.status < 500 && r.status != busy.status {
		g.answers[scope] = r
	}
	return r.reply
}

const (
	statusDone      = "DONE"
	statusCancelled = "CANCELED"
	statusAborted   = "ABORTED"
)

func (o *order) show() shown {
	p := shown{status: statusDone, orderID: o.OrderID, key: o.PaymentKey, amount: o.Amount}
	event := "charge"
	switch {
	case o.declined:
		p.status = statusAborted
		return p
	case o.Cancelled:
		p.status, event = statusCancelled, "cancel"
	}
	sum := sha256.Sum256([]byte(o.OrderID + "\x00" + o.PaymentKey + "\x00" + event))
	p.reference = strings.ToUpper(hex.EncodeToString(sum[:16]))
	return p
}

// matches says that the payment is the one that was asked for.
func (p shown) matches(c booking.Charge) bool {
	return p.orderID == c.OrderID && p.key == c.PaymentKey && p.amount.Equal(c.Amount)
}

// foreign says that the payment is about another order or another key.
func (p shown) foreign(c booking.Charge) bool {
	return p.orderID != c.OrderID || c.PaymentKey != "" && p.key != c.PaymentKey
}

func (r reply) unknown(call string) booking.Answer {
	if r.status == 0 {
		return answer(booking.VerdictUnknown, call+": no answer")
	}
	return answer(booking.VerdictUnknown, fmt.Sprintf("%s: answered %d %s%s", call, r.status, r.code, r.payment.status))
}

func answer(v booking.Verdict, cause string) booking.Answer {
	return booking.Answer{Verdict: v, Cause: errors.New(cause)}
}

// behaviourOf reads a paymentKey's prefix: which one it is, empty for none of ours, and
// the number of those that have one.
func behaviourOf(paymentKey string) (kind string, n int) {
	kind, rest, _ := strings.Cut(paymentKey, "-")
	switch kind {
	case "ok", "decline", "timeout", "lost", "late", "error", "flaky", "mismatch", "stuckcancel":
		if len(kind) == len(paymentKey) {
			return "", 0
		}
		return kind, 0
	case "slow", "slowcancel":
		digits, _, _ := strings.Cut(rest, "-")
		if n, err := strconv.ParseUint(digits, 10, 31); err == nil {
			return kind, int(n)
		}
	}
	return "", 0
}

// Charges hands the ledger over, as booking.Ledger has it.
func (g *Gateway) Charges(_ context.Context, receive func(page []booking.LedgerCharge) error) error {
	var page []booking.LedgerCharge
	for _, e := range g.Ledger() {
		page = append(page, booking.LedgerCharge{OrderID: e.OrderID, Amount: e.Amount, Cancelled: e.Cancelled})
	}
	return receive(page)
}
