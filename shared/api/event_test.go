package api

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"stayhold/shared/booking"
)

func TestIdentity(t *testing.T) {
	cases := []struct {
		name   string
		change func(object)
		code   string
	}{
		{"no claims", claims(object{}), "UNAUTHENTICATED"},
		{"null claims", claims(nil), "UNAUTHENTICATED"},
		{"claims of another type", claims("sub"), "UNAUTHENTICATED"},
		{"null subject", claims(object{"sub": nil}), "UNAUTHENTICATED"},
		{"wrong case", claims(object{"Sub": "7"}), "UNAUTHENTICATED"},
		{"numeric", claims(object{"sub": 7}), "INVALID_SUBJECT"},
		{"boolean", claims(object{"sub": true}), "INVALID_SUBJECT"},
		{"list", claims(object{"sub": []string{"7"}}), "INVALID_SUBJECT"},
		{"empty", claims(object{"sub": ""}), "INVALID_SUBJECT"},
		{"zero", claims(object{"sub": "0"}), "INVALID_SUBJECT"},
		{"sign", claims(object{"sub": "+7"}), "INVALID_SUBJECT"},
		{"negative", claims(object{"sub": "-7"}), "INVALID_SUBJECT"},
		{"leading zero", claims(object{"sub": "07"}), "INVALID_SUBJECT"},
		{"space", claims(object{"sub": " 7"}), "INVALID_SUBJECT"},
		{"fraction", claims(object{"sub": "7.0"}), "INVALID_SUBJECT"},
		{"hexadecimal", claims(object{"sub": "0x7"}), "INVALID_SUBJECT"},
		{"another alphabet's digits", claims(object{"sub": "٧"}), "INVALID_SUBJECT"},
		{"a name", claims(object{"sub": "auth0|7"}), "INVALID_SUBJECT"},
		{"too large", claims(object{"sub": "9223372036854775808"}), "INVALID_SUBJECT"},
		{"no authorizer", func(ev object) { delete(ev["requestContext"].(object), "authorizer") }, "UNAUTHENTICATED"},
		{"authorizer of another type", func(ev object) { ev["requestContext"].(object)["authorizer"] = "x" }, "UNAUTHENTICATED"},
		{"no context", func(ev object) { delete(ev, "requestContext") }, "UNAUTHENTICATED"},
		{"context of another type", member("requestContext", 5), "UNAUTHENTICATED"},
		{"other members of another type", func(ev object) {
			claims(object{"sub": 7})(ev)
			ev["headers"], ev["body"], ev["isBase64Encoded"] = 3, object{}, "yes"
		}, "INVALID_SUBJECT"},
	}
	ran := 0
	reserve := steps(newBench(), &ran)[reservePath]
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			want(t, reserve(post(reservePath, `{"productId":1}`, c.change)), 401, c.code)
		})
	}
	if ran != 0 {
		t.Error("a step ran")
	}
	for _, payload := range []string{"", "null", "{", "[]", "7", `"x"`, "\xff"} {
		h := newBench().Reserve(nil)
		want(t, invoke(t, h, []byte(payload)), 401, "UNAUTHENTICATED")
	}
}

func TestIdentityOfAnotherClaim(t *testing.T) {
	e := New(Options{UserIDClaim: "custom:uid", Log: &bytes.Buffer{}})
	var got int64
	h := e.Cancel(func(_ context.Context, c booking.Cancellation) (booking.Result, error) {
		got = c.UserID
		return booking.Result{}, nil
	})
	invoke(t, h, post(cancelPath, "", claims(object{"sub": "7", "custom:uid": "9223372036854775807"})))
	if got != 1<<63-1 {
		t.Errorf("user %d", got)
	}
}

func TestPathIDs(t *testing.T) {
	b := newBench()
	var got int64
	h := b.Complete(func(_ context.Context, c booking.CompleteCommand) (booking.Result, error) {
		got = c.BookingID
		return booking.Result{}, nil
	})
	path := func(id string) func(object) { return member("pathParameters", object{"bookingId": id}) }
	raw := func(p string) func(object) {
		return func(ev object) { delete(ev, "pathParameters"); ev["rawPath"] = p }
	}
	for _, c := range []struct {
		name   string
		change func(object)
		id     int64 // 0: not found
	}{
		{"plain", path("12"), 12},
		{"largest", path("9223372036854775807"), 1<<63 - 1},
		{"encoded", path("%31%32"), 12},
		{"raw", raw("/bookings/13/complete"), 13},
		{"raw behind a stage", raw("/prod/bookings/14/complete"), 14},
		{"raw and encoded", raw("/bookings/%31/complete"), 1},
		{"raw too short", raw("/complete"), 0},
		{"raw empty", raw(""), 0},
		{"zero", path("0"), 0},
		{"leading zero", path("012"), 0},
		{"sign", path("+12"), 0},
		{"negative", path("-12"), 0},
		{"letters", path("abc"), 0},
		{"empty", path(""), 0},
		{"too large", path("9223372036854775808"), 0},
		{"too long", path(strings.Repeat("1", 5000)), 0},
		{"broken encoding", path("%zz"), 0},
		{"encoded slash", path("12%2f"), 0},
		{"parameters of another type", member("pathParameters", 3), 12},
		{"id of another type", member("pathParameters", object{"bookingId": 12}), 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			got = 0
			a := invoke(t, h, post(completePath, "", c.change))
			if c.id == 0 {
				want(t, a, 404, "BOOKING_NOT_FOUND")
			} else {
				want(t, a, 200, "")
			}
			if got != c.id {
				t.Errorf("booking %d", got)
			}
		})
	}
}

