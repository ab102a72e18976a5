package paymentgatewaytest

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/shopspring/decimal"
)

// record is one line of the log: something that happened. The state is nothing but
// the records applied in order, whether they come from a request or from the disk.
type record struct {
	Op         op              `json:"op"`
	OrderID    string          `json:"orderId,omitempty"`
	PaymentKey string          `json:"paymentKey,omitempty"`
	Amount     decimal.Decimal `json:"amount,omitzero"`
	Due        time.Time       `json:"due,omitzero"` // opCharge: when the money moves
	Scope      string          `json:"scope,omitempty"`
	Status     int             `json:"status,omitempty"`
	Body       json.RawMessage `json:"body,omitempty"` // with Scope: the answer to remember
}

type op string

const (
	opConfirm      op = "confirm" // a request came in
	opCancel       op = "cancel"  // a request came in
	opCharge       op = "charge"
	opDecline      op = "decline"
	opFail         op = "fail"          // a confirm was answered 500
	opFailCancel   op = "fail-cancel"   // a cancel was answered 500
	opReturn       op = "return"        // the money went back
	opAnswer       op = "answer"        // nothing but an answer to remember
	opAnswerCancel op = "answer-cancel" // the same, of a cancel
)

// order is all that is known of one order id.
type order struct {
	id          string
	paymentKey  string
	amount      decimal.Decimal // what was taken, or was last asked
	due         time.Time       // when it is charged; zero: never
	declined    bool
	cancelled   bool
	confirms    int
	cancels     int
	fails       int
	cancelFails int
}

// charged says that the money has moved. A late charge needs no timer for that, and so
// survives a restart.
func (o *order) charged(now time.Time) bool { return !o.due.IsZero() && !now.Before(o.due) }

// pending says that a charge is decided and has not happened.
func (o *order) pending(now time.Time) bool { return !o.due.IsZero() && now.Before(o.due) }

// remembered is the answer kept under an idempotency scope; before its time the first
// request counts as still being worked on.
type remembered struct {
	answer
	from time.Time
}

type state struct {
	orders  map[string]*order
	charges []*order
	byKey   map[string][]*order // charges of one paymentKey
	answers map[string]remembered
}

func newState() state {
	return state{orders: map[string]*order{}, byKey: map[string][]*order{}, answers: map[string]remembered{}}
}

func (s *state) order(id string) *order {
	o := s.orders[id]
	if o == nil {
		o = &order{id: id}
		s.orders[id] = o
	}
	return o
}

func (s *state) apply(r record) {
	if r.OrderID != "" {
		o := s.order(r.OrderID)
		switch r.Op {
		case opConfirm:
			o.confirms++
		case opCancel:
			o.cancels++
		case opFail:
			o.fails++
		case opFailCancel:
			o.cancelFails++
		case opReturn:
			o.cancelled = true
		case opDecline:
			o.paymentKey, o.amount, o.declined = r.PaymentKey, r.Amount, true
		case opCharge:
			o.paymentKey, o.amount, o.due, o.declined = r.PaymentKey, r.Amount, r.Due, false
			s.charges = append(s.charges, o)
			s.byKey[o.paymentKey] = append(s.byKey[o.paymentKey], o)
		}
	}
	if r.Scope != "" && r.Status != 0 {
		s.answers[r.Scope] = remembered{answer{r.Status, r.Body}, r.Due}
	}
}

// byPaymentKey finds the charge that a cancel means: the one whose order its
// Idempotency-Key names, else the youngest that is not cancelled, or else the youngest;
// nil if there is none.
func (s *state) byPaymentKey(key, idempotencyKey string, now time.Time) *order {
	var found *order
	for _, o := range s.byKey[key] {
		if o.charged(now) && strings.HasSuffix(idempotencyKey, "-"+o.id) {
			return o
		}
		if o.charged(now) && (found == nil || found.cancelled || !o.cancelled) {
			found = o
		}
	}
	return found
}
