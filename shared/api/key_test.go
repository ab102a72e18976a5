package api

import (
	"context"
	"errors"
	"strings"
	"testing"

	"stayhold/shared/booking"
)

func TestIdempotencyKeys(t *testing.T) {
	long := strings.Repeat("k", 255)
	for _, c := range []struct {
		header any
		key    string // empty: refused
	}{
		{"abc", "abc"}, {`"abc"`, "abc"}, {"  abc  ", "abc"}, {long, long}, {`"` + long + `"`, long}, {"a\"b", "a\"b"}, {"!~", "!~"},
		{"", ""}, {`""`, ""}, {" ", ""}, {"a b", ""}, {"a,b", ""}, {`"a,b"`, ""}, {`"abc`, ""}, {`"`, ""}, {`"a"b"`, ""}, {`"a\"`, ""},
		{long + "k", ""}, {"ä", ""}, {"a\x7f", ""}, {"a\x00", ""}, {"a\tb", ""},
	} {
		b := newBench()
		ran := 0
		a := steps(b, &ran)[completePath](post(completePath, "", header("Idempotency-Key", c.header)))
		if c.key == "" {
			want(t, a, 400, "INVALID_IDEMPOTENCY_KEY")
			continue
		}
		want(t, a, 200, "")
		if len(b.recaller.keys) != 1 || b.recaller.keys[0].Key != c.key {
			t.Errorf("%q: recalled %v", c.header, b.recaller.keys)
		}
	}
}

func TestFingerprints(t *testing.T) {
	print := func(path, body string) string {
		b := newBench()
		ran := 0
		steps(b, &ran)[path](post(path, body, header("idempotency-key", "k")))
		if len(b.recaller.keys) != 1 {
			t.Fatalf("%s: not recalled", body)
		}
		return b.recaller.keys[0].Fingerprint
	}
	for _, c := range []struct {
		path, one, other string
		same             bool
	}{
		{reservePath, `{"productId":1}`, ` { "productId" : 1 } `, true},
		{reservePath, `{"productId":1}`, `{"productId":2}`, false},
		{registerPath, pay(`"CARD"`, `"3000"`), pay(`"CARD"`, `3000`), true},
		{registerPath, pay(`"CARD"`, `"3000"`), pay(`"CARD"`, `3000.00`), true},
		{registerPath, pay(`"CARD"`, `3000.1`), pay(`"CARD"`, `"3000.10"`), true},
		{registerPath, pay(`"CARD"`, `3000`), pay(`"CARD"`, `3000.01`), false},
		{registerPath, pay(`"CARD"`, `3000`), pay(`"YPAY"`, `3000`), false},
		{registerPath, `{"payments":[{"method":"CARD","amount":1}]}`, `{"payments":[{"amount":1,"method":"CARD"}]}`, true},
		{registerPath, `{"payments":[{"method":"CARD","amount":1},{"method":"POINT","amount":2}]}`,
			`{"payments":[{"method":"POINT","amount":2},{"method":"CARD","amount":1}]}`, false},
		{approvePath, ``, `{}`, true},
		{approvePath, `{}`, `{"paymentKey":"a"}`, false},
		{approvePath, `{"paymentKey":"\u0061"}`, `{"paymentKey":"a"}`, true},
		{completePath, ``, ` {} `, true},
	} {
		if (print(c.path, c.one) == print(c.path, c.other)) != c.same {
			t.Errorf("%s and %s", c.one, c.other)
		}
	}
}

func TestKeyInItsScope(t *testing.T) {
	b := newBench()
	var got *booking.IdempotencyKey
	h := b.Cancel(func(_ context.Context, c booking.Cancellation) (booking.Result, error) {
		got = c.Key
		return booking.Result{}, nil
	})
	invoke(t, h, post(cancelPath, "", header("idempotency-key", "k"), member("rawPath", "/prod/bookings/12/cancel")))
	if got == nil || got.Scope != "POST /bookings/12/cancel" || got.UserID != 7 || got.RequestID != "req-1" || len(got.Fingerprint) != 64 {
		t.Errorf("key %+v", got)
	}
	invoke(t, h, post(cancelPath, ""))
	if got != nil || len(b.recaller.keys) != 1 {
		t.Error("a request without a key was looked up")
	}
}

