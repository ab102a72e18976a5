package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/shopspring/decimal"

	"stayhold/shared/booking"
)

// Reads are what QueryFunction answers from; booking.Query is one.
type Reads interface {
	Booking(ctx context.Context, userID, bookingID int64) (booking.Booking, error)
	Bookings(ctx context.Context, userID int64, status booking.Status, page booking.Page) ([]booking.Booking, int64, error)
	Product(ctx context.Context, productID int64) (booking.Product, error)
	Products(ctx context.Context, page booking.Page) ([]booking.Product, int64, error)
	Checkout(ctx context.Context, userID, productID int64) (booking.CheckoutView, error)
	Points(ctx context.Context, userID int64) (decimal.Decimal, error)
	Health(ctx context.Context) booking.Health
}

const (
	defaultLimit = 20
	maxLimit     = 100
)

// read answers one GET route.
type read func(ctx context.Context, q Reads, c *call, ev event) (answer, error)

// reads are the GET routes by route key.
var reads = map[string]read{
	"GET /bookings/{bookingId}": readBooking,
	"GET /bookings":             readBookings,
	"GET /products/{productId}": readProduct,
	"GET /products":             readProducts,
	"GET /checkout/{productId}": readCheckout,
	"GET /points":               readPoints,
	healthRoute:                 readHealth,
}

// healthRoute is the only one without a token.
const healthRoute = "GET /health"

// Query handles every GET, by the event's route key.
func (e *Edge) Query(q Reads) lambda.Handler {
	return handler(func(ctx context.Context, payload []byte) ([]byte, error) {
		return e.respond(ctx, payload, "query", "", booking.ErrUnavailable,
			func(ctx context.Context, c *call, ev event) (answer, error) {
				run, known := reads[ev.routeKey]
				if !known {
					c.route, c.code = "unknown", "NO_ROUTE"
					return jsonAnswer(http.StatusNotFound, map[string]string{"message": "Not Found"})
				}
				c.route = ev.routeKey
				if ev.routeKey != healthRoute {
					user, err := ev.user()
					if err != nil {
						return answer{}, err
					}
					c.userID = user
				}
				return run(ctx, q, c, ev)
			})
	})
}

func readBooking(ctx context.Context, q Reads, c *call, ev event) (answer, error) {
	id, ok := ev.pathID("/bookings/{bookingId}", "bookingId")
	if !ok {
		return answer{}, booking.ErrBookingNotFound
	}
	c.bookingID = id
	b, err := q.Booking(ctx, c.userID, id)
	if err != nil {
		return answer{}, err
	}
	return jsonAnswer(http.StatusOK, renderStory(b))
}

func readBookings(ctx context.Context, q Reads, c *call, ev event) (answer, error) {
	f := &faults{}
	page := ev.page(f)
	var status booking.Status
	if text, given := ev.query("status"); given {
		if status = booking.Status(text); !slices.Contains(booking.Statuses, status) {
			f.add(booking.ErrInvalidRequest, "/status", wrongValue)
		}
	}
	if err := f.err(); err != nil {
		return answer{}, err
	}
	list, next, err := q.Bookings(ctx, c.userID, status, page)
	if err != nil {
		return answer{}, err
	}
	out := make([]json.RawMessage, len(list))
	for i, b := range list {
		out[i] = renderBooking(b)
	}
	return jsonAnswer(http.StatusOK, struct {
		Bookings   []json.RawMessage `json:"bookings"`
		NextCursor *string           `json:"nextCursor"`
	}{out, cursor(next)})
}

func readProduct(ctx context.Context, q Reads, _ *call, ev event) (answer, error) {
	id, ok := ev.pathID("/products/{productId}", "productId")
	if !ok {
		return answer{}, booking.ErrProductNotFound
	}
	p, err := q.Product(ctx, id)
	if err != nil {
		return answer{}, err
	}
	return jsonAnswer(http.StatusOK, renderProduct(p))
}

func readProducts(ctx context.Context, q Reads, _ *call, ev event) (answer, error) {
	f := &faults{}
	page := ev.page(f)
	if err := f.err(); err != nil {
		return answer{}, err
	}
	list, next, err := q.Products(ctx, page)
	if err != nil {
		return answer{}, err
	}
	out := make([]productJSON, len(list))
	for i, p := range list {
		out[i] = renderProduct(p)
	}
	return jsonAnswer(http.StatusOK, struct {
		Products   []productJSON `json:"products"`
		NextCursor *string       `json:"nextCursor"`
	}{out, cursor(next)})
}

func readCheckout(ctx context.Context, q Reads, c *call, ev event) (answer, error) {
	id, ok := ev.pathID("/checkout/{productId}", "productId")
	if !ok {
		return answer{}, booking.ErrProductNotFound
	}
	view, err := q.Checkout(ctx, c.userID, id)
	if err != nil {
		return answer{}, err
	}
	out := struct {
		Product            productJSON     `json:"product"`
		AvailableUserPoint string          `json:"availableUserPoint"`
		Reservable         bool            `json:"reservable"`
		Booking            json.RawMessage `json:"booking"`
	}{renderProduct(view.Product), money(view.Points), view.Reservable, nil}
	if view.Booking != nil {
		c.bookingID = view.Booking.ID
		out.Booking = renderBooking(*view.Booking)
	}
	return jsonAnswer(http.StatusOK, out)
}

func readPoints(ctx context.Context, q Reads, c *call, _ event) (answer, error) {
	balance, err := q.Points(ctx, c.userID)
	if err != nil {
		return answer{}, err
	}
	return jsonAnswer(http.StatusOK, map[string]string{"balance": money(balance)})
}

func readHealth(ctx context.Context, q Reads, c *call, _ event) (answer, error) {
	health := q.Health(ctx)
	out := struct {
		Status   string `json:"status"`
		Redis    string `json:"redis"`
		Database string `json:"database"`
	}{"ok", "ok", "ok"}
	status := http.StatusOK
	for _, part := range []struct {
		err  error
		says *string
	}{{health.Redis, &out.Redis}, {health.Database, &out.Database}} {
		if part.err != nil {
			c.code, c.inner = booking.ErrUnavailable.Code, errors.Join(c.inner, part.err)
			status, out.Status, *part.says = http.StatusServiceUnavailable, "unavailable", "down"
		}
	}
	a, err := jsonAnswer(status, out)
	if status != http.StatusOK {
		a.retryAfter = booking.ErrUnavailable.RetryAfter
	}
	return a, err
}

// page reads limit and cursor; a cursor is opaque to callers, and here the last id of
// the page before.
func (e event) page(f *faults) booking.Page {
	page := booking.Page{Limit: defaultLimit}
	if text, given := e.query("limit"); given {
		n, ok := parseID(text)
		if !ok || n > maxLimit {
			f.add(booking.ErrInvalidRequest, "/limit", outOfRange)
		}
		page.Limit = int(n)
	}
	if text, given := e.query("cursor"); given {
		id, ok := parseID(text)
		if !ok {
			f.add(booking.ErrInvalidRequest, "/cursor", wrongValue)
		}
		page.Cursor = id
	}
	return page
}

func cursor(next int64) *string {
	if next == 0 {
		return nil
	}
	text := strconv.FormatInt(next, 10)
	return &text
}
