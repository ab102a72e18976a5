package api

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"stayhold/shared/booking"
)

// reader is a hand-written QueryFunction's store.
type reader struct {
	err    error
	health booking.Health
	asked  struct {
		userID, id int64
		status     booking.Status
		page       booking.Page
	}
	next int64
}

func product() booking.Product {
	return booking.Product{
		ID: 1, Name: "Harbour <view>", Price: decimal.New(100000, 0), Status: "ACTIVE", Total: 10, Remaining: 9, Available: 7,
		SaleStartAt: noon, CheckInAt: noon.Add(time.Hour), CheckOutAt: noon.Add(2 * time.Hour),
	}
}

func (r *reader) Booking(_ context.Context, userID, id int64) (booking.Booking, error) {
	r.asked.userID, r.asked.id = userID, id
	b := sample()
	b.Timeline = []booking.Event{{At: noon, Event: "HOLD_PLACED", Detail: "1 unit"}}
	return b, r.err
}

func (r *reader) Bookings(_ context.Context, userID int64, status booking.Status, page booking.Page) ([]booking.Booking, int64, error) {
	r.asked.userID, r.asked.status, r.asked.page = userID, status, page
	return []booking.Booking{sample()}, r.next, r.err
}

func (r *reader) Product(_ context.Context, id int64) (booking.Product, error) {
	r.asked.id = id
	return product(), r.err
}

func (r *reader) Products(_ context.Context, page booking.Page) ([]booking.Product, int64, error) {
	r.asked.page = page
	return []booking.Product{product()}, r.next, r.err
}

func (r *reader) Checkout(_ context.Context, userID, id int64) (booking.CheckoutView, error) {
	r.asked.userID, r.asked.id = userID, id
	view := booking.CheckoutView{Product: product(), Points: decimal.New(5, 3), Reservable: true}
	if id == 2 {
		b := sample()
		view.Booking, view.Reservable = &b, false
	}
	return view, r.err
}

func (r *reader) Points(context.Context, int64) (decimal.Decimal, error) {
	return decimal.New(5, 3), r.err
}

func (r *reader) Health(context.Context) booking.Health { return r.health }

func parameters(p object) func(object) { return member("queryStringParameters", p) }

func param(name, value string) func(object) { return member("pathParameters", object{name: value}) }

func TestGoldenReads(t *testing.T) {
	for _, c := range []struct {
		name  string
		event object
		store reader
	}{
		{"get-booking", get("GET /bookings/{bookingId}", param("bookingId", "12")), reader{}},
		{"get-bookings", get("GET /bookings"), reader{next: 12}},
		{"get-product", get("GET /products/{productId}", param("productId", "1")), reader{}},
		{"get-products", get("GET /products"), reader{}},
		{"get-checkout", get("GET /checkout/{productId}", param("productId", "1")), reader{}},
		{"get-checkout-open", get("GET /checkout/{productId}", param("productId", "2")), reader{}},
		{"get-points", get("GET /points"), reader{}},
		{"get-health", get("GET /health", claims(nil)), reader{}},
		{"get-health-down", get("GET /health", claims(nil)), reader{health: booking.Health{Redis: errors.New("refused")}}},
		{"get-nowhere", get("GET /nowhere"), reader{}},
		{"get-not-found", get("GET /bookings/{bookingId}", param("bookingId", "12")), reader{err: booking.ErrBookingNotFound}},
	} {
		t.Run(c.name, func(t *testing.T) { golden(t, c.name, invoke(t, newBench().Query(&c.store), c.event)) })
	}
}

func TestMissingAndMalformedLookAlike(t *testing.T) {
	q := newBench().Query(&reader{err: booking.ErrBookingNotFound})
	missing := invoke(t, q, get("GET /bookings/{bookingId}", param("bookingId", "12")))
	malformed := invoke(t, q, get("GET /bookings/{bookingId}", param("bookingId", "x")))
	if missing.Body != malformed.Body {
		t.Errorf("%s\n%s", missing.Body, malformed.Body)
	}
	for _, route := range []string{"GET /products/{productId}", "GET /checkout/{productId}"} {
		want(t, invoke(t, q, get(route, param("productId", "-1"))), 404, "PRODUCT_NOT_FOUND")
	}
}

func TestReadsNeedAToken(t *testing.T) {
	for route := range reads {
		a := invoke(t, newBench().Query(&reader{}), get(route, claims(nil), param("productId", "1")))
		if route == healthRoute {
			want(t, a, 200, "")
		} else {
			want(t, a, 401, "UNAUTHENTICATED")
		}
	}
}

func TestPages(t *testing.T) {
	for _, c := range []struct {
		query  object
		status int
		page   booking.Page
		only   booking.Status
	}{
		{nil, 200, booking.Page{Limit: 20}, ""},
		{object{"limit": "1"}, 200, booking.Page{Limit: 1}, ""},
		{object{"limit": "100", "cursor": "9223372036854775807", "status": "PAYMENT_PENDING"}, 200,
			booking.Page{Limit: 100, Cursor: 1<<63 - 1}, booking.PaymentPending},
		{object{"other": "x"}, 200, booking.Page{Limit: 20}, ""},
		{object{"limit": "0"}, 400, booking.Page{}, ""},
		{object{"limit": "101"}, 400, booking.Page{}, ""},
		{object{"limit": "-1"}, 400, booking.Page{}, ""},
		{object{"limit": "1.0"}, 400, booking.Page{}, ""},
		{object{"limit": "1,2"}, 400, booking.Page{}, ""},
		{object{"limit": "x"}, 400, booking.Page{}, ""},
		{object{"limit": ""}, 400, booking.Page{}, ""},
		{object{"limit": "99999999999999999999"}, 400, booking.Page{}, ""},
		{object{"cursor": "0"}, 400, booking.Page{}, ""},
		{object{"cursor": "abc"}, 400, booking.Page{}, ""},
		{object{"cursor": "-5"}, 400, booking.Page{}, ""},
		{object{"status": "init"}, 400, booking.Page{}, ""},
		{object{"status": "OPEN"}, 400, booking.Page{}, ""},
		{object{"status": "INIT,FAILED"}, 400, booking.Page{}, ""},
	} {
		r := &reader{}
		a := invoke(t, newBench().Query(r), get("GET /bookings", parameters(c.query)))
		if a.Status != c.status || r.asked.page != c.page || r.asked.status != c.only {
			t.Errorf("%v: %d %s %+v", c.query, a.Status, a.Body, r.asked)
		}
		if c.status == 400 {
			want(t, a, 400, "INVALID_REQUEST")
		}
	}
	r := &reader{}
	invoke(t, newBench().Query(r), get("GET /products", member("rawQueryString", "limit=3&cursor=4")))
	if r.asked.page != (booking.Page{Limit: 3, Cursor: 4}) {
		t.Errorf("%+v", r.asked)
	}
	a := invoke(t, newBench().Query(&reader{}), get("GET /products", parameters(object{"limit": "x", "cursor": "y"})))
	golden(t, "get-bad-page", a)
}

func TestReadsThatFail(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
		code   string
	}{
		{booking.ErrUnavailable.Because(errors.New("x")), 503, "DEPENDENCY_UNAVAILABLE"},
		{context.DeadlineExceeded, 503, "DEPENDENCY_UNAVAILABLE"},
		{errors.New("driver's words"), 500, "INTERNAL"},
	} {
		for route := range reads {
			if route != healthRoute {
				ev := get(route, member("pathParameters", object{"bookingId": "1", "productId": "1"}))
				want(t, invoke(t, newBench().Query(&reader{err: c.err}), ev), c.status, c.code)
			}
		}
	}
}
