package stacktest

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
)

// everyCode is the contract's table. COMMIT_RESULT_UNKNOWN is shown by TestACommitWhoseReplyIsLost, DEPENDENCY_UNAVAILABLE
// and INTERNAL on stacks whose parts are made to fail.
var everyCode = []string{
	"INVALID_JSON", "INVALID_REQUEST", "UNKNOWN_FIELD", "DUPLICATE_FIELD", "INVALID_AMOUNT", "INVALID_METHOD", "DUPLICATE_METHOD",
	"INVALID_IDEMPOTENCY_KEY", "UNAUTHENTICATED", "INVALID_SUBJECT", "PAYMENT_DECLINED", "PRODUCT_NOT_FOUND", "BOOKING_NOT_FOUND",
	"SOLD_OUT", "DUPLICATE_RESERVATION", "ALREADY_PURCHASED", "SALE_NOT_OPEN", "SALE_CLOSED", "INVALID_STATE", "PAYMENT_INCOMPLETE",
	"PAYMENT_IN_PROGRESS", "IDEMPOTENCY_IN_PROGRESS", "HOLD_EXPIRED", "PAYLOAD_TOO_LARGE", "UNSUPPORTED_MEDIA_TYPE", "HOLD_LIMIT",
	"AMOUNT_MISMATCH", "METHOD_COMBINATION", "INSUFFICIENT_POINTS", "IDEMPOTENCY_KEY_REUSED", "INTERNAL", "DEPENDENCY_UNAVAILABLE",
	"COMMIT_RESULT_UNKNOWN",
}

// seenCodes are those that a test of this binary got, in the contract's form.
var seenCodes sync.Map

// unseen are the codes of the table that no test got.
func unseen() []string {
	missing := map[string]bool{}
	for _, code := range everyCode {
		if _, ok := seenCodes.Load(code); !ok {
			missing[code] = true
		}
	}
	return slices.Sorted(maps.Keys(missing))
}

