package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Shop is the local stack as its callers see it. It is safe for concurrent use.
type Shop struct {
	api, invoke string
	client      *http.Client
}

// NewShop gives the callers of a stack, who keep up to 64 connections open.
func NewShop(f *Front) *Shop {
	return &Shop{api: f.API, invoke: f.Invoke, client: &http.Client{
		Timeout: 35 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64},
	}}
}

// Answer is what came back for one request.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Code is the code of a problem; empty if the answer is none.
func (a Answer) Code() string {
	var p struct{ Code string }
	if a.Status < 400 || json.Unmarshal(a.Body, &p) != nil {
		return ""
	}
	return p.Code
}

// Send makes one request and reads its answer whole. Headers come in pairs of name and value. An error means that there
// is no answer.
func (s *Shop) Send(ctx context.Context, method, url, body string, headers ...string) (Answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader([]byte(body)))
	if err != nil {
		return Answer{}, err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := s.client.Do(req)
	if err != nil {
		return Answer{}, err
	}
	text, err := io.ReadAll(res.Body)
	_ = res.Body.Close() // read to its end, or given up
	return Answer{res.StatusCode, res.Header, text}, err
}

// get200 makes a request whose answer must be a 200, and decodes it into v.
func (s *Shop) get200(ctx context.Context, method, url, body string, v any) error {
	a, err := s.Send(ctx, method, url, body)
	if err != nil {
		return err
	}
	if a.Status != http.StatusOK {
		return fmt.Errorf("%s %s: %d %s", method, url, a.Status, a.Body)
	}
	if fault := a.Header.Get("X-Amz-Function-Error"); fault != "" {
		return fmt.Errorf("%s: %s", url, a.Body)
	}
	return json.Unmarshal(a.Body, v)
}

// Admin carries out an action of AdminFunction and decodes its result into v.
func (s *Shop) Admin(ctx context.Context, action, v any) error {
	payload, err := json.Marshal(action)
	if err != nil {
		return err
	}
	return s.get200(ctx, http.MethodPost, s.invoke+"/2015-03-31/functions/AdminFunction/invocations", string(payload), v)
}

// Product makes one that is on sale, with that price and that many units, and returns its id.
func (s *Shop) Product(ctx context.Context, price string, stock int64) (int64, error) {
	day := func(n int) string { return time.Now().AddDate(0, 0, n).UTC().Format(time.RFC3339) }
	var made struct{ ProductID int64 }
	err := s.Admin(ctx, map[string]any{"action": "put-product", "product": map[string]any{
		"name": "a room", "price": price, "stock": stock, "status": "ACTIVE",
		"saleStartAt": day(-1), "checkInAt": day(30), "checkOutAt": day(31),
	}}, &made)
	return made.ProductID, err
}

// Buyer is a user of the stack with a token of his.
type Buyer struct {
	ID    int64
	shop  *Shop
	token string
}

// Token is one with which the API takes its bearer for the user.
func (s *Shop) Token(ctx context.Context, user int64) (string, error) {
	var got struct{ Token string }
	err := s.get200(ctx, http.MethodPost, s.api+"/dev/token", fmt.Sprintf(`{"userId":%d}`, user), &got)
	return got.Token, err
}

// Buyer gives the user a token.
func (s *Shop) Buyer(ctx context.Context, id int64) (Buyer, error) {
	token, err := s.Token(ctx, id)
	return Buyer{id, s, token}, err
}

// Post sends the body, and the Idempotency-Key unless it is empty.
func (b Buyer) Post(ctx context.Context, path, body, key string) (Answer, error) {
	headers := []string{"Authorization", "Bearer " + b.token}
	if key != "" {
		headers = append(headers, "Idempotency-Key", key)
	}
	return b.shop.Send(ctx, http.MethodPost, b.shop.api+path, body, headers...)
}

// Get reads a page of his.
func (b Buyer) Get(ctx context.Context, path string) (Answer, error) {
	return b.shop.Send(ctx, http.MethodGet, b.shop.api+path, "", "Authorization", "Bearer "+b.token)
}
