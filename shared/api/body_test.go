package api

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"stayhold/shared/booking"
)

// steps counts how often a step ran, whichever it was.
func steps(b bench, ran *int) map[string]func(object) response {
	count := func() (booking.Result, error) { *ran++; return booking.Result{Booking: sample()}, nil }
	handlers := map[string]interface {
		Invoke(context.Context, []byte) ([]byte, error)
	}{
		reservePath: b.Reserve(func(context.Context, booking.ReserveCommand) (booking.Result, error) { return count() }),
		registerPath: b.Register(func(context.Context, booking.Registration) (booking.Result, error) {
			return count()
		}),
		approvePath:  b.Approve(func(context.Context, booking.ApproveCommand) (booking.Result, error) { return count() }),
		completePath: b.Complete(func(context.Context, booking.CompleteCommand) (booking.Result, error) { return count() }),
		cancelPath:   b.Cancel(func(context.Context, booking.Cancellation) (booking.Result, error) { return count() }),
	}
	out := map[string]func(object) response{}
	for path, h := range handlers {
		out[path] = func(ev object) response { return invoke(&testing.T{}, h, ev) }
	}
	return out
}

func nest(depth int) string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) }

func nested(depth int) string { return `{"productId":` + nest(depth) + "}" }

func pay(method, amount string) string {
	return `{"payments":[{"method":` + method + `,"amount":` + amount + `}]}`
}

