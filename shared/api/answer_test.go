package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"stayhold/shared/booking"
)

func TestGoldenAnswers(t *testing.T) {
	pending := sample()
	pending.Status = booking.PaymentPending
	pending.Payments[1].Approval = booking.ApprovalUnknown
	ended := sample()
	ended.Status = booking.Failed
	ended.Failure = &booking.Failure{Code: "SOLD_OUT", Detail: "No unit is <free>."}
	ended.Payments[1].Status, ended.Payments[1].Approval = booking.PaymentSuccess, booking.ApprovalCancelRequested
	ended.Payments[1].RefundState, ended.Payments[1].RefundAmount = booking.RefundPending, decimal.New(97000, 0)
	bare := sample()
	bare.Payments = nil
	for _, c := range []struct {
		name, path, body string
		result           booking.Result
		err              error
	}{
		{"reserve-created", reservePath, `{"productId":1}`, booking.Result{Booking: bare, Created: true}, nil},
		{"register-created", registerPath, pay(`"CARD"`, `1`), booking.Result{Booking: sample(), Created: true}, nil},
		{"register-same", registerPath, pay(`"CARD"`, `1`), booking.Result{Booking: sample()}, nil},
		{"approve-pending", approvePath, `{"paymentKey":"k"}`, booking.Result{Booking: pending, Pending: true}, nil},
		{"cancel-refunding", cancelPath, ``, booking.Result{Booking: ended}, nil},
		{"duplicate-reservation", reservePath, `{"productId":1}`, booking.Result{}, booking.ErrDuplicateReservation.
			With("bookingId", int64(1)<<62+1).With("holdExpiresAt", noon).With("remainMillis", int64(298812)).
			With("nextActions", []booking.Action{booking.ActionRegister, booking.ActionCancel})},
		{"sold-out", reservePath, `{"productId":1}`, booking.Result{}, booking.ErrSoldOut.With("earliestReleaseAt", noon)},
		{"declined", approvePath, `{"paymentKey":"k"}`, booking.Result{}, booking.ErrPaymentDeclined.With("declineCode", "REJECT_CARD_PAYMENT")},
		{"hold-limit", reservePath, `{"productId":1}`, booking.Result{}, booking.ErrHoldLimit},
		{"commit-unknown", completePath, ``, booking.Result{}, booking.ErrCommitResultUnknown.Because(errors.New("conn closed"))},
		{"internal", completePath, ``, booking.Result{}, errors.New("pq: secret detail")},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench()
			run := func() (booking.Result, error) { return c.result, c.err }
			var a response
			ev := post(c.path, c.body)
			switch c.path {
			case reservePath:
				a = invoke(t, b.Reserve(func(context.Context, booking.ReserveCommand) (booking.Result, error) { return run() }), ev)
			case registerPath:
				a = invoke(t, b.Register(func(context.Context, booking.Registration) (booking.Result, error) { return run() }), ev)
			case approvePath:
				a = invoke(t, b.Approve(func(context.Context, booking.ApproveCommand) (booking.Result, error) { return run() }), ev)
			case completePath:
				a = invoke(t, b.Complete(func(context.Context, booking.CompleteCommand) (booking.Result, error) { return run() }), ev)
			default:
				a = invoke(t, b.Cancel(func(context.Context, booking.Cancellation) (booking.Result, error) { return run() }), ev)
			}
			golden(t, c.name, a)
		})
	}
}

func TestEveryErrorHasItsStatus(t *testing.T) {
	for status, errs := range map[int][]*booking.Error{
		400: {booking.ErrInvalidJSON, booking.ErrInvalidRequest, booking.ErrUnknownField, booking.ErrDuplicateField,
			booking.ErrInvalidAmount, booking.ErrInvalidMethod, booking.ErrDuplicateMethod, booking.ErrInvalidIdempotencyKey},
		401: {booking.ErrUnauthenticated, booking.ErrInvalidSubject},
		402: {booking.ErrPaymentDeclined},
		404: {booking.ErrProductNotFound, booking.ErrBookingNotFound},
		409: {booking.ErrSoldOut, booking.ErrDuplicateReservation, booking.ErrAlreadyPurchased, booking.ErrSaleNotOpen,
			booking.ErrSaleClosed, booking.ErrInvalidState, booking.ErrPaymentIncomplete, booking.ErrPaymentInProgress, booking.ErrIdempotencyInProgress},
		410: {booking.ErrHoldExpired},
		413: {booking.ErrPayloadTooLarge},
		415: {booking.ErrUnsupportedMediaType},
		422: {booking.ErrAmountMismatch, booking.ErrMethodCombination, booking.ErrInsufficientPoints, booking.ErrIdempotencyKeyReused},
		429: {booking.ErrHoldLimit},
		500: {booking.ErrInternal, {Kind: 99, Code: "X"}},
		503: {booking.ErrUnavailable, booking.ErrCommitResultUnknown},
	} {
		for _, e := range errs {
			a := received(t, problem(e, "req-1").render())
			body := a.told(t)
			if a.Status != status || body["status"] != float64(status) || a.Headers["Content-Type"] != "application/problem+json" {
				t.Errorf("%s: %d %s", e.Code, a.Status, a.Body)
			}
			for _, name := range []string{"type", "title", "status", "detail", "code", "retryable", "requestId"} {
				if body[name] == nil || body[name] == "" {
					t.Errorf("%s lacks %s", e.Code, name)
				}
			}
			if wait := a.Headers["Retry-After"]; (status == 503 || status == 429) && wait == "" {
				t.Errorf("%s lacks Retry-After", e.Code)
			}
		}
	}
}