// Bodies and headers that no booking is needed for. The order of the cases does not matter; each is refused before
// anything is looked up.
func TestBadRequests(t *testing.T) {
	t.Parallel()
	s := mainStack.get(t)
	b := s.buyer(t)
	held := b.held(t, s.product(t, 1))
	registerPath := fmt.Sprintf("/bookings/%d/payments/register", held.BookingID)
	approvePath := fmt.Sprintf("/bookings/%d/payments/pg-approve", held.BookingID)
	completePath := fmt.Sprintf("/bookings/%d/complete", held.BookingID)
	for _, c := range []struct {
		name, path, body string
		status           int
		code             string
		more             []string
		headers          []string
	}{
		{"no json", "/bookings/reserve", `{"productId":`, 400, "INVALID_JSON", nil, nil},
		{"nothing where something is needed", "/bookings/reserve", ``, 400, "", nil, nil},
		{"two values", "/bookings/reserve", `{"productId":1}{"productId":1}`, 400, "INVALID_JSON", nil, nil},
		{"a trailing bracket", "/bookings/reserve", `{"productId":1}]`, 400, "INVALID_JSON", nil, nil},
		{"bad UTF-8", "/bookings/reserve", "{\"productId\":1,\"\xff\":2}", 400, "INVALID_JSON", nil, nil},
		{"an array", "/bookings/reserve", `[1]`, 400, "", nil, nil},
		{"a byte order mark", "/bookings/reserve", "\ufeff{\"productId\":1}", 400, "INVALID_JSON", nil, nil},
		{"an unknown member", "/bookings/reserve", `{"productId":1,"userId":7}`, 400, "UNKNOWN_FIELD", nil, nil},
		{"a name in the wrong case", "/bookings/reserve", `{"productID":1}`, 400, "UNKNOWN_FIELD", nil, nil},
		{"a name twice", "/bookings/reserve", `{"productId":1,"productId":1}`, 400, "DUPLICATE_FIELD", nil, nil},
		{"a string for an id", "/bookings/reserve", `{"productId":"1"}`, 400, "INVALID_REQUEST", []string{"errors"}, nil},
		{"a fraction for an id", "/bookings/reserve", `{"productId":1.5}`, 400, "INVALID_REQUEST", []string{"errors"}, nil},
		{"null for an id", "/bookings/reserve", `{"productId":null}`, 400, "INVALID_REQUEST", []string{"errors"}, nil},
		{"no id", "/bookings/reserve", `{}`, 400, "INVALID_REQUEST", []string{"errors"}, nil},
		{"an id of nothing", "/bookings/reserve", `{"productId":0}`, 400, "INVALID_REQUEST", []string{"errors"}, nil},
		{"an id past int64", "/bookings/reserve", `{"productId":9223372036854775808}`, 400, "INVALID_REQUEST", []string{"errors"}, nil},
		{"complete with a body", completePath, `{"force":true}`, 400, "UNKNOWN_FIELD", nil, nil},
		{"no payments", registerPath, `{"payments":[]}`, 400, "INVALID_REQUEST", []string{"errors"}, nil},
		{"an amount with three decimals", registerPath, `{"payments":[` + pay("CARD", "1.005") + `]}`, 400, "INVALID_AMOUNT", nil, nil},
		{"an amount of zero", registerPath, `{"payments":[` + pay("CARD", "0.00") + `]}`, 400, "INVALID_AMOUNT", nil, nil},
		{"an amount below zero", registerPath, `{"payments":[` + pay("CARD", "-1") + `]}`, 400, "INVALID_AMOUNT", nil, nil},
		{"an amount with an exponent", registerPath, `{"payments":[{"method":"CARD","amount":1e5}]}`, 400, "INVALID_AMOUNT", nil, nil},
		{"an amount of NaN", registerPath, `{"payments":[` + pay("CARD", "NaN") + `]}`, 400, "INVALID_AMOUNT", nil, nil},
		{"an amount with a leading zero", registerPath, `{"payments":[` + pay("CARD", "0100000") + `]}`, 400, "INVALID_AMOUNT", nil, nil},
		{"a foreign method", registerPath, `{"payments":[` + pay("CASH", "100000") + `]}`, 400, "INVALID_METHOD", nil, nil},
		{"a method twice", registerPath, `{"payments":[` + pay("CARD", "50000") + `,` + pay("CARD", "50000") + `]}`, 400, "DUPLICATE_METHOD", nil, nil},
		{"a paymentKey with a blank", approvePath, `{"paymentKey":"ok key"}`, 400, "INVALID_REQUEST", []string{"errors"}, nil},
		{"a paymentKey of 201", approvePath, `{"paymentKey":"` + strings.Repeat("k", 201) + `"}`, 400, "INVALID_REQUEST", []string{"errors"}, nil},
		{"a key with a comma", "/bookings/reserve", `{"productId":1}`, 400, "INVALID_IDEMPOTENCY_KEY", nil, []string{"Idempotency-Key", "a,b"}},
		{"a key of 256", "/bookings/reserve", `{"productId":1}`, 400, "INVALID_IDEMPOTENCY_KEY", nil, []string{"Idempotency-Key", strings.Repeat("k", 256)}},
		{"too much", "/bookings/reserve", `{"productId":1,"x":"` + strings.Repeat("x", 17<<10) + `"}`, 413, "PAYLOAD_TOO_LARGE", nil, nil},
		{"too much, and no json", "/bookings/reserve", strings.Repeat("[", 17<<10), 413, "PAYLOAD_TOO_LARGE", nil, nil},
		{"text", "/bookings/reserve", `{"productId":1}`, 415, "UNSUPPORTED_MEDIA_TYPE", nil, []string{"Content-Type", "text/plain"}},
		{"no type", "/bookings/reserve", `{"productId":1}`, 415, "UNSUPPORTED_MEDIA_TYPE", nil, []string{"Content-Type", ""}},
		{"latin-1", "/bookings/reserve", `{"productId":1}`, 415, "UNSUPPORTED_MEDIA_TYPE", nil, []string{"Content-Type", "application/json; charset=iso-8859-1"}},
		{"gzip", "/bookings/reserve", `{"productId":1}`, 415, "UNSUPPORTED_MEDIA_TYPE", nil, []string{"Content-Encoding", "gzip"}},
		{"too much comes before its type", "/bookings/reserve", strings.Repeat("x", 17<<10), 413, "PAYLOAD_TOO_LARGE", nil, []string{"Content-Type", "text/plain"}},
		{"the type comes before the body", "/bookings/reserve", `{`, 415, "UNSUPPORTED_MEDIA_TYPE", nil, []string{"Content-Type", "text/plain"}},
		{"the body comes before the key", "/bookings/reserve", `{`, 400, "INVALID_JSON", nil, []string{"Idempotency-Key", "a,b"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := b.post(c.path, c.body, c.headers...)
			if c.code == "" {
				a.want(t, c.status)
				return
			}
			a.problem(t, c.status, c.code, c.more...)
		})
	}
	t.Run("utf-8 is fine", func(t *testing.T) {
		b.post(completePath, `{}`, "Content-Type", "application/json; charset=UTF-8").problem(t, 409, "PAYMENT_INCOMPLETE")
	})
	t.Run("a bad id in the path", func(t *testing.T) {
		for _, id := range []string{"abc", "0", "-1", "9223372036854775808", "1e3", "%31%20"} {
			if a := b.post("/bookings/"+id+"/complete", ""); a.status != 400 && a.status != 404 {
				t.Errorf("%v", a)
			}
		}
	})
	if got := b.booking(t, held.BookingID); got.Status != "INIT" || len(got.Payments) != 0 {
		t.Errorf("refused requests changed the booking: %+v", got)
	}
}

