package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"stayhold/functions/local/harness"
)

// The steps of a purchase, as they are told of.
var stepOrder = []string{"reserve", "register", "approve", "complete"}

// buyer is a user of the stack for whom every answer but the one that he wants is an error.
type buyer struct{ harness.Buyer }

func (b buyer) post(ctx context.Context, path, body string, want int) ([]byte, error) {
	a, err := b.Post(ctx, path, body, "")
	return wanted(a, err, path, want)
}

func (b buyer) get(ctx context.Context, path string) error {
	a, err := b.Get(ctx, path)
	_, err = wanted(a, err, path, http.StatusOK)
	return err
}

func wanted(a harness.Answer, err error, path string, want int) ([]byte, error) {
	if err == nil && a.Status != want {
		err = fmt.Errorf("%s: %d %s", path, a.Status, a.Body)
	}
	return a.Body, err
}

// reserve returns the booking's id.
func (b buyer) reserve(ctx context.Context, product int64) (int64, error) {
	text, err := b.post(ctx, "/bookings/reserve", fmt.Sprintf(`{"productId":%d}`, product), http.StatusCreated)
	if err != nil {
		return 0, err
	}
	var made struct{ BookingID int64 }
	err = json.Unmarshal(text, &made)
	return made.BookingID, err
}

// admitted tells whether he gets a unit, or finds that all are gone.
func (b buyer) admitted(ctx context.Context, product int64) (bool, error) {
	const path = "/bookings/reserve"
	a, err := b.Post(ctx, path, fmt.Sprintf(`{"productId":%d}`, product), "")
	if err == nil && a.Status == http.StatusConflict && a.Code() == "SOLD_OUT" {
		return false, nil
	}
	_, err = wanted(a, err, path, http.StatusCreated)
	return err == nil, err
}

// pay registers points and a card, and has the card charged. told hears of each step that is done.
func (b buyer) pay(ctx context.Context, id int64, told func(step string)) error {
	_, err := b.post(ctx, fmt.Sprintf("/bookings/%d/payments/register", id),
		`{"payments":[{"method":"POINT","amount":"1000.00"},{"method":"CARD","amount":"99000.00"}]}`, http.StatusCreated)
	if err != nil {
		return err
	}
	told("register")
	_, err = b.post(ctx, fmt.Sprintf("/bookings/%d/payments/pg-approve", id), fmt.Sprintf(`{"paymentKey":"ok-bench-%d"}`, id), http.StatusOK)
	told("approve")
	return err
}

// buy goes the whole way.
func (b buyer) buy(ctx context.Context, product int64, told func(step string)) error {
	id, err := b.reserve(ctx, product)
	if err != nil {
		return err
	}
	told("reserve")
	if err := b.pay(ctx, id, told); err != nil {
		return err
	}
	text, err := b.post(ctx, fmt.Sprintf("/bookings/%d/complete", id), "", http.StatusOK)
	if err == nil && !bytes.Contains(text, []byte(`"status":"CONFIRMED"`)) {
		err = fmt.Errorf("complete: unexpected answer: %s", text)
	}
	told("complete")
	return err
}
