package stacktest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// booking is the contract's booking, with nothing left out and nothing added.
type booking struct {
	BookingID     int64      `json:"bookingId"`
	ProductID     int64      `json:"productId"`
	UserID        int64      `json:"userId"`
	Status        string     `json:"status"`
	TotalAmount   string     `json:"totalAmount"`
	HoldExpiresAt *string    `json:"holdExpiresAt"`
	RemainMillis  int64      `json:"remainMillis"`
	Payments      []payment  `json:"payments"`
	Refund        refund     `json:"refund"`
	Failure       *failure   `json:"failure"`
	NextActions   []string   `json:"nextActions"`
	CreatedAt     string     `json:"createdAt"`
	UpdatedAt     string     `json:"updatedAt"`
	Timeline      []timeline `json:"timeline,omitempty"`
}

type payment struct {
	PaymentID int64   `json:"paymentId"`
	Method    string  `json:"method"`
	Amount    string  `json:"amount"`
	Status    string  `json:"status"`
	Approval  string  `json:"approval"`
	OrderID   *string `json:"orderId"`
}

type refund struct {
	State  string `json:"state"`
	Amount string `json:"amount"`
}

type failure struct {
	Code   string  `json:"code"`
	Detail *string `json:"detail"`
}

type timeline struct {
	At     string          `json:"at"`
	Event  string          `json:"event"`
	Detail json.RawMessage `json:"detail"`
}

type product struct {
	ProductID   int64  `json:"productId"`
	Name        string `json:"name"`
	Price       string `json:"price"`
	Status      string `json:"status"`
	Available   int64  `json:"available"`
	TotalStock  int64  `json:"totalStock"`
	SaleStartAt string `json:"saleStartAt"`
	CheckInAt   string `json:"checkInAt"`
	CheckOutAt  string `json:"checkOutAt"`
}

