package paymentgateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/shopspring/decimal"

	"stayhold/shared/booking"
)

const (
	currency       = "KRW"
	maxAmountToken = 32 // characters; parsing costs the square of the length
	maxScale       = 18 // |exponent|; comparing costs 10 to that power
	maxDigits      = 13 // before the point: more is no amount that was ever asked
)

// What the gateway's words are made of.
const (
	digits           = "0123456789"
	codeSigns        = "ABCDEFGHIJKLMNOPQRSTUVWXYZ" + digits + "_"
	referenceSigns   = "abcdefghijklmnopqrstuvwxyz" + codeSigns + "=.:-"
	longestCode      = 64
	longestReference = 200
)

// formed says that a text has one to most of the signs, and no others. A regular
// expression with such a bound costs each cold start a tenth of what a function needs.
func formed(text, signs string, most int) bool {
	return text != "" && len(text) <= most && strings.Trim(text, signs) == ""
}

// payment is what we read of the gateway's Payment object. A text that is absent or
// null is empty; amount is totalAmount, meaningful only with hasAmount.
type payment struct {
	status     string
	orderID    string
	paymentKey string
	reference  string
	currency   string
	amount     decimal.Decimal
	hasAmount  bool
}

// parsePayment reads a Payment object; an error means that it proves nothing.
func parsePayment(body []byte) (payment, error) {
	object, err := members(body)
	if err != nil {
		return payment{}, err
	}
	var p payment
	for name, into := range map[string]*string{
		"status": &p.status, "orderId": &p.orderID, "paymentKey": &p.paymentKey,
		"lastTransactionKey": &p.reference, "currency": &p.currency,
	} {
		if raw, ok := object[name]; ok && json.Unmarshal(raw, into) != nil {
			return payment{}, fmt.Errorf("answer's %s is not a string", name)
		}
	}
	if !formed(p.reference, referenceSigns, longestReference) {
		p.reference = "" // it is shown to buyers: a plain token or nothing
	}
	if !formed(p.status, codeSigns, longestCode) {
		return payment{}, errors.New("answer has no status")
	}
	if raw, ok := object["totalAmount"]; ok && string(raw) != "null" {
		if p.amount, err = parseAmount(raw); err != nil {
			return payment{}, err
		}
		p.hasAmount = true
	}
	return p, nil
}

// whole says that the answer names its order, key and amount.
func (p payment) whole() bool { return p.orderID != "" && p.paymentKey != "" && p.hasAmount }

// matches says that the payment is the one that was asked for, to the last unit.
func (p payment) matches(ch booking.Charge) bool {
	return p.whole() && p.orderID == ch.OrderID && p.paymentKey == ch.PaymentKey &&
		p.amount.Equal(ch.Amount) && (p.currency == "" || p.currency == currency)
}

// foreign says that the answer is about another order or another key. What it says
// then proves nothing about this one.
func (p payment) foreign(ch booking.Charge) bool {
	return (p.orderID != "" && p.orderID != ch.OrderID) ||
		(p.paymentKey != "" && ch.PaymentKey != "" && p.paymentKey != ch.PaymentKey)
}

// parseAmount reads a JSON number as a decimal, without a float and in bounded time.
func parseAmount(raw json.RawMessage) (decimal.Decimal, error) {
	malformed := errors.New("answer's totalAmount is not an amount")
	if len(raw) == 0 || len(raw) > maxAmountToken || raw[0] == '"' {
		return decimal.Zero, malformed
	}
	d, err := decimal.NewFromString(string(raw))
	if err != nil || d.Exponent() > maxScale || d.Exponent() < -maxScale ||
		!d.IsPositive() || !d.Equal(d.Truncate(2)) || d.GreaterThanOrEqual(decimal.New(1, maxDigits)) {
		return decimal.Zero, malformed
	}
	return d, nil
}

// code returns the gateway's error code, or "" if the body has none in its form.
func code(body []byte) string {
	object, err := members(body)
	if err != nil {
		return ""
	}
	var c string
	if json.Unmarshal(object["code"], &c) != nil || !formed(c, codeSigns, longestCode) {
		return ""
	}
	return c
}

// members splits one JSON object by its exact names. encoding/json on a struct would
// take names of another case, the last of two equal ones, and bad UTF-8.
func members(body []byte) (map[string]json.RawMessage, error) {
	malformed := errors.New("answer is not one JSON object")
	if !utf8.Valid(body) {
		return nil, malformed
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, malformed
	}
	object := map[string]json.RawMessage{}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return nil, malformed
		}
		name, ok := t.(string)
		if _, twice := object[name]; !ok || twice {
			return nil, malformed
		}
		var raw json.RawMessage
		if dec.Decode(&raw) != nil {
			return nil, malformed
		}
		object[name] = raw
	}
	if t, err := dec.Token(); err != nil || t != json.Delim('}') {
		return nil, malformed
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, malformed
	}
	return object, nil
}
