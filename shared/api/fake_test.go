package api

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/shopspring/decimal"

	"stayhold/shared/booking"
)

// object is JSON as the tests build and read it.
type object = map[string]any

// recaller is a hand-written store of outcomes.
type recaller struct {
	answers []func() (*booking.Recalled, error) // one for each call; the last repeats
	keys    []booking.IdempotencyKey
}

func (r *recaller) Recall(_ context.Context, key booking.IdempotencyKey) (*booking.Recalled, error) {
	r.keys = append(r.keys, key)
	if len(r.answers) == 0 {
		return nil, nil
	}
	return r.answers[min(len(r.keys), len(r.answers))-1]()
}

// bench is an Edge with its output kept, lines of log and lines of metrics apart.
type bench struct {
	*Edge
	recaller     *recaller
	log, metrics *bytes.Buffer
}

func newBench() bench {
	b := bench{recaller: &recaller{}, log: &bytes.Buffer{}, metrics: &bytes.Buffer{}}
	b.Edge = New(Options{Recaller: b.recaller, Log: b})
	return b
}

// Write takes whole lines.
func (b bench) Write(output []byte) (int, error) {
	for line := range bytes.Lines(output) {
		to := b.log
		if bytes.HasPrefix(line, []byte(`{"_aws":`)) {
			to = b.metrics
		}
		to.Write(line)
	}
	return len(output), nil
}

// nothingLeft is the backlog where all is done.
func nothingLeft(context.Context) (booking.Outstanding, error) { return booking.Outstanding{}, nil }

// post is a POST event as API Gateway sends it; change may spoil it.
func post(path, body string, change ...func(object)) object {
	ev := object{
		"version": "2.0", "routeKey": "POST " + path, "rawPath": strings.ReplaceAll(path, "{bookingId}", "12"),
		"rawQueryString": "", "isBase64Encoded": false, "body": body,
		"headers": object{"content-type": "application/json"},
		"requestContext": object{
			"requestId": "req-1", "stage": "$default",
			"authorizer": object{"jwt": object{"claims": object{"sub": "7"}}},
		},
	}
	if strings.Contains(path, "{bookingId}") {
		ev["pathParameters"] = object{"bookingId": "12"}
	}
	for _, c := range change {
		c(ev)
	}
	return ev
}

func get(routeKey string, change ...func(object)) object {
	return post("", "", append([]func(object){func(ev object) {
		ev["routeKey"] = routeKey
		delete(ev, "body")
		ev["headers"] = object{}
	}}, change...)...)
}

func header(name string, value any) func(object) {
	return func(ev object) { ev["headers"].(object)[name] = value }
}

func member(name string, value any) func(object) {
	return func(ev object) { ev[name] = value }
}

func claims(value any) func(object) {
	return func(ev object) {
		ev["requestContext"].(object)["authorizer"] = object{"jwt": object{"claims": value}}
	}
}

// response is an answer as API Gateway reads it.
type response struct {
	Status  int               `json:"statusCode"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
	Base64  bool              `json:"isBase64Encoded"`
}

// received reads an answer, which has to be written as encoding/json writes it.
func received(t *testing.T, out []byte) (a response) {
	t.Helper()
	if err := json.Unmarshal(out, &a); err != nil {
		t.Fatalf("not an answer: %s", out)
	}
	if plain, err := json.Marshal(a); err != nil || !bytes.Equal(plain, out) {
		t.Errorf("%v\nwritten %s\nand by the library %s", err, out, plain)
	}
	return a
}

func invoke(t *testing.T, h lambda.Handler, event any) response {
	t.Helper()
	payload, ok := event.([]byte)
	if !ok {
		var err error
		if payload, err = json.Marshal(event); err != nil {
			t.Fatal(err)
		}
	}
	out, err := h.Invoke(context.Background(), payload)
	if err != nil {
		t.Fatalf("function error: %v", err)
	}
	return received(t, out)
}

// told is an answer's body.
func (a response) told(t *testing.T) object {
	t.Helper()
	var body object
	if err := json.Unmarshal([]byte(a.Body), &body); err != nil {
		t.Fatalf("body %q: %v", a.Body, err)
	}
	return body
}

func (a response) code(t *testing.T) string {
	t.Helper()
	code, _ := a.told(t)["code"].(string)
	return code
}

func want(t *testing.T, a response, status int, code string) {
	t.Helper()
	if a.Status != status || code != "" && a.code(t) != code {
		t.Errorf("got %d %s\nwant %d %s", a.Status, a.Body, status, code)
	}
}

var noon = time.Date(2026, 11, 22, 6, 0, 0, 123_456_789, time.UTC)

// sample is a booking with a bit of everything.
func sample() booking.Booking {
	return booking.Booking{
		ID: 12, UserID: 7, ProductID: 1, Status: booking.Init, Total: decimal.New(100000, 0),
		HoldToken: "token", HoldExpiresAt: noon.Add(5 * time.Minute), CheckInAt: noon.Add(time.Hour),
		Payments: []booking.Payment{
			{ID: 30, Method: booking.Point, Amount: decimal.New(3000, 0), Status: booking.PaymentReady, Approval: booking.ApprovalNone, RefundState: booking.RefundNone},
			{ID: 31, Method: booking.Card, Amount: decimal.New(9700000, -2), Status: booking.PaymentReady, Approval: booking.ApprovalNone, OrderID: "order-31", RefundState: booking.RefundNone},
		},
		CreatedAt: noon.Add(-time.Minute), UpdatedAt: noon, ReadAt: noon.Add(1188 * time.Millisecond),
	}
}

// golden compares with testdata/<name>; UPDATE_GOLDEN=1 writes it.
func golden(t *testing.T, name string, a response) {
	t.Helper()
	var text bytes.Buffer
	body := a.Body
	a.Body = ""
	head, err := json.MarshalIndent(a, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	text.Write(append(head, '\n'))
	text.WriteString(body + "\n")
	path := filepath.Join("testdata", name+".txt")
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(path, text.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	wanted, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(text.Bytes(), wanted) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, text.Bytes(), wanted)
	}
}
