package stacktest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// invoke calls a function directly, as `aws lambda invoke` does.
func (s *stack) invoke(function, payload string) answer {
	return send("POST", s.invokeURL+"/2015-03-31/functions/"+function+"/invocations", payload)
}

// admin carries out an action and decodes its result into v.
func (s *stack) admin(t testing.TB, payload string, v any) {
	t.Helper()
	a := s.invoke("AdminFunction", payload).want(t, 200)
	if fault := a.header.Get("X-Amz-Function-Error"); fault != "" {
		t.Fatalf("%s: %v", fault, a)
	}
	if v != nil {
		if err := json.Unmarshal(a.body, v); err != nil {
			t.Fatalf("%v: %v", err, a)
		}
	}
}

// refused fails the test unless the action is refused with that code, on one line.
func (s *stack) refused(t testing.TB, payload, code string) {
	t.Helper()
	a := s.invoke("AdminFunction", payload).want(t, 200)
	members := membersOf(t, a.body)
	var e struct{ ErrorType, ErrorMessage string }
	if err := json.Unmarshal(a.body, &e); err != nil {
		t.Fatalf("%v: %v", err, a)
	}
	if a.header.Get("X-Amz-Function-Error") == "" || e.ErrorType != code || e.ErrorMessage == "" || strings.Contains(e.ErrorMessage, "\n") ||
		!slices.Equal(slices.Sorted(maps.Keys(members)), []string{"errorMessage", "errorType"}) {
		t.Errorf("want the refusal %s, got X-Amz-Function-Error %q, %v", code, a.header.Get("X-Amz-Function-Error"), a)
	}
}

// room is what put-product takes; zero values become a room that is on sale at 100000.00.
type room struct {
	ProductID   int64  `json:"productId,omitempty"`
	Name        string `json:"name"`
	Price       string `json:"price"`
	Stock       *int64 `json:"stock,omitempty"`
	SaleStartAt string `json:"saleStartAt"`
	CheckInAt   string `json:"checkInAt"`
	CheckOutAt  string `json:"checkOutAt"`
	Status      string `json:"status"`
}

func in(d time.Duration) string { return time.Now().Add(d).UTC().Format(time.RFC3339) }

func newRoom(stock int64) room {
	return room{
		Name: "a room", Price: "100000.00", Stock: &stock, Status: "ACTIVE",
		SaleStartAt: in(-time.Hour), CheckInAt: in(30 * 24 * time.Hour), CheckOutAt: in(31 * 24 * time.Hour),
	}
}

// put writes the room and returns its product id.
func (s *stack) put(t testing.TB, r room) int64 {
	t.Helper()
	text, err := json.Marshal(map[string]any{"action": "put-product", "product": r})
	if err != nil {
		t.Fatal(err)
	}
	var got struct{ ProductID int64 }
	s.admin(t, string(text), &got)
	return got.ProductID
}

// product makes one with that many units, on sale now.
func (s *stack) product(t testing.TB, stock int64) int64 {
	t.Helper()
	return s.put(t, newRoom(stock))
}

// grant gives points to a buyer.
func (b *buyer) grant(t testing.TB, amount string) {
	t.Helper()
	b.s.admin(t, fmt.Sprintf(`{"action":"grant-points","userId":%d,"amount":%q,"reason":"a test"}`, b.id, amount), nil)
}

func (b *buyer) points(t testing.TB) string {
	t.Helper()
	var got struct{ Balance string }
	b.get("/points").want(t, 200).into(t, &got)
	if !moneyForm.MatchString(got.Balance) {
		t.Errorf("balance %q", got.Balance)
	}
	return got.Balance
}

func (s *stack) adjust(t testing.TB, product, delta int64) {
	t.Helper()
	s.admin(t, fmt.Sprintf(`{"action":"adjust-stock","productId":%d,"delta":%d,"reason":"a test"}`, product, delta), nil)
}

type violation struct {
	Invariant, Detail string
	BookingIDs        []int64
}

func (s *stack) violations(t testing.TB, product int64) []violation {
	t.Helper()
	payload := `{"action":"audit"}`
	if product != 0 {
		payload = fmt.Sprintf(`{"action":"audit","productId":%d}`, product)
	}
	var got struct{ Violations []violation }
	s.admin(t, payload, &got)
	return got.Violations
}

// audited fails the test unless the audit of the product (0: of all) becomes and is empty.
func (s *stack) audited(t testing.TB, product int64) {
	t.Helper()
	eventually(t, 15*time.Second, "an empty audit", func() error {
		if v := s.violations(t, product); len(v) > 0 {
			return fmt.Errorf("%+v", v)
		}
		return nil
	})
}

type charge struct {
	OrderID, PaymentKey, Amount string
	Cancelled                   bool
	Confirms, Cancels           int
}

// charges are those of the ledger for the booking's orders.
func (s *stack) charges(t testing.TB, b booking) []charge {
	t.Helper()
	orders := map[string]bool{}
	for _, p := range b.Payments {
		if p.OrderID != nil {
			orders[*p.OrderID] = true
		}
	}
	var got struct {
		Charges []charge
		Net     string
	}
	send("GET", s.gateway+"/ledger", "").want(t, 200).into(t, &got)
	if !moneyForm.MatchString(got.Net) {
		t.Errorf("net %q", got.Net)
	}
	var mine []charge
	for _, c := range got.Charges {
		if orders[c.OrderID] {
			mine = append(mine, c)
		}
	}
	return mine
}

// oneCharge fails the test unless the ledger has exactly one charge for the booking, kept or given back.
func (s *stack) oneCharge(t testing.TB, b booking, amount string, cancelled bool) charge {
	t.Helper()
	all := s.charges(t, b)
	if len(all) != 1 || all[0].Amount != amount || all[0].Cancelled != cancelled {
		t.Errorf("charges of booking %d: %+v, want one of %s with cancelled %v", b.BookingID, all, amount, cancelled)
		return charge{}
	}
	return all[0]
}

func (s *stack) noCharge(t testing.TB, b booking) {
	t.Helper()
	if all := s.charges(t, b); len(all) > 0 {
		t.Errorf("charges of booking %d: %+v, want none", b.BookingID, all)
	}
}

// available is the gate's word on the product.
func (b *buyer) available(t testing.TB, product int64) int64 {
	t.Helper()
	return b.get(fmt.Sprintf("/products/%d", product)).want(t, 200).product(t).Available
}

// exec runs one statement on the stack's database.
func (s *stack) exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	conn := s.connect(t)
	_, err := conn.Exec(background(t), sql, args...)
	if err := errors.Join(err, conn.Close(background(t))); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// row reads one row of the stack's database.
func (s *stack) row(t testing.TB, sql string, args []any, to ...any) {
	t.Helper()
	conn := s.connect(t)
	err := conn.QueryRow(background(t), sql, args...).Scan(to...)
	if err := errors.Join(err, conn.Close(background(t))); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func (s *stack) connect(t testing.TB) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(background(t), s.database)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// stock reads the product's row: what is unsold, and how many bookings are CONFIRMED.
func (s *stack) stock(t testing.TB, product int64) (total, remaining, confirmed int64, status string) {
	t.Helper()
	s.row(t, `SELECT p.total_stock, p.remaining_stock, p.status, (SELECT count(*) FROM booking b WHERE b.product_id = p.id AND b.status = 'CONFIRMED')
		FROM product p WHERE p.id = $1`, []any{product}, &total, &remaining, &status, &confirmed)
	return total, remaining, confirmed, status
}
