package paymentgateway

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/shopspring/decimal"

	"stayhold/shared/booking"
)

const (
	testSecret = "test_sk_D5GePWvyJnrK0W0k6q8g"
	testOrder  = "order-000001"
	testKey    = "tgen_20261122abc"
)

func charge() booking.Charge {
	return booking.Charge{
		Method: booking.Card, OrderID: testOrder, PaymentKey: testKey, Key: "idem-1",
		Amount: decimal.RequireFromString("97000.00"),
	}
}

// serve returns a Client of a gateway that answers everything with one status and body.
func serve(t *testing.T, status int, body string) *Client {
	t.Helper()
	return client(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
}

func client(t *testing.T, h http.HandlerFunc) *Client {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	c := New(Options{CardURL: server.URL, CardSecret: testSecret})
	t.Cleanup(c.http.CloseIdleConnections)
	return c
}

// object is a Payment object with members replaced ("" removes one).
func object(replace ...string) string {
	m := map[string]string{
		"status": `"DONE"`, "orderId": `"` + testOrder + `"`, "paymentKey": `"` + testKey + `"`,
		"totalAmount": "97000", "currency": `"KRW"`, "lastTransactionKey": `"TX1"`, "card": `{"amount":1}`,
	}
	for i := 0; i < len(replace); i += 2 {
		m[replace[i]] = replace[i+1]
	}
	var parts []string
	for k, v := range m {
		if v != "" {
			parts = append(parts, fmt.Sprintf("%q:%s", k, v))
		}
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func errorBody(code string) string {
	return `{"code":"` + code + `","message":"live_sk text of the gateway"}`
}

type verdictCase struct {
	name    string
	status  int
	body    string
	want    booking.Verdict
	decline string
}

func run(t *testing.T, cases []verdictCase, call func(*Client) booking.Answer) {
	t.Helper()
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			a := call(serve(t, tc.status, tc.body))
			if a.Verdict != tc.want || a.DeclineCode != tc.decline {
				t.Fatalf("got %s %q (%v), want %s %q", a.Verdict, a.DeclineCode, a.Cause, tc.want, tc.decline)
			}
			if a.Verdict == booking.VerdictUnknown && a.Cause == nil {
				t.Fatal("UNKNOWN without a cause for the log")
			}
			if a.Cause != nil && (strings.Contains(a.Cause.Error(), "text of the gateway") || strings.Contains(a.Cause.Error(), testSecret)) {
				t.Fatalf("cause says too much: %v", a.Cause)
			}
		})
	}
}

const unknownVerdict = booking.VerdictUnknown