func TestWhoAsks(t *testing.T) {
	t.Parallel()
	s := mainStack.get(t)
	b, other := s.buyer(t), s.buyer(t)
	held := b.held(t, s.product(t, 1))
	path := fmt.Sprintf("/bookings/%d", held.BookingID)

	for _, token := range []string{"", "Bearer", "Bearer x.y.z", "Basic eA==", "Bearer " + b.token + "x"} {
		send("POST", s.api+"/bookings/reserve", `{"productId":1}`, "Authorization", token).message(t, 401, "Unauthorized")
	}
	b.get("/nowhere").message(t, 404, "Not Found")
	b.send("DELETE", path, "").message(t, 404, "Not Found")
	send("GET", s.api+"/nowhere", "").message(t, 404, "Not Found")

	missing := other.get("/bookings/999999999999").problem(t, 404, "BOOKING_NOT_FOUND")
	foreign := other.get(path).problem(t, 404, "BOOKING_NOT_FOUND")
	delete(missing.members, "requestId")
	delete(foreign.members, "requestId")
	if fmt.Sprint(missing.members) != fmt.Sprint(foreign.members) {
		t.Errorf("missing and foreign differ: %s and %s", missing.members, foreign.members)
	}
	other.register(held.BookingID, pay("CARD", "100000")).problem(t, 404, "BOOKING_NOT_FOUND")
	other.approve(held.BookingID, key("ok")).problem(t, 404, "BOOKING_NOT_FOUND")
	other.complete(held.BookingID).problem(t, 404, "BOOKING_NOT_FOUND")
	other.cancel(held.BookingID).problem(t, 404, "BOOKING_NOT_FOUND")
	b.reserve(999999999999).problem(t, 404, "PRODUCT_NOT_FOUND")
	b.reserve(4).problem(t, 404, "PRODUCT_NOT_FOUND")
	b.get("/checkout/999999999999").problem(t, 404, "PRODUCT_NOT_FOUND")

	// The body's faults are told before whose booking it is.
	other.post(path+"/complete", `{"x":1}`).problem(t, 400, "UNKNOWN_FIELD")
	if got := b.booking(t, held.BookingID); got.Status != "INIT" {
		t.Errorf("%+v", got)
	}
}

