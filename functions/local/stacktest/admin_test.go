package stacktest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

func TestAdminRefusals(t *testing.T) {
	t.Parallel()
	s := mainStack.get(t)
	id := s.product(t, 2)
	b := s.buyer(t)
	b.grant(t, "5")
	b.bought(t, id, oneCard)
	room := func(change func(m map[string]any)) string {
		text, err := json.Marshal(newRoom(1))
		if err != nil {
			t.Fatal(err)
		}
		m := map[string]any{}
		if err := json.Unmarshal(text, &m); err != nil {
			t.Fatal(err)
		}
		change(m)
		text, err = json.Marshal(map[string]any{"action": "put-product", "product": m})
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for name, payload := range map[string]string{
		"no object":              `[]`,
		"nothing":                `{}`,
		"no such action":         `{"action":"drop-table"}`,
		"a name twice":           `{"action":"audit","action":"audit"}`,
		"a name too many":        `{"action":"audit","force":true}`,
		"a name in wrong case":   `{"Action":"audit"}`,
		"another action's names": `{"action":"redrive","reason":"x"}`,
		"no product":             `{"action":"put-product"}`,
		"stock on an old one":    room(func(m map[string]any) { m["productId"] = id }),
		"stock below zero":       room(func(m map[string]any) { m["stock"] = -1 }),
		"no stock on a new one":  room(func(m map[string]any) { delete(m, "stock") }),
		"a price of nothing":     room(func(m map[string]any) { m["price"] = "0" }),
		"a price of NaN":         room(func(m map[string]any) { m["price"] = "NaN" }),
		"three decimals":         room(func(m map[string]any) { m["price"] = "1.001" }),
		"SOLD_OUT by hand":       room(func(m map[string]any) { m["status"] = "SOLD_OUT" }),
		"a date of nowhere":      room(func(m map[string]any) { m["checkInAt"] = "2027-02-30T00:00:00Z" }),
		"a name of nothing":      room(func(m map[string]any) { m["name"] = "" }),
		"a product of nobody":    room(func(m map[string]any) { m["productId"] = 999999999; delete(m, "stock") }),
		"a delta of zero":        fmt.Sprintf(`{"action":"adjust-stock","productId":%d,"delta":0,"reason":"x"}`, id),
		"below what is sold":     fmt.Sprintf(`{"action":"adjust-stock","productId":%d,"delta":-2,"reason":"x"}`, id),
		"no reason":              fmt.Sprintf(`{"action":"adjust-stock","productId":%d,"delta":1}`, id),
		"stock of nobody":        `{"action":"adjust-stock","productId":999999999,"delta":1,"reason":"x"}`,
		"a delta with a point":   fmt.Sprintf(`{"action":"adjust-stock","productId":%d,"delta":1.5,"reason":"x"}`, id),
		"points below zero":      fmt.Sprintf(`{"action":"grant-points","userId":%d,"amount":"-5.01","reason":"x"}`, b.id),
		"points of nothing":      fmt.Sprintf(`{"action":"grant-points","userId":%d,"amount":"0","reason":"x"}`, b.id),
		"points in words":        fmt.Sprintf(`{"action":"grant-points","userId":%d,"amount":"five","reason":"x"}`, b.id),
		"points for user zero":   `{"action":"grant-points","userId":0,"amount":"5","reason":"x"}`,
		"cancel of nothing":      `{"action":"cancel","bookingId":999999999,"reason":"x"}`,
		"explain of nothing":     `{"action":"explain","bookingId":999999999}`,
		"explain what":           `{"action":"explain"}`,
	} {
		t.Run(name, func(t *testing.T) {
			a := s.invoke("AdminFunction", payload).want(t, 200)
			var e struct{ ErrorType, ErrorMessage string }
			members := membersOf(t, a.body)
			if err := json.Unmarshal(a.body, &e); err != nil {
				t.Fatalf("%v: %v", err, a)
			}
			if a.header.Get("X-Amz-Function-Error") == "" || e.ErrorMessage == "" || strings.Contains(e.ErrorMessage, "\n") ||
				e.ErrorType != strings.ToUpper(e.ErrorType) || e.ErrorType == "" || e.ErrorType == "INTERNAL" ||
				!slices.Equal(slices.Sorted(maps.Keys(members)), []string{"errorMessage", "errorType"}) {
				t.Errorf("X-Amz-Function-Error %q, %v", a.header.Get("X-Amz-Function-Error"), a)
			}
		})
	}
	if total, remaining, confirmed, _ := s.stock(t, id); total != 2 || remaining != 1 || confirmed != 1 || b.points(t) != "5.00" {
		t.Errorf("refused actions changed something: total %d, remaining %d, confirmed %d, points %s", total, remaining, confirmed, b.points(t))
	}
	s.refused(t, `{"action":"explain","bookingId":999999999}`, "BOOKING_NOT_FOUND")
	s.refused(t, `{"action":"adjust-stock","productId":999999999,"delta":1,"reason":"x"}`, "PRODUCT_NOT_FOUND")
	s.audited(t, id)
}

func TestAdminActions(t *testing.T) {
	t.Parallel()
	s := mainStack.get(t)
	b, other := s.buyer(t), s.buyer(t)
	id := s.product(t, 1)
	done := b.bought(t, id, oneCard)
	other.reserve(id).problem(t, 409, "SOLD_OUT")

	var stock struct{ ProductID, TotalStock, RemainingStock int64 }
	s.admin(t, fmt.Sprintf(`{"action":"adjust-stock","productId":%d,"delta":2,"reason":"found two"}`, id), &stock)
	if stock.ProductID != id || stock.TotalStock != 3 || stock.RemainingStock != 2 {
		t.Errorf("%+v", stock)
	}
	if _, _, _, status := s.stock(t, id); status != "ACTIVE" {
		t.Errorf("status %s with stock", status)
	}
	if got := other.available(t, id); got != 2 {
		t.Errorf("%d available after more stock", got)
	}
	held := other.held(t, id)

	var points struct {
		UserID  int64
		Balance string
	}
	s.admin(t, fmt.Sprintf(`{"action":"grant-points","userId":%d,"amount":"10.50","reason":"x"}`, b.id), &points)
	s.admin(t, fmt.Sprintf(`{"action":"grant-points","userId":%d,"amount":-0.5,"reason":"x"}`, b.id), &points)
	if points.UserID != b.id || points.Balance != "10.00" || b.points(t) != "10.00" {
		t.Errorf("%+v", points)
	}

	a := s.invoke("AdminFunction", fmt.Sprintf(`{"action":"explain","bookingId":%d}`, done.BookingID)).want(t, 200)
	for _, want := range []string{"timeline", "CONFIRMED", *done.Payments[0].OrderID} {
		if a.header.Get("X-Amz-Function-Error") != "" || !strings.Contains(string(a.body), want) {
			t.Errorf("explain without %s: %v", want, a)
		}
	}
	s.admin(t, fmt.Sprintf(`{"action":"cancel","bookingId":%d,"reason":"asked by phone"}`, done.BookingID), nil)
	b.refunded(t, done.BookingID, "CANCELLED", "100000.00")
	s.admin(t, fmt.Sprintf(`{"action":"cancel","bookingId":%d,"reason":"asked by phone"}`, held.BookingID), nil)
	if got := other.booking(t, held.BookingID); got.Status != "CANCELLED" {
		t.Errorf("%+v", got)
	}
	s.admin(t, fmt.Sprintf(`{"action":"reconcile","productId":%d}`, id), nil)
	s.admin(t, fmt.Sprintf(`{"action":"redrive","bookingId":%d}`, done.BookingID), nil)
	if got := b.available(t, id); got != 3 {
		t.Errorf("%d available at last", got)
	}
	s.audited(t, id)
}

// The audit is not blind: rows that break an invariant are named, with the booking.
func TestTheAuditSeesWhatIsBroken(t *testing.T) {
	t.Parallel()
	s := mainStack.get(t)
	b := s.buyer(t)
	done := b.bought(t, s.product(t, 2), oneCard)
	s.audited(t, done.ProductID)
	s.exec(t, `UPDATE product SET remaining_stock = remaining_stock - 1 WHERE id = $1`, done.ProductID)
	if v := s.violations(t, done.ProductID); !slices.ContainsFunc(v, func(v violation) bool { return v.Invariant == "I1" }) {
		t.Errorf("a lost unit: %+v", v)
	}
	s.exec(t, `UPDATE product SET remaining_stock = remaining_stock + 1 WHERE id = $1`, done.ProductID)
	s.exec(t, `UPDATE payment SET status = 'READY' WHERE booking_id = $1`, done.BookingID)
	if v := s.violations(t, done.ProductID); !slices.ContainsFunc(v, func(v violation) bool {
		return v.Invariant == "I3" && slices.Contains(v.BookingIDs, done.BookingID)
	}) {
		t.Errorf("CONFIRMED without a payment: %+v", v)
	}
	s.exec(t, `UPDATE payment SET status = 'SUCCESS' WHERE booking_id = $1`, done.BookingID)
	s.audited(t, done.ProductID)
}