func TestReplaysAreEqualToTheByte(t *testing.T) {
	declined := booking.ErrPaymentDeclined.With("declineCode", "REJECT_CARD_PAYMENT").
		With("errors", []booking.Violation{{Pointer: "/payments/0", Code: "X"}})
	// As it comes back from where it was stored: nothing but JSON's own types.
	stored := booking.ErrPaymentDeclined.With("declineCode", "REJECT_CARD_PAYMENT").
		With("errors", []any{map[string]any{"code": "X", "pointer": "/payments/0"}})
	for _, c := range []struct {
		name         string
		result       booking.Result
		first, again error
	}{
		{"created", booking.Result{Booking: sample(), Created: true}, nil, nil},
		{"declined", booking.Result{}, declined, stored},
		{"gone", booking.Result{}, booking.ErrHoldExpired.With("compensation", "PENDING"), booking.ErrHoldExpired.With("compensation", "PENDING")},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench()
			ran := 0
			h := b.Reserve(func(context.Context, booking.ReserveCommand) (booking.Result, error) { ran++; return c.result, c.first })
			first := invoke(t, h, post(reservePath, `{"productId":1}`, header("idempotency-key", "k")))
			b.recaller.answers = []func() (*booking.Recalled, error){func() (*booking.Recalled, error) {
				return &booking.Recalled{Result: c.result, Err: c.again, RequestID: "req-1"}, nil
			}}
			again := invoke(t, h, post(reservePath, `{"productId":1}`, header("idempotency-key", "k"), func(ev object) {
				ev["requestContext"].(object)["requestId"] = "req-2"
			}))
			if ran != 1 || first.Body != again.Body || first.Status != again.Status {
				t.Errorf("ran %d times\n%d %s\n%d %s", ran, first.Status, first.Body, again.Status, again.Body)
			}
			if again.Headers["Idempotency-Replayed"] != "true" || first.Headers["Idempotency-Replayed"] != "" {
				t.Error("Idempotency-Replayed")
			}
			if first.Headers["Location"] != again.Headers["Location"] {
				t.Error("Location")
			}
		})
	}
}

func TestKeyTaken(t *testing.T) {
	b := newBench()
	free := func() (*booking.Recalled, error) { return nil, nil }
	b.recaller.answers = []func() (*booking.Recalled, error){free, func() (*booking.Recalled, error) {
		return &booking.Recalled{Result: booking.Result{Booking: sample()}}, nil
	}}
	ran := 0
	taken := func(context.Context, booking.CompleteCommand) (booking.Result, error) {
		ran++
		return booking.Result{}, errors.Join(errors.New("unique violation"), booking.ErrKeyTaken)
	}
	ev := post(completePath, "", header("idempotency-key", "k"))
	a := invoke(t, b.Complete(taken), ev)
	want(t, a, 200, "")
	if ran != 1 || a.Headers["Idempotency-Replayed"] != "true" {
		t.Errorf("ran %d, %v", ran, a.Headers)
	}
	b.recaller.answers = []func() (*booking.Recalled, error){free}
	a = invoke(t, b.Complete(taken), ev)
	want(t, a, 409, "IDEMPOTENCY_IN_PROGRESS")
	if a.Headers["Retry-After"] != "1" || ran != 1+recallTries {
		t.Errorf("ran %d, %v", ran, a.Headers)
	}
	for _, c := range []struct {
		err    error
		status int
		code   string
	}{
		{booking.ErrIdempotencyInProgress, 409, "IDEMPOTENCY_IN_PROGRESS"},
		{booking.ErrIdempotencyKeyReused, 422, "IDEMPOTENCY_KEY_REUSED"},
		{booking.ErrUnavailable.Because(errors.New("refused")), 503, "DEPENDENCY_UNAVAILABLE"},
	} {
		b.recaller.answers = []func() (*booking.Recalled, error){func() (*booking.Recalled, error) { return nil, c.err }}
		a := invoke(t, b.Complete(nil), ev)
		want(t, a, c.status, c.code)
		if a.Headers["Idempotency-Replayed"] != "" {
			t.Error("nothing was replayed")
		}
	}
}