var confirmCases = []verdictCase{
	{"done", 200, object(), booking.VerdictApproved, ""},
	{"done with decimals", 200, object("totalAmount", "97000.00"), booking.VerdictApproved, ""},
	{"done without reference and currency", 200, object("lastTransactionKey", "null", "currency", ""), booking.VerdictApproved, ""},
	{"done as exponent", 200, object("totalAmount", "9.7E4"), booking.VerdictApproved, ""},
	{"another amount", 200, object("totalAmount", "96999"), unknownVerdict, ""},
	{"a fraction less", 200, object("totalAmount", "96999.99"), unknownVerdict, ""},
	{"negative amount", 200, object("totalAmount", "-97000"), unknownVerdict, ""},
	{"another order", 200, object("orderId", `"order-000002"`), unknownVerdict, ""},
	{"another key", 200, object("paymentKey", `"tgen_other"`), unknownVerdict, ""},
	{"another currency", 200, object("currency", `"VND"`), unknownVerdict, ""},
	{"no amount", 200, object("totalAmount", ""), unknownVerdict, ""},
	{"amount as text", 200, object("totalAmount", `"97000"`), unknownVerdict, ""},
	{"amount null", 200, object("totalAmount", "null"), unknownVerdict, ""},
	{"amount beyond all exponents", 200, object("totalAmount", "1e999999999"), unknownVerdict, ""},
	{"no order", 200, object("orderId", ""), unknownVerdict, ""},
	{"order as number", 200, object("orderId", "1"), unknownVerdict, ""},
	{"no key", 200, object("paymentKey", "null"), unknownVerdict, ""},
	{"another status", 200, object("status", `"IN_PROGRESS"`), unknownVerdict, ""},
	{"waiting for deposit", 200, object("status", `"WAITING_FOR_DEPOSIT"`), unknownVerdict, ""},
	{"aborted", 200, object("status", `"ABORTED"`), unknownVerdict, ""},
	{"status in lower case", 200, object("status", `"done"`), unknownVerdict, ""},
	{"wrong-case name", 200, object("status", "", "Status", `"DONE"`), unknownVerdict, ""},
	{"name twice", 200, strings.TrimSuffix(object(), "}") + `,"status":"DONE"}`, unknownVerdict, ""},
	{"trailing text", 200, object() + "]", unknownVerdict, ""},
	{"two objects", 200, object() + object(), unknownVerdict, ""},
	{"cut off", 200, object()[:40], unknownVerdict, ""},
	{"an array", 200, "[" + object() + "]", unknownVerdict, ""},
	{"empty", 200, "", unknownVerdict, ""},
	{"empty object", 200, "{}", unknownVerdict, ""},
	{"null", 200, "null", unknownVerdict, ""},
	{"html", 200, "<html>DONE</html>", unknownVerdict, ""},
	{"bad utf-8", 200, strings.Replace(object(), "TX1", "TX\xff", 1), unknownVerdict, ""},
	{"other 2xx", 201, object(), unknownVerdict, ""},
	{"no content", 204, "", unknownVerdict, ""},
	{"redirect", 302, "", unknownVerdict, ""},

	{"401", 401, errorBody("UNAUTHORIZED_KEY"), booking.VerdictRefused, ""},
	{"401 bare", 401, "", booking.VerdictRefused, ""},
	{"403 bare", 403, "<html>", booking.VerdictRefused, ""},
	{"403 unlisted", 403, errorBody("FORBIDDEN_REQUEST"), booking.VerdictRefused, ""},
	{"403 later", 403, errorBody("FORBIDDEN_CONSECUTIVE_REQUEST"), unknownVerdict, ""},
	{"400 bad key", 400, errorBody("INVALID_API_KEY"), booking.VerdictRefused, ""},
	{"403 no colon", 403, errorBody("INCORRECT_BASIC_AUTH_FORMAT"), booking.VerdictRefused, ""},

	{"not-found payment is not final", 404, errorBody("NOT_FOUND_PAYMENT"), unknownVerdict, ""},
	{"processed", 400, errorBody("ALREADY_PROCESSED_PAYMENT"), unknownVerdict, ""},
	{"provider", 400, errorBody("PROVIDER_ERROR"), unknownVerdict, ""},
	{"processing", 409, errorBody("IDEMPOTENT_REQUEST_PROCESSING"), unknownVerdict, ""},
	{"409 with a decline", 409, errorBody("REJECT_CARD_PAYMENT"), unknownVerdict, ""},
	{"408 with a decline", 408, errorBody("REJECT_CARD_PAYMENT"), unknownVerdict, ""},
	{"429", 429, errorBody("REJECT_CARD_PAYMENT"), unknownVerdict, ""},
	{"500 with a decline", 500, errorBody("REJECT_CARD_PAYMENT"), unknownVerdict, ""},
	{"500 with a bad key", 500, errorBody("INVALID_API_KEY"), unknownVerdict, ""},
	{"502", 502, "<html>", unknownVerdict, ""},
	{"unlisted", 400, errorBody("BRAND_NEW_CODE"), unknownVerdict, ""},
	{"code in lower case", 400, errorBody("reject_card_payment"), unknownVerdict, ""},
	{"code with a space", 400, errorBody("REJECT_ CARD"), unknownVerdict, ""},
	{"code too long", 400, errorBody("REJECT_" + strings.Repeat("A", 60)), unknownVerdict, ""},
	{"code as number", 400, `{"code":1}`, unknownVerdict, ""},
	{"404 html", 404, "<html>", unknownVerdict, ""},
	{"family", 400, errorBody("INVALID_FOREIGN_CARD"), booking.VerdictDeclined, "INVALID_FOREIGN_CARD"},
}