func TestReserveRefusals(t *testing.T) {
	t.Parallel()
	s := mainStack.get(t)
	b, other := s.buyer(t), s.buyer(t)

	b.reserve(3).problem(t, 409, "SALE_NOT_OPEN", "saleStartAt")
	b.reserve(5).problem(t, 409, "SOLD_OUT")
	past := newRoom(1)
	past.SaleStartAt, past.CheckInAt = in(-10*24*3600e9), in(-24*3600e9)
	b.reserve(s.put(t, past)).problem(t, 409, "SALE_CLOSED")

	id := s.product(t, 1)
	held := b.held(t, id)
	p := b.reserve(id).problem(t, 409, "DUPLICATE_RESERVATION", "bookingId", "holdExpiresAt", "remainMillis", "nextActions")
	if got := string(p.members["bookingId"]); got != fmt.Sprint(held.BookingID) || string(p.members["holdExpiresAt"]) != fmt.Sprintf("%q", *held.HoldExpiresAt) {
		t.Errorf("members %s, want those of %+v", p.members, held)
	}
	// A live hold could free the unit, and that moment is told.
	p = other.reserve(id).problem(t, 409, "SOLD_OUT", "earliestReleaseAt")
	if got := strings.Trim(string(p.members["earliestReleaseAt"]), `"`); !timeForm.MatchString(got) || got != *held.HoldExpiresAt {
		t.Errorf("earliestReleaseAt %s, the hold expires at %s", got, *held.HoldExpiresAt)
	}
	b.cancel(held.BookingID).want(t, 200)
	other.bought(t, id, pay("CARD", "100000"))
	b.reserve(id).problem(t, 409, "SOLD_OUT")
	if _, remaining, _, status := s.stock(t, id); remaining != 0 || status != "SOLD_OUT" {
		t.Errorf("remaining %d, status %s", remaining, status)
	}
	s.audited(t, id)
}

func TestHoldLimit(t *testing.T) {
	t.Parallel()
	s := mainStack.get(t)
	b := s.buyer(t)
	var first booking
	for i := range 5 {
		held := b.held(t, s.product(t, 1))
		if i == 0 {
			first = held
		}
	}
	sixth := s.product(t, 1)
	b.reserve(sixth).problem(t, 429, "HOLD_LIMIT")
	if got := b.available(t, sixth); got != 1 {
		t.Errorf("a refused sixth hold keeps the unit: %d available", got)
	}
	// What is said about the product comes first.
	b.reserve(first.ProductID).problem(t, 409, "DUPLICATE_RESERVATION", "bookingId", "holdExpiresAt", "remainMillis", "nextActions")
	b.reserve(3).problem(t, 409, "SALE_NOT_OPEN", "saleStartAt")
	b.cancel(first.BookingID).want(t, 200)
	b.held(t, sixth)
	s.audited(t, sixth)
}

func TestRegisterRefusals(t *testing.T) {
	t.Parallel()
	s := mainStack.get(t)
	b := s.buyer(t)
	b.grant(t, "5000")
	id := b.held(t, s.product(t, 1)).BookingID
	card, ypay, point := pay("CARD", "50000"), pay("YPAY", "50000"), pay("POINT", "50000")
	b.register(id, card+","+ypay).problem(t, 422, "METHOD_COMBINATION")
	b.register(id, pay("CARD", "1")+","+pay("YPAY", "1")).problem(t, 422, "METHOD_COMBINATION")
	b.register(id, card+","+ypay+","+pay("POINT", "1")).problem(t, 422, "METHOD_COMBINATION")
	b.register(id, pay("CARD", "99999.99")).problem(t, 422, "AMOUNT_MISMATCH")
	b.register(id, pay("CARD", "100000.01")).problem(t, 422, "AMOUNT_MISMATCH")
	b.register(id, pay("POINT", "99999")).problem(t, 422, "AMOUNT_MISMATCH")
	b.register(id, card+","+point).problem(t, 422, "INSUFFICIENT_POINTS")
	b.approve(id, key("ok")).problem(t, 409, "PAYMENT_INCOMPLETE")
	b.complete(id).problem(t, 409, "PAYMENT_INCOMPLETE")
	b.register(id, pay("CARD", "95000")+","+pay("POINT", "5000")).want(t, 201)
	b.complete(id).problem(t, 409, "PAYMENT_INCOMPLETE")
	b.approve(id, "").problem(t, http.StatusBadRequest, "INVALID_REQUEST", "errors")
	b.approve(id, key("ok")).want(t, 200)
	b.register(id, pay("CARD", "100000")).problem(t, 409, "INVALID_STATE", "bookingStatus")
	done := b.complete(id).want(t, 200).booking(t)
	p := b.register(id, pay("CARD", "100000")).problem(t, 409, "INVALID_STATE", "bookingStatus")
	if got := string(p.members["bookingStatus"]); got != `"CONFIRMED"` {
		t.Errorf("bookingStatus %s", got)
	}
	s.audited(t, done.ProductID)
}
