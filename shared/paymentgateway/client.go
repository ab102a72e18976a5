// Package paymentgateway speaks the Toss Payments core API and says what each answer
// proves, as booking.Gateway.
//
// Invariants: one call of a method is at most one request that can move money;
// nothing is retried, redirected or sent through a proxy. Only what the gateway says
// in so many words is APPROVED, DECLINED, REFUSED or RETURNED. All else is UNKNOWN: a
// timeout, a broken connection, a 5xx, an unlisted code, an answer that is too long,
// not JSON, or about another order, key or amount. Amounts are decimals, never floats.
// The secret stands in no error, and of a gateway's text only its code does.
//
// When a call fails half way the money may have moved. The answer is then UNKNOWN, and
// the caller looks the order up, or repeats the call with the same order id and key.
//
// Dialect: https://docs.tosspayments.com/reference
package paymentgateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"stayhold/shared/booking"
)

// Options says where the gateways are. A URL is a base without the path
// ("https://api.tosspayments.com"); an empty YPay value is taken from the card's.
// Timeout bounds one call from dialling to the last byte; 0 means 10 s.
type Options struct {
	CardURL    string
	CardSecret string
	YPayURL    string
	YPaySecret string
	Timeout    time.Duration
}

const (
	defaultTimeout = 10 * time.Second
	maxReason      = 200 // runes of cancelReason; source: the reference's cancel call
)

// Client calls the gateways. It is safe for concurrent use.
type Client struct {
	card, ypay account
	http       *http.Client
	timeout    time.Duration
}

var _ booking.Gateway = (*Client)(nil)

// account is one gateway and our standing there. authorize closes over the secret, so
// that printing a Client or an account shows none.
type account struct {
	base      string
	authorize func(*http.Request)
}

// New returns a Client. It opens no connection and judges no option: a call with an
// account that lacks its URL or secret answers REFUSED (Lookup: UNKNOWN) and sends nothing.
func New(o Options) *Client {
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	if o.YPayURL == "" {
		o.YPayURL = o.CardURL
	}
	if o.YPaySecret == "" {
		o.YPaySecret = o.CardSecret
	}
	return &Client{
		card:    newAccount(o.CardURL, o.CardSecret),
		ypay:    newAccount(o.YPayURL, o.YPaySecret),
		http:    newHTTPClient(o.Timeout),
		timeout: o.Timeout,
	}
}

func newAccount(base, secret string) account {
	a := account{base: base}
	if secret != "" {
		// The secret is the user name and the password stays empty.
		a.authorize = func(r *http.Request) { r.SetBasicAuth(secret, "") }
	}
	return a
}

// Confirm charges: POST /v1/payments/confirm. It answers APPROVED, DECLINED, REFUSED
// or UNKNOWN.
func (c *Client) Confirm(ctx context.Context, ch booking.Charge) booking.Answer {
	if ch.OrderID == "" || ch.PaymentKey == "" || ch.Key == "" || !ch.Amount.IsPositive() {
		return refused(errors.New("confirm: not sent: order id, payment key, idempotency key or amount is missing"))
	}
	body, err := json.Marshal(struct {
		PaymentKey string      `json:"paymentKey"`
		OrderID    string      `json:"orderId"`
		Amount     json.Number `json:"amount"`
	}{ch.PaymentKey, ch.OrderID, json.Number(ch.Amount.String())})
	if err != nil {
		return refused(fmt.Errorf("confirm: not sent: %w", err))
	}
	got, err := c.exchange(ctx, ch.Method, request{
		verb: http.MethodPost, path: "/v1/payments/confirm", key: ch.Key, body: body,
	})
	if err != nil {
		return failed("confirm", err)
	}
	return confirmed(ch, got)
}

// Lookup asks what became of the order: GET /v1/payments/orders/{orderId}. It answers
// APPROVED, DECLINED, MISMATCHED, NOT_FOUND, IN_PROGRESS, RETURNED or UNKNOWN.
func (c *Client) Lookup(ctx context.Context, ch booking.Charge) booking.Answer {
	if ch.OrderID == "" {
		return unknown(errors.New("look-up: not sent: the order id is missing"))
	}
	got, err := c.exchange(ctx, ch.Method, request{
		verb: http.MethodGet, path: "/v1/payments/orders/" + url.PathEscape(ch.OrderID),
	})
	if err != nil {
		return unknown(fmt.Errorf("look-up: %w", err))
	}
	return lookedUp(ch, got)
}

// Cancel gives the whole charge back: POST /v1/payments/{paymentKey}/cancel. ch.Key is
// the cancel's own key. It answers RETURNED, REFUSED or UNKNOWN.
func (c *Client) Cancel(ctx context.Context, ch booking.Charge, reason string) booking.Answer {
	if ch.PaymentKey == "" || ch.Key == "" {
		return refused(errors.New("cancel: not sent: payment key or idempotency key is missing"))
	}
	if reason == "" {
		reason = "cancelled" // the gateway refuses an empty one
	}
	if r := []rune(reason); len(r) > maxReason {
		reason = string(r[:maxReason])
	}
	body, err := json.Marshal(struct {
		CancelReason string `json:"cancelReason"`
	}{reason})
	if err != nil {
		return refused(fmt.Errorf("cancel: not sent: %w", err))
	}
	got, err := c.exchange(ctx, ch.Method, request{
		verb: http.MethodPost, path: "/v1/payments/" + url.PathEscape(ch.PaymentKey) + "/cancel", key: ch.Key, body: body,
	})
	if err != nil {
		return failed("cancel", err)
	}
	return cancelled(ch, got)
}

// account chooses by method; POINT has none.
func (c *Client) account(m booking.Method) (account, error) {
	var a account
	switch m {
	case booking.Card:
		a = c.card
	case booking.YPay:
		a = c.ypay
	default:
		return account{}, fmt.Errorf("%w: method %q has no gateway", errNotSent, m)
	}
	if a.base == "" || a.authorize == nil {
		return account{}, fmt.Errorf("%w: the gateway of %s has no URL or no secret", errNotSent, m)
	}
	return a, nil
}

// failed turns a call without an answer into a verdict.
func failed(call string, err error) booking.Answer {
	err = fmt.Errorf("%s: %w", call, err)
	if errors.Is(err, errNotSent) {
		return refused(err)
	}
	return unknown(err)
}