func TestConfirmVerdicts(t *testing.T) {
	t.Parallel()
	cases := slices.Clone(confirmCases)
	for word := range declined {
		for _, status := range []int{400, 403, 404} {
			cases = append(cases, verdictCase{fmt.Sprint(word, status), status, errorBody(word), booking.VerdictDeclined, word})
		}
	}
	run(t, cases, func(c *Client) booking.Answer { return c.Confirm(t.Context(), charge()) })
}

func TestLookupVerdicts(t *testing.T) {
	t.Parallel()
	const mismatched = booking.VerdictMismatched
	run(t, []verdictCase{
		{"done", 200, object(), booking.VerdictApproved, ""},
		{"done, amount", 200, object("totalAmount", "1"), mismatched, ""},
		{"done, order", 200, object("orderId", `"order-000002"`), mismatched, ""},
		{"done, key", 200, object("paymentKey", `"tgen_other"`), mismatched, ""},
		{"done, currency", 200, object("currency", `"JPY"`), mismatched, ""},
		{"done, no amount", 200, object("totalAmount", ""), unknownVerdict, ""},
		{"done, no key", 200, object("paymentKey", ""), unknownVerdict, ""},
		{"partly cancelled", 200, object("status", `"PARTIAL_CANCELED"`), mismatched, ""},
		{"deposit, same", 200, object("status", `"WAITING_FOR_DEPOSIT"`), unknownVerdict, ""},
		{"deposit, amount", 200, object("status", `"WAITING_FOR_DEPOSIT"`, "totalAmount", "5"), mismatched, ""},
		{"cancelled", 200, object("status", `"CANCELED"`), booking.VerdictReturned, ""},
		{"cancelled, another key", 200, object("status", `"CANCELED"`, "paymentKey", `"other"`), unknownVerdict, ""},
		{"aborted", 200, object("status", `"ABORTED"`), booking.VerdictDeclined, "ABORTED"},
		{"aborted, another key", 200, object("status", `"ABORTED"`, "paymentKey", `"other"`), unknownVerdict, ""},
		{"expired", 200, object("status", `"EXPIRED"`), booking.VerdictDeclined, "EXPIRED"},
		{"expired, another order", 200, object("status", `"EXPIRED"`, "orderId", `"other-1"`), unknownVerdict, ""},
		{"ready", 200, object("status", `"READY"`), booking.VerdictInProgress, ""},
		{"in progress", 200, object("status", `"IN_PROGRESS"`), booking.VerdictInProgress, ""},
		{"in progress, another order", 200, object("status", `"IN_PROGRESS"`, "orderId", `"other-1"`), unknownVerdict, ""},
		{"unlisted status", 200, object("status", `"SETTLED"`), unknownVerdict, ""},
		{"no status", 200, object("status", ""), unknownVerdict, ""},
		{"empty", 200, "", unknownVerdict, ""},
		{"not found", 404, errorBody("NOT_FOUND_PAYMENT"), booking.VerdictNotFound, ""},
		{"not found, short", 404, errorBody("NOT_FOUND"), booking.VerdictNotFound, ""},
		{"not found, html", 404, "<html>not found</html>", unknownVerdict, ""},
		{"not found, bare", 404, "", unknownVerdict, ""},
		{"not found, another code", 404, errorBody("NOT_FOUND_METHOD"), unknownVerdict, ""},
		{"code without 404", 400, errorBody("NOT_FOUND_PAYMENT"), unknownVerdict, ""},
		{"401", 401, errorBody("UNAUTHORIZED_KEY"), unknownVerdict, ""},
		{"403", 403, errorBody("REJECT_CARD_PAYMENT"), unknownVerdict, ""},
		{"429", 429, "", unknownVerdict, ""},
		{"500", 500, errorBody("NOT_FOUND_PAYMENT"), unknownVerdict, ""},
		{"redirect", 307, "", unknownVerdict, ""},
	}, func(c *Client) booking.Answer { return c.Lookup(t.Context(), charge()) })
}