func TestBodies(t *testing.T) {
	const ok = ""
	sixteen := strings.Repeat("7", 16)
	cases := []struct{ path, body, code string }{
		{reservePath, `{"productId":1}`, ok},
		{reservePath, " \t\r\n{ \"productId\" : 1 }\n", ok},
		{reservePath, `{"productId":9223372036854775807}`, ok},
		{reservePath, `{"\u0070roductId":1}`, ok},
		{reservePath, ``, "INVALID_REQUEST"},
		{reservePath, ` `, "INVALID_JSON"},
		{reservePath, `{}`, "INVALID_REQUEST"},
		{reservePath, `{"productId":9223372036854775808}`, "INVALID_REQUEST"},
		{reservePath, `{"productId":0}`, "INVALID_REQUEST"},
		{reservePath, `{"productId":-0}`, "INVALID_REQUEST"},
		{reservePath, `{"productId":-1}`, "INVALID_REQUEST"},
		{reservePath, `{"productId":1.0}`, "INVALID_REQUEST"},
		{reservePath, `{"productId":1e0}`, "INVALID_REQUEST"},
		{reservePath, `{"productId":1E2}`, "INVALID_REQUEST"},
		{reservePath, `{"productId":` + strings.Repeat("9", 5000) + `}`, "INVALID_REQUEST"},
		{reservePath, `{"productId":"1"}`, "INVALID_REQUEST"},
		{reservePath, `{"productId":null}`, "INVALID_REQUEST"},
		{reservePath, `{"productId":true}`, "INVALID_REQUEST"},
		{reservePath, `{"productId":[1]}`, "INVALID_REQUEST"},
		{reservePath, `{"productId":{}}`, "INVALID_REQUEST"},
		{reservePath, `null`, "INVALID_REQUEST"},
		{reservePath, `[]`, "INVALID_REQUEST"},
		{reservePath, `"x"`, "INVALID_REQUEST"},
		{reservePath, `1`, "INVALID_REQUEST"},
		{reservePath, `true`, "INVALID_REQUEST"},
		{reservePath, `{`, "INVALID_JSON"},
		{reservePath, `{"productId":1`, "INVALID_JSON"},
		{reservePath, `{"productId":01}`, "INVALID_JSON"},
		{reservePath, `{"productId":+1}`, "INVALID_JSON"},
		{reservePath, `{"productId":1.}`, "INVALID_JSON"},
		{reservePath, `{"productId":NaN}`, "INVALID_JSON"},
		{reservePath, `{'productId':1}`, "INVALID_JSON"},
		{reservePath, `{productId:1}`, "INVALID_JSON"},
		{reservePath, `{"productId":1,}`, "INVALID_JSON"},
		{reservePath, `{"productId":1}}`, "INVALID_JSON"},
		{reservePath, `{"productId":1}]`, "INVALID_JSON"},
		{reservePath, `{"productId":1} {}`, "INVALID_JSON"},
		{reservePath, `{"productId":1}x`, "INVALID_JSON"},
		{reservePath, `{"productId":1}//`, "INVALID_JSON"},
		{reservePath, `{"productId" 1}`, "INVALID_JSON"},
		{reservePath, `{"productId":1 "x":2}`, "INVALID_JSON"},
		{reservePath, "\ufeff{\"productId\":1}", "INVALID_JSON"},
		{reservePath, "{\"productId\":1}\x00", "INVALID_JSON"},
		{reservePath, "{\"product\x01Id\":1}", "INVALID_JSON"},
		{reservePath, `{"\ud800":1}`, "INVALID_JSON"},
		{reservePath, `{"\ufffd":1}`, "INVALID_JSON"},
		{reservePath, `{"x":[` + strings.Repeat("0,", 12) + `"\ud800"]}`, "INVALID_JSON"},
		{reservePath, `{"productId":1,"productId":1}`, "DUPLICATE_FIELD"},
		{reservePath, `{"productId":1,"\u0070roductId":1}`, "DUPLICATE_FIELD"},
		{reservePath, `{"x":{"y":1,"y":2}}`, "DUPLICATE_FIELD"},
		{reservePath, `{"productId":1,"":2,"":3}`, "DUPLICATE_FIELD"},
		{reservePath, `{"ProductId":1}`, "UNKNOWN_FIELD"},
		{reservePath, `{"productid":1}`, "UNKNOWN_FIELD"},
		{reservePath, `{"productId":1,"userId":8}`, "UNKNOWN_FIELD"},
		{reservePath, `{"productId":1,"":8}`, "UNKNOWN_FIELD"},
		{reservePath, `{"productId":1,"\u0000":8}`, "UNKNOWN_FIELD"},
		{reservePath, `{"productId":1,"a/b~c":8}`, "UNKNOWN_FIELD"},
		{reservePath, `{"productId":"x","userId":8}`, "UNKNOWN_FIELD"},
		{reservePath, nested(7), "INVALID_REQUEST"},
		{reservePath, nested(8), "INVALID_REQUEST"},
		{reservePath, nested(7000), "INVALID_REQUEST"},

		{registerPath, `{"payments":[{"method":"POINT","amount":"3000"},{"method":"CARD","amount":"97000.00"}]}`, ok},
		{registerPath, pay(`"CARD"`, `3000`), ok},
		{registerPath, pay(`"CARD"`, `0.01`), ok},
		{registerPath, pay(`"CARD"`, `"0.1"`), ok},
		{registerPath, pay(`"CARD"`, `9999999999999.99`), ok},
		{registerPath, pay(`"C\u0041RD"`, `1`), ok},
		{registerPath, ``, "INVALID_REQUEST"},
		{registerPath, `{"payments":[]}`, "INVALID_REQUEST"},
		{registerPath, `{"payments":null}`, "INVALID_REQUEST"},
		{registerPath, `{"payments":{}}`, "INVALID_REQUEST"},
		{registerPath, `{"payments":[1]}`, "INVALID_REQUEST"},
		{registerPath, `{"payments":[null]}`, "INVALID_REQUEST"},
		{registerPath, `{"payments":[[]]}`, "INVALID_REQUEST"},
		{registerPath, `{"payments":[{}]}`, "INVALID_REQUEST"},
		{registerPath, `{"payments":[{"method":"CARD"}]}`, "INVALID_REQUEST"},
		{registerPath, `{"payments":[{"amount":1}]}`, "INVALID_REQUEST"},
		{registerPath, `{"payments":[{"method":"CARD","amount":1,"x":1}]}`, "UNKNOWN_FIELD"},
		{registerPath, `{"payments":[{"method":"CARD","Amount":1}]}`, "UNKNOWN_FIELD"},
		{registerPath, `{"payments":[{"method":"CARD","amount":1,"amount":1}]}`, "DUPLICATE_FIELD"},
		{registerPath, `{"payments":[` + strings.Repeat(`{"method":"CARD","amount":1},`, 8) + `{"method":"CARD","amount":1}]}`, "INVALID_REQUEST"},
		{registerPath, `{"payments":[{"method":"CARD","amount":1},{"method":"CARD","amount":1}]}`, "DUPLICATE_METHOD"},
		{registerPath, `{"payments":[{"method":"CARD","amount":0},{"method":"CARD","amount":1}]}`, "INVALID_AMOUNT"},
		{registerPath, `{"payments":[{"method":"CARD","amount":0},{"method":"X","amount":1}]}`, "INVALID_AMOUNT"},
		{registerPath, pay(`"card"`, `1`), "INVALID_METHOD"},
		{registerPath, pay(`"PG"`, `1`), "INVALID_METHOD"},
		{registerPath, pay(`""`, `1`), "INVALID_METHOD"},
		{registerPath, pay(`"CARD\u0000"`, `1`), "INVALID_METHOD"},
		{registerPath, pay(`1`, `1`), "INVALID_REQUEST"},
		{registerPath, pay(`null`, `1`), "INVALID_REQUEST"},
		{registerPath, pay(`"CARD"`, `null`), "INVALID_REQUEST"},
		{registerPath, pay(`"CARD"`, `true`), "INVALID_REQUEST"},
		{registerPath, pay(`"CARD"`, `[]`), "INVALID_REQUEST"},

		{approvePath, ``, ok},
		{approvePath, `{}`, ok},
		{approvePath, `{"paymentKey":"ok-1_=Z"}`, ok},
		{approvePath, `{"paymentKey":"` + strings.Repeat("k", 200) + `"}`, ok},
		{approvePath, `{"paymentKey":"` + strings.Repeat("k", 201) + `"}`, "INVALID_REQUEST"},
		{approvePath, `{"paymentKey":""}`, "INVALID_REQUEST"},
		{approvePath, `{"paymentKey":null}`, "INVALID_REQUEST"},
		{approvePath, `{"paymentKey":1}`, "INVALID_REQUEST"},
		{approvePath, `{"paymentKey":"a/b"}`, "INVALID_REQUEST"},
		{approvePath, `{"paymentKey":"a b"}`, "INVALID_REQUEST"},
		{approvePath, `{"paymentKey":"ä"}`, "INVALID_REQUEST"},
		{approvePath, `{"paymentKey":"a\u0000"}`, "INVALID_REQUEST"},
		{approvePath, `{"orderId":"x"}`, "UNKNOWN_FIELD"},

		{completePath, ``, ok},
		{completePath, `{}`, ok},
		{completePath, ` { } `, ok},
		{completePath, `[]`, "INVALID_REQUEST"},
		{completePath, `null`, "INVALID_REQUEST"},
		{completePath, `{"bookingId":12}`, "UNKNOWN_FIELD"},
		{cancelPath, ``, ok},
		{cancelPath, `{"reason":"x"}`, "UNKNOWN_FIELD"},
		{cancelPath, `{}{}`, "INVALID_JSON"},
	}
	for _, raw := range []string{
		`0`, `"0"`, `0.00`, `"0.00"`, `-1`, `"-1"`, `"+1"`, `"01"`, `".5"`, `"5."`, `1.234`, `"1.234"`, `1e3`, `"1e3"`, `1E309`,
		`"1e309"`, `""`, `" 1"`, `"1 "`, `"1,000"`, `"NaN"`, `"Infinity"`, `"0x10"`, `"−5"`, `"١"`, `"1_0"`, `"1\n"`, `"\u0031"`,
		`"1\u0000"`, `10000000000000`, `"` + strings.Repeat("9", 14) + `"`, `"` + strings.Repeat("9", 15000) + `"`, sixteen, `1.0e0`, `"1.2.3"`, `"."`,
	} {
		cases = append(cases, struct{ path, body, code string }{registerPath, pay(`"CARD"`, raw), "INVALID_AMOUNT"})
	}
	ran := 0
	handlers := steps(newBench(), &ran)
	for _, c := range cases {
		name := c.body
		if len(name) > 60 {
			name = fmt.Sprintf("%s… (%d)", name[:60], len(name))
		}
		t.Run(strings.TrimPrefix(c.path, "/bookings/")+" "+name, func(t *testing.T) {
			before := ran
			a := handlers[c.path](post(c.path, c.body))
			if c.code == ok {
				if a.Status >= 300 || ran != before+1 {
					t.Errorf("got %d %s", a.Status, a.Body)
				}
				return
			}
			want(t, a, 400, c.code)
			if ran != before {
				t.Error("the step ran")
			}
		})
	}
}

