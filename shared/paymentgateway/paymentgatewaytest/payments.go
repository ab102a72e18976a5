package paymentgatewaytest

import (
	"encoding/json"
	"net/http"
	"regexp"
	"time"

	"github.com/shopspring/decimal"
)

// The forms that a confirm must have. Source: the reference, confirm call: orderId is
// 6 to 64 of these characters, paymentKey at most 200 characters.
var (
	orderForm  = regexp.MustCompile(`^[A-Za-z0-9_=-]{6,64}$`)
	keyForm    = regexp.MustCompile(`^[A-Za-z0-9_=-]{1,200}$`)
	amountForm = regexp.MustCompile(`^(0|[1-9][0-9]{0,12})(\.[0-9]{1,2})?$`)
)

// outcome is what a request came to: what happened, and what is sent. A nil answer is
// held back for ever; one with a scope is remembered if it is 2xx or 4xx.
type outcome struct {
	record record
	answer *answer
}

type confirmation struct {
	PaymentKey string          `json:"paymentKey"`
	OrderID    string          `json:"orderId"`
	Amount     json.RawMessage `json:"amount"`
}

// confirm charges as the paymentKey's prefix asks.
func (s *Simulator) confirm(w http.ResponseWriter, r *http.Request, body []byte) {
	var c confirmation
	if json.Unmarshal(body, &c) != nil || !orderForm.MatchString(c.OrderID) ||
		!keyForm.MatchString(c.PaymentKey) || !amountForm.Match(c.Amount) {
		refuse(400, "INVALID_REQUEST").send(w)
		return
	}
	amount := decimal.RequireFromString(string(c.Amount))
	b := behaviourOf(c.PaymentKey)
	s.handle(w, r, b.wait, record{Op: opConfirm, OrderID: c.OrderID}, func(now time.Time) outcome {
		return s.decide(b, c, amount, now)
	})
}

// decide is called with the lock held.
func (s *Simulator) decide(b behaviour, c confirmation, amount decimal.Decimal, now time.Time) outcome {
	o := *s.state.order(c.OrderID)
	record := record{Op: opAnswer, OrderID: c.OrderID, PaymentKey: c.PaymentKey, Amount: amount}
	reply := func(a answer) outcome { return outcome{record, &a} }
	switch {
	case o.pending(now):
		return reply(refuse(409, "IDEMPOTENT_REQUEST_PROCESSING"))
	case o.charged(now):
		return reply(refuse(400, "ALREADY_PROCESSED_PAYMENT"))
	case !amount.IsPositive():
		return reply(refuse(400, "INVALID_REQUEST"))
	}
	switch b.kind {
	case unknownKey:
		return reply(refuse(404, "NOT_FOUND_PAYMENT_SESSION"))
	case decline:
		record.Op = opDecline
		return reply(refuse(403, codeDecline))
	case timeout:
		return outcome{record: record}
	case failing:
		record.Op = opFail
		return reply(refuse(500, "FAILED_PAYMENT_INTERNAL_SYSTEM_PROCESSING"))
	case flaky:
		if o.fails == 0 {
			record.Op = opFail
			return reply(refuse(500, "FAILED_PAYMENT_INTERNAL_SYSTEM_PROCESSING"))
		}
	}
	record.Op, record.Amount, record.Due = opCharge, b.takes(amount), now
	if b.kind == late {
		record.Due = now.Add(s.lateAfter)
	}
	o.paymentKey, o.amount, o.due, o.declined = c.PaymentKey, record.Amount, record.Due, false
	done := payment(o)
	// The answer of a held charge is remembered all the same: a repeat gets it.
	record.Status, record.Body = done.status, done.body
	if b.kind == lost || b.kind == late {
		return outcome{record: record}
	}
	return outcome{record, &done}
}

// lookup shows an order. One that is neither charged nor declined is not known.
func (s *Simulator) lookup(w http.ResponseWriter, r *http.Request, _ []byte) {
	s.mu.Lock()
	var o order
	if found := s.state.orders[r.PathValue("orderId")]; found != nil {
		o = *found
	}
	s.mu.Unlock()
	if !o.charged(time.Now()) && !o.declined {
		refuse(404, "NOT_FOUND_PAYMENT").send(w)
		return
	}
	payment(o).send(w)
}

// cancel gives a charge back.
func (s *Simulator) cancel(w http.ResponseWriter, r *http.Request, body []byte) {
	var c struct {
		CancelReason string `json:"cancelReason"`
	}
	if json.Unmarshal(body, &c) != nil || c.CancelReason == "" {
		refuse(400, "INVALID_REQUEST").send(w)
		return
	}
	key, idempotencyKey := r.PathValue("paymentKey"), r.Header.Get("Idempotency-Key")
	b := behaviourOf(key)
	s.mu.Lock()
	arrived := record{Op: opCancel}
	if o := s.state.byPaymentKey(key, idempotencyKey, time.Now()); o != nil {
		arrived.OrderID = o.id
	}
	s.mu.Unlock()
	s.handle(w, r, 0, arrived, func(now time.Time) outcome {
		found := s.state.byPaymentKey(key, idempotencyKey, now)
		record := record{Op: opAnswerCancel}
		reply := func(a answer) outcome { return outcome{record, &a} }
		if found == nil {
			return reply(refuse(404, "NOT_FOUND_PAYMENT"))
		}
		o := *found
		record.OrderID = o.id
		switch {
		case o.cancelled:
			return reply(refuse(400, "ALREADY_CANCELED_PAYMENT"))
		case b.kind == stuckCancel, b.kind == slowCancel && o.cancelFails < b.fails:
			record.Op = opFailCancel
			return reply(refuse(500, "FAILED_METHOD_HANDLING_CANCEL"))
		}
		record.Op, o.cancelled = opReturn, true
		return reply(payment(o))
	})
}