func TestCancelVerdicts(t *testing.T) {
	t.Parallel()
	run(t, []verdictCase{
		{"cancelled", 200, object("status", `"CANCELED"`), booking.VerdictReturned, ""},
		{"still done", 200, object(), unknownVerdict, ""},
		{"partly", 200, object("status", `"PARTIAL_CANCELED"`), unknownVerdict, ""},
		{"another order", 200, object("status", `"CANCELED"`, "orderId", `"other-1"`), unknownVerdict, ""},
		{"empty", 200, "", unknownVerdict, ""},
		{"already", 400, errorBody("ALREADY_CANCELED_PAYMENT"), booking.VerdictReturned, ""},
		{"already, but 500", 500, errorBody("ALREADY_CANCELED_PAYMENT"), unknownVerdict, ""},
		{"401", 401, errorBody("UNAUTHORIZED_KEY"), booking.VerdictRefused, ""},
		{"403", 403, errorBody("NOT_CANCELABLE_PAYMENT"), booking.VerdictRefused, ""},
		{"403 later", 403, errorBody("NOT_AVAILABLE_BANK"), unknownVerdict, ""},
		{"not found", 404, errorBody("NOT_FOUND_PAYMENT"), unknownVerdict, ""},
		{"a decline's code", 400, errorBody("EXCEED_MAX_REFUND_DUE"), unknownVerdict, ""},
		{"processing", 409, errorBody("IDEMPOTENT_REQUEST_PROCESSING"), unknownVerdict, ""},
		{"500", 500, "", unknownVerdict, ""},
	}, func(c *Client) booking.Answer { return c.Cancel(t.Context(), charge(), "SOLD_OUT") })
}

func TestApprovedCarriesAmountAndReference(t *testing.T) {
	t.Parallel()
	a := serve(t, 200, object()).Confirm(t.Context(), charge())
	if a.Reference != "TX1" || !a.Amount.Equal(decimal.NewFromInt(97000)) {
		t.Fatalf("got %+v", a)
	}
	a = serve(t, 200, object("totalAmount", "96999.5", "lastTransactionKey", `"<b>TX</b>"`)).Lookup(t.Context(), charge())
	if a.Reference != "" || a.Amount.String() != "96999.5" {
		t.Fatalf("got %+v", a)
	}
}

// TestWhatIsSent holds the bytes of each request against the dialect.
func TestWhatIsSent(t *testing.T) {
	t.Parallel()
	type seen struct{ verb, path, key, body, user, password string }
	var got seen
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		user, password, _ := r.BasicAuth()
		got = seen{r.Method, r.RequestURI, r.Header.Get("Idempotency-Key"), string(body), user, password}
		w.WriteHeader(500)
	})
	for amount, sent := range map[string]string{
		"97000.00": "97000", "0.10": "0.1", "1e3": "1000", "9999999999999.99": "9999999999999.99", "100000": "100000",
	} {
		ch := charge()
		ch.Amount = decimal.RequireFromString(amount)
		c.Confirm(t.Context(), ch)
		want := seen{"POST", "/v1/payments/confirm", "idem-1",
			`{"paymentKey":"` + testKey + `","orderId":"` + testOrder + `","amount":` + sent + `}`, testSecret, ""}
		if got != want {
			t.Errorf("%s: sent %+v, want %+v", amount, got, want)
		}
	}
	odd := charge()
	odd.OrderID, odd.PaymentKey = "a/b?c", "k/../x"
	c.Lookup(t.Context(), odd)
	if want := (seen{"GET", "/v1/payments/orders/a%2Fb%3Fc", "", "", testSecret, ""}); got != want {
		t.Errorf("look-up: sent %+v, want %+v", got, want)
	}
	c.Cancel(t.Context(), odd, strings.Repeat("가", 300)+`"`)
	reason, err := json.Marshal(map[string]string{"cancelReason": strings.Repeat("가", 200)})
	if err != nil {
		t.Fatal(err)
	}
	if want := (seen{"POST", "/v1/payments/k%2F..%2Fx/cancel", "idem-1", string(reason), testSecret, ""}); got != want {
		t.Errorf("cancel: sent %+v, want %+v", got, want)
	}
}