func TestARequestIDIsOneOrIsNotTaken(t *testing.T) {
	ran := 0
	change := func(id string) func(object) {
		return func(ev object) { ev["requestContext"].(object)["requestId"] = id }
	}
	for id, taken := range map[string]bool{
		"hvEHAsES8Ki7U6A=": true, strings.Repeat("r", 100): true,
		"with space": false, "line\nline": false, "\x7f": false, "é": false, strings.Repeat("r", 101): false,
	} {
		told := ""
		if taken {
			told = id
		}
		a := steps(newBench(), &ran)[reservePath](post(reservePath, `{`, change(id)))
		if got := a.told(t)["requestId"]; got != told {
			t.Errorf("%.20s…: requestId %v", id, got)
		}
	}
}

func TestMediaTypes(t *testing.T) {
	ran := 0
	handlers := steps(newBench(), &ran)
	for _, c := range []struct {
		content any // nil: no header
		good    bool
	}{
		{"application/json", true}, {"APPLICATION/JSON", true}, {"application/json; charset=utf-8", true},
		{`application/json;charset="UTF-8"`, true}, {" application/json ", true},
		{nil, false}, {"", false}, {"text/plain", false}, {"application/jsonx", false}, {"application/json; charset=latin1", false},
		{"application/problem+json", false}, {"application/json, application/json", false}, {"application/x-www-form-urlencoded", false},
		{"multipart/form-data; boundary=x", false}, {"/", false}, {5, false},
	} {
		ev := post(reservePath, `{"productId":1}`, header("content-type", c.content))
		if c.content == nil {
			delete(ev["headers"].(object), "content-type")
		}
		a := handlers[reservePath](ev)
		if c.good {
			want(t, a, 201, "")
		} else {
			want(t, a, 415, "UNSUPPORTED_MEDIA_TYPE")
		}
	}
	drop := func(ev object) { delete(ev, "headers") }
	want(t, handlers[completePath](post(completePath, "", drop)), 200, "")
	want(t, handlers[completePath](post(completePath, "", member("body", nil), drop)), 200, "")
	want(t, handlers[completePath](post(completePath, "{}", drop)), 415, "UNSUPPORTED_MEDIA_TYPE")
	want(t, handlers[completePath](post(completePath, "", header("Content-Encoding", "gzip"))), 415, "UNSUPPORTED_MEDIA_TYPE")
	want(t, handlers[completePath](post(completePath, "{}", header("content-encoding", "Identity"))), 200, "")
	upper := post(completePath, "{}", drop, member("headers", object{"Content-Type": "application/json"}))
	want(t, handlers[completePath](upper), 200, "")
}

func TestPrecedence(t *testing.T) {
	b := newBench()
	b.recaller.answers = []func() (*booking.Recalled, error){
		func() (*booking.Recalled, error) { return nil, booking.ErrIdempotencyKeyReused },
	}
	ran := 0
	reserve := steps(b, &ran)[completePath]
	// Each change mends the first fault of those before it.
	ev := post(completePath, strings.Repeat("x", maxBody+1), claims(nil), header("content-type", "text/plain"),
		header("idempotency-key", "a,b"), member("pathParameters", object{"bookingId": "x"}))
	for _, next := range []struct {
		status int
		code   string
		mend   func(object)
	}{
		{401, "UNAUTHENTICATED", claims(object{"sub": "7"})},
		{413, "PAYLOAD_TOO_LARGE", member("body", "x")},
		{415, "UNSUPPORTED_MEDIA_TYPE", header("content-type", "application/json")},
		{400, "INVALID_JSON", member("body", "{}")},
		{400, "INVALID_IDEMPOTENCY_KEY", header("idempotency-key", "a")},
		{404, "BOOKING_NOT_FOUND", member("pathParameters", object{"bookingId": "12"})},
		{422, "IDEMPOTENCY_KEY_REUSED", nil},
	} {
		want(t, reserve(ev), next.status, next.code)
		if next.mend != nil {
			next.mend(ev)
		}
	}
	if ran != 0 {
		t.Error("the step ran")
	}
}