func TestProblemSurvivesAMemberThatCannotBeRendered(t *testing.T) {
	want(t, received(t, problem(booking.ErrSoldOut.With("x", func() {}), "r").render()), 500, "INTERNAL")
}

func TestAPanicIsAnswered(t *testing.T) {
	b := newBench()
	h := b.Complete(func(context.Context, booking.CompleteCommand) (booking.Result, error) { panic("inner words") })
	a := invoke(t, h, post(completePath, ""))
	want(t, a, 500, "INTERNAL")
	if strings.Contains(a.Body, "inner") || !strings.Contains(b.log.String(), "inner words") {
		t.Errorf("answer %s\nlog %s", a.Body, b.log)
	}
	want(t, invoke(t, h, post(completePath, "")), 500, "INTERNAL")
}

func TestTheStepsTimeEndsBeforeTheFunctions(t *testing.T) {
	b := newBench()
	h := b.Complete(func(ctx context.Context, _ booking.CompleteCommand) (booking.Result, error) {
		<-ctx.Done()
		return booking.Result{}, ctx.Err()
	})
	ctx, cancel := context.WithTimeout(context.Background(), answerTime+20*time.Millisecond)
	defer cancel()
	payload, err := json.Marshal(post(completePath, ""))
	if err != nil {
		t.Fatal(err)
	}
	out, err := h.Invoke(ctx, payload)
	if err != nil || ctx.Err() != nil {
		t.Fatal(err, ctx.Err())
	}
	var a response
	if err := json.Unmarshal(out, &a); err != nil {
		t.Fatal(err)
	}
	want(t, a, 503, "COMMIT_RESULT_UNKNOWN")
}

func TestLogAndMetrics(t *testing.T) {
	b := newBench()
	fail := error(nil)
	h := b.Approve(func(context.Context, booking.ApproveCommand) (booking.Result, error) {
		return booking.Result{Booking: sample()}, fail
	})
	ev := post(approvePath, `{"paymentKey":"the-payment-key"}`, header("authorization", "Bearer the-token"), header("idempotency-key", "the-key"))
	invoke(t, h, ev)
	fail = booking.ErrUnavailable.Because(errors.New("dial tcp: refused"))
	invoke(t, h, ev)
	all := b.log.String() + b.metrics.String()
	for _, secret := range []string{"the-payment-key", "the-token", "the-key"} {
		if strings.Contains(all, secret) {
			t.Errorf("%s is in the log", secret)
		}
	}
	first, second := lines(t, b.log)
	told := object{
		"requestId": "req-1", "function": "approve", "route": "POST " + approvePath, "code": "OK", "status": 200.0,
		"userId": 7.0, "bookingId": 12.0, "coldStart": true, "level": "INFO",
	}
	for name, value := range told {
		if first[name] != value {
			t.Errorf("log %s: %v", name, first[name])
		}
	}
	if second["coldStart"] != false || second["level"] != "ERROR" || !strings.Contains(second["error"].(string), "refused") {
		t.Errorf("log %v", second)
	}
	first, second = lines(t, b.metrics)
	if first["ColdStart"] != 1.0 || second["ColdStart"] != 0.0 || first["Code"] != "OK" || second["Code"] != "DEPENDENCY_UNAVAILABLE" {
		t.Errorf("metrics %v %v", first, second)
	}
	directive := first["_aws"].(object)["CloudWatchMetrics"].([]any)[0].(object)
	if directive["Namespace"] != "Stayhold" || first["_aws"].(object)["Timestamp"].(float64) < 1e12 {
		t.Errorf("metadata %v", first["_aws"])
	}
	for _, name := range directive["Dimensions"].([]any)[0].([]any) {
		if _, ok := first[name.(string)].(string); !ok {
			t.Errorf("dimension %v has no value", name)
		}
	}
	for _, m := range directive["Metrics"].([]any) {
		if _, ok := first[m.(object)["Name"].(string)].(float64); !ok {
			t.Errorf("metric %v has no value", m)
		}
	}
}

// writes counts them.
type writes int

func (w *writes) Write(output []byte) (int, error) {
	*w++
	return len(output), nil
}

func TestLogAndMetricsAreOneWrite(t *testing.T) {
	var n writes
	edge := New(Options{Recaller: &recaller{}, Log: &n})
	invoke(t, edge.Approve(func(context.Context, booking.ApproveCommand) (booking.Result, error) {
		return booking.Result{Booking: sample()}, nil
	}), post(approvePath, `{"paymentKey":"ok-1"}`))
	if n != 1 {
		t.Errorf("%d writes for one call", n)
	}
}

// lines are the two lines of a buffer.
func lines(t *testing.T, b *bytes.Buffer) (first, second object) {
	t.Helper()
	text := strings.Split(strings.TrimSpace(b.String()), "\n")
	if len(text) != 2 {
		t.Fatalf("%d lines: %s", len(text), b)
	}
	for i, to := range []*object{&first, &second} {
		if err := json.Unmarshal([]byte(text[i]), to); err != nil {
			t.Fatal(err)
		}
	}
	return first, second
}