func TestMethodChoosesTheGateway(t *testing.T) {
	t.Parallel()
	answering := func(key string) *httptest.Server {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if user, _, _ := r.BasicAuth(); user != key {
				w.WriteHeader(401)
				return
			}
			_, _ = io.WriteString(w, object("lastTransactionKey", `"`+key+`"`))
		}))
		t.Cleanup(server.Close)
		return server
	}
	card, ypay := answering("card-secret"), answering("ypay-secret")
	both := Options{CardURL: card.URL, CardSecret: "card-secret", YPayURL: ypay.URL + "/", YPaySecret: "ypay-secret"}
	one := Options{CardURL: card.URL, CardSecret: "card-secret"}
	for _, tc := range []struct {
		options Options
		method  booking.Method
		want    booking.Verdict
		by      string
	}{
		{both, booking.Card, booking.VerdictApproved, "card-secret"},
		{both, booking.YPay, booking.VerdictApproved, "ypay-secret"},
		{one, booking.YPay, booking.VerdictApproved, "card-secret"},
		{both, booking.Point, booking.VerdictRefused, ""},
		{Options{CardURL: card.URL}, booking.Card, booking.VerdictRefused, ""},
		{Options{CardSecret: "card-secret"}, booking.Card, booking.VerdictRefused, ""},
		{Options{CardURL: "http://[::1", CardSecret: "card-secret"}, booking.Card, booking.VerdictRefused, ""},
	} {
		c := New(tc.options)
		ch := charge()
		ch.Method = tc.method
		if a := c.Confirm(context.Background(), ch); a.Verdict != tc.want || a.Reference != tc.by {
			t.Errorf("%s: got %s by %q (%v)", tc.method, a.Verdict, a.Reference, a.Cause)
		}
		if strings.Contains(fmt.Sprintf("%v %+v %#v", c, c, c), "-secret") {
			t.Error("printing the client shows its secret")
		}
		c.http.CloseIdleConnections()
	}
}

func TestIncompleteChargesAreNotSent(t *testing.T) {
	t.Parallel()
	c := client(t, func(http.ResponseWriter, *http.Request) { t.Error("something was sent") })
	for name, spoil := range map[string]func(*booking.Charge){
		"key":         func(ch *booking.Charge) { ch.Key = "" },
		"payment key": func(ch *booking.Charge) { ch.PaymentKey = "" },
		"order":       func(ch *booking.Charge) { ch.OrderID = "" },
		"amount":      func(ch *booking.Charge) { ch.Amount = decimal.Zero },
	} {
		ch := charge()
		spoil(&ch)
		if a := c.Confirm(t.Context(), ch); a.Verdict != booking.VerdictRefused {
			t.Errorf("confirm without %s: %s", name, a.Verdict)
		}
	}
	if a := c.Lookup(t.Context(), booking.Charge{Method: booking.Card}); a.Verdict != booking.VerdictUnknown {
		t.Errorf("look-up without an order: %s", a.Verdict)
	}
	if a := c.Cancel(t.Context(), booking.Charge{Method: booking.Card}, "x"); a.Verdict != booking.VerdictRefused {
		t.Errorf("cancel without a key: %s", a.Verdict)
	}
}