var (
	moneyForm = regexp.MustCompile(`^(0|[1-9][0-9]{0,12})\.[0-9]{2}$`)
	timeForm  = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`)
	orderForm = regexp.MustCompile(`^[A-Za-z0-9_-]{6,64}$`)

	bookingMembers = []string{
		"bookingId", "createdAt", "failure", "holdExpiresAt", "nextActions", "payments", "productId", "refund", "remainMillis",
		"status", "totalAmount", "updatedAt", "userId",
	}
	productMembers = []string{"available", "checkInAt", "checkOutAt", "name", "price", "productId", "saleStartAt", "status", "totalStock"}
	paymentMembers = []string{"amount", "approval", "method", "orderId", "paymentId", "status"}
	statuses       = []string{"INIT", "PAYMENT_PENDING", "CONFIRMED", "FAILED", "CANCELLED"}
	approvals      = []string{"NONE", "REQUESTED", "UNKNOWN", "APPROVED", "DECLINED", "CANCEL_REQUESTED", "CANCELLED", "CANCEL_FAILED"}
	actions        = []string{"register", "pg-approve", "complete", "cancel"}
)

// booking decodes the body as one and holds its form against the contract.
func (a answer) booking(t testing.TB) booking {
	t.Helper()
	a.checkHeaders(t, "application/json")
	return bookingOf(t, a.body)
}

func bookingOf(t testing.TB, text []byte) booking {
	t.Helper()
	members := membersOf(t, text)
	var b booking
	if err := json.Unmarshal(text, &b); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	bad := func(format string, args ...any) {
		t.Helper()
		t.Errorf("%s in %s", fmt.Sprintf(format, args...), text)
	}
	if _, with := members["timeline"]; with {
		delete(members, "timeline")
		b.checkTimeline(bad)
	}
	if got := slices.Sorted(maps.Keys(members)); !slices.Equal(got, bookingMembers) {
		bad("members %v, want %v", got, bookingMembers)
	}
	if !slices.Contains(statuses, b.Status) {
		bad("status %q", b.Status)
	}
	open := b.Status == "INIT" || b.Status == "PAYMENT_PENDING"
	if open != (b.HoldExpiresAt != nil) || (!open && b.RemainMillis != 0) || b.RemainMillis < 0 {
		bad("holdExpiresAt %v and remainMillis %d with status %s", b.HoldExpiresAt, b.RemainMillis, b.Status)
	}
	times := []string{b.CreatedAt, b.UpdatedAt}
	if b.HoldExpiresAt != nil {
		times = append(times, *b.HoldExpiresAt)
	}
	for _, at := range times {
		if !timeForm.MatchString(at) {
			bad("time %q", at)
		}
	}
	for _, amount := range []string{b.TotalAmount, b.Refund.Amount} {
		if !moneyForm.MatchString(amount) {
			bad("amount %q", amount)
		}
	}
	if !slices.Contains([]string{"NONE", "PENDING", "DONE", "STUCK"}, b.Refund.State) {
		bad("refund.state %q", b.Refund.State)
	}
	if raw := members["nextActions"]; string(raw) == "null" || string(members["payments"]) == "null" {
		bad("a list that is null")
	}
	for _, next := range b.NextActions {
		if !slices.Contains(actions, next) {
			bad("next action %q", next)
		}
	}
	if (b.Status == "FAILED") != (b.Failure != nil) {
		bad("failure %v with status %s", b.Failure, b.Status)
	}
	b.checkPayments(t, members["payments"], bad)
	return b
}

func (b booking) checkPayments(t testing.TB, text []byte, bad func(string, ...any)) {
	t.Helper()
	var raw []json.RawMessage
	if err := json.Unmarshal(text, &raw); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	last := int64(0)
	for i, p := range b.Payments {
		if got := slices.Sorted(maps.Keys(membersOf(t, raw[i]))); !slices.Equal(got, paymentMembers) {
			bad("payment members %v", got)
		}
		if p.PaymentID <= last {
			bad("payment %d after %d: not oldest first", p.PaymentID, last)
		}
		last = p.PaymentID
		if !slices.Contains([]string{"CARD", "YPAY", "POINT"}, p.Method) || !moneyForm.MatchString(p.Amount) ||
			!slices.Contains([]string{"READY", "SUCCESS", "FAILED", "CANCELLED"}, p.Status) || !slices.Contains(approvals, p.Approval) {
			bad("payment %+v", p)
		}
		if (p.Method == "POINT") != (p.OrderID == nil) || (p.OrderID != nil && !orderForm.MatchString(*p.OrderID)) {
			bad("orderId of %+v", p)
		}
	}
}

func (b booking) checkTimeline(bad func(string, ...any)) {
	if len(b.Timeline) == 0 {
		bad("an empty timeline")
	}
	last := ""
	for _, e := range b.Timeline {
		if !timeForm.MatchString(e.At) || e.At < last || e.Event == "" || e.Detail == nil {
			bad("timeline entry %s %q %s", e.At, e.Event, e.Detail)
		}
		last = e.At
	}
}

// product decodes the body as one and holds its form against the contract.
func (a answer) product(t testing.TB) product {
	t.Helper()
	a.checkHeaders(t, "application/json")
	return productOf(t, a.body)
}

func productOf(t testing.TB, text []byte) product {
	t.Helper()
	if got := slices.Sorted(maps.Keys(membersOf(t, text))); !slices.Equal(got, productMembers) {
		t.Errorf("members %v, want %v in %s", got, productMembers, text)
	}
	var p product
	if err := json.Unmarshal(text, &p); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	if !moneyForm.MatchString(p.Price) || !timeForm.MatchString(p.SaleStartAt) || !timeForm.MatchString(p.CheckInAt) ||
		!timeForm.MatchString(p.CheckOutAt) || (p.Status != "ACTIVE" && p.Status != "SOLD_OUT") || p.Available < 0 {
		t.Errorf("product %s", text)
	}
	return p
}

// checkHeaders holds those against the contract that every answer of a function bears.
func (a answer) checkHeaders(t testing.TB, contentType string) {
	t.Helper()
	if a.err != nil {
		t.Fatal(a)
	}
	if got, _, _ := strings.Cut(a.header.Get("Content-Type"), ";"); got != contentType {
		t.Errorf("Content-Type %q, want %s: %v", got, contentType, a)
	}
	if got := a.header.Get("X-Content-Type-Options"); got != "nosniff" {
		t.Errorf("X-Content-Type-Options %q: %v", got, a)
	}
	if got := a.header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control %q: %v", got, a)
	}
}

// problem is an error of ours with its members as they came.
type problem struct {
	code    string
	members map[string]json.RawMessage
}

// problem fails the test unless the answer is that error, in the contract's form, with exactly these members more.
func (a answer) problem(t testing.TB, status int, code string, more ...string) problem {
	t.Helper()
	a.want(t, status)
	a.checkHeaders(t, "application/problem+json")
	members := membersOf(t, a.body)
	if _, with := members["errors"]; with && status == http.StatusBadRequest && !slices.Contains(more, "errors") {
		// Where in the body the fault is may be told for every fault of a body.
		more = append(more, "errors")
	}
	want := slices.Sorted(slices.Values(append([]string{"type", "title", "status", "detail", "code", "retryable", "requestId"}, more...)))
	if got := slices.Sorted(maps.Keys(members)); !slices.Equal(got, want) {
		t.Errorf("members %v, want %v: %v", got, want, a)
	}
	var p struct {
		Type, Title, Detail, Code, RequestID string
		Status                               int
		Retryable                            *bool
	}
	if err := json.Unmarshal(a.body, &p); err != nil {
		t.Fatalf("%v: %v", err, a)
	}
	if p.Code != code {
		t.Fatalf("want %d %s, got %v", status, code, a)
	}
	seenCodes.Store(code, true)
	if p.Status != status || p.Type == "" || p.Title == "" || p.Detail == "" || p.RequestID == "" || p.Retryable == nil {
		t.Errorf("an incomplete problem: %v", a)
	}
	if after := a.header.Get("Retry-After"); status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests {
		if n, err := strconv.Atoi(after); err != nil || n < 1 {
			t.Errorf("Retry-After %q: %v", after, a)
		}
	}
	return problem{code, members}
}

// message fails the test unless the answer is one of API Gateway's own.
func (a answer) message(t testing.TB, status int, text string) {
	t.Helper()
	a.want(t, status)
	if string(a.body) != fmt.Sprintf(`{"message":%q}`, text) {
		t.Errorf("want {\"message\":%q}, got %v", text, a)
	}
}

func membersOf(t testing.TB, text []byte) map[string]json.RawMessage {
	t.Helper()
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil || members == nil {
		t.Fatalf("not an object: %v: %s", err, text)
	}
	return members
}

// has fails the test unless the booking's next actions are these, in any order.
func (b booking) next(t testing.TB, want ...string) {
	t.Helper()
	if got := slices.Sorted(slices.Values(b.NextActions)); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
		t.Errorf("next actions of %s booking %d: %v, want %v", b.Status, b.BookingID, got, want)
	}
}

func parseTime(t testing.TB, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}
