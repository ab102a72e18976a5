package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"
)

// The steps of a purchase, as they are told of.
var stepOrder = []string{"reserve", "register", "approve", "complete"}

// buyer is a user of the local stack with a token of his.
type buyer struct {
	shop  *shop
	id    int64
	token string
}

// shop is the local stack as its callers see it. It is safe for concurrent use.
type shop struct {
	api, invoke string
	client      *http.Client
}

func newShop(f *front) *shop {
	return &shop{api: f.api, invoke: f.invoke, client: &http.Client{
		Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64},
	}}
}

// send makes one request and returns the body of its answer; a status other than those wanted is an error.
func (s *shop) send(ctx context.Context, method, url, token, body string, want ...int) ([]byte, http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader([]byte(body)))
	if err != nil {
		return nil, nil, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := s.client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	text, err := io.ReadAll(res.Body)
	_ = res.Body.Close() // read to its end, or given up
	if err == nil && !slices.Contains(want, res.StatusCode) {
		err = fmt.Errorf("%s %s: %d %s", method, req.URL.Path, res.StatusCode, text)
	}
	return text, res.Header, err
}

// admin carries out an action and decodes its result into v.
func (s *shop) admin(ctx context.Context, action, v any) error {
	payload, err := json.Marshal(action)
	if err != nil {
		return err
	}
	text, header, err := s.send(ctx, http.MethodPost, s.invoke+"/2015-03-31/functions/AdminFunction/invocations", "", string(payload), http.StatusOK)
	if err != nil {
		return err
	}
	if header.Get("X-Amz-Function-Error") != "" {
		return fmt.Errorf("AdminFunction: %s", text)
	}
	return json.Unmarshal(text, v)
}

// product makes one that is on sale, with that many units.
func (s *shop) product(ctx context.Context, stock int64) (int64, error) {
	day := func(n int) string { return time.Now().AddDate(0, 0, n).UTC().Format(time.RFC3339) }
	var made struct{ ProductID int64 }
	err := s.admin(ctx, map[string]any{"action": "put-product", "product": map[string]any{
		"name": "a room", "price": "100000.00", "stock": stock, "status": "ACTIVE",
		"saleStartAt": day(-1), "checkInAt": day(30), "checkOutAt": day(31),
	}}, &made)
	return made.ProductID, err
}

// buyer gives the user a token.
func (s *shop) buyer(ctx context.Context, id int64) (buyer, error) {
	text, _, err := s.send(ctx, http.MethodPost, s.api+"/dev/token", "", fmt.Sprintf(`{"userId":%d}`, id), http.StatusOK)
	if err != nil {
		return buyer{}, err
	}
	var got struct{ Token string }
	err = json.Unmarshal(text, &got)
	return buyer{s, id, got.Token}, err
}

func (b buyer) post(ctx context.Context, path, body string, want ...int) ([]byte, error) {
	text, _, err := b.shop.send(ctx, http.MethodPost, b.shop.api+path, b.token, body, want...)
	return text, err
}

func (b buyer) get(ctx context.Context, path string) error {
	_, _, err := b.shop.send(ctx, http.MethodGet, b.shop.api+path, b.token, "", http.StatusOK)
	return err
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