func TestEveryFaultOfABodyIsNamed(t *testing.T) {
	ran := 0
	a := steps(newBench(), &ran)[registerPath](post(registerPath, `{"payments":[{"method":7},{"amount":null,"method":"CARD"},3]}`))
	golden(t, "invalid-request", a)
}

// What is told of a body is told once, where it is, and not without end.
func TestFaultsAreToldInMeasure(t *testing.T) {
	var many []string
	for i := range 1500 {
		many = append(many, fmt.Sprintf(`"%d":0`, i))
	}
	ran := 0
	for _, c := range []struct {
		path, body string
		first      string
		told       int
	}{
		{reservePath, `null`, "", 1},
		{registerPath, `[]`, "", 1},
		{registerPath, `{"payments":[{"method":"CARD","amount":1},null]}`, "/payments/1", 1},
		{registerPath, `{"payments":[[[{"a":1,"a":2}]]]}`, "/payments/0/0/0/a", 1},
		{registerPath, `{"payments":[{"m/~":1}]}`, "/payments/0/m~1~0", 1},
		{reservePath, "{" + strings.Join(many, ",") + "}", "/0", maxViolations},
		{reservePath, `{"x":[` + strings.Repeat("0,", 12) + `{"y":1,"y":1}]}`, "/x/12/y", 1},
		{reservePath, `{"x":[` + strings.Repeat("[[]],", 12) + nest(7) + `]}`, "/x/12/0/0/0/0/0/0", 1},
	} {
		a := steps(newBench(), &ran)[c.path](post(c.path, c.body))
		list, _ := a.told(t)["errors"].([]any)
		if len(list) != c.told || list[0].(object)["pointer"] != c.first {
			t.Errorf("%.60s: %.300s", c.body, a.Body)
		}
	}
}

func TestBase64(t *testing.T) {
	ran := 0
	reserve := steps(newBench(), &ran)[reservePath]
	encoded := func(body string) func(object) {
		return func(ev object) {
			ev["body"], ev["isBase64Encoded"] = base64.StdEncoding.EncodeToString([]byte(body)), true
		}
	}
	want(t, reserve(post(reservePath, "", encoded(`{"productId":1}`))), 201, "")
	want(t, reserve(post(reservePath, "", encoded("{\"productId\xff\":1}"))), 400, "INVALID_JSON")
	want(t, reserve(post(reservePath, "!!!", member("isBase64Encoded", true))), 400, "INVALID_JSON")
	want(t, reserve(post(reservePath, "", encoded(strings.Repeat(" ", maxBody+1)))), 413, "PAYLOAD_TOO_LARGE")
	want(t, reserve(post(reservePath, "", encoded(strings.Repeat(" ", maxBody-15)+`{"productId":1}`))), 201, "")
}
