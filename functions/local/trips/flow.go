package trips

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"stayhold/shared/booking"
	"stayhold/shared/postgres/postgrestest"
)

const (
	price  = 100_000
	plenty = 1000 // units, of what every flow buys
)

// stock makes the products, and has somebody take the only unit of one.
func (r *Rig) stock(ctx context.Context) error {
	now := time.Now()
	for _, one := range []struct {
		id    *int64
		units int64
		from  time.Time
	}{
		{&r.products.sold, plenty, now.Add(-time.Hour)}, {&r.products.lapsing, plenty, now.Add(-time.Hour)},
		{&r.products.gone, 1, now.Add(-time.Hour)}, {&r.products.later, 1, now.Add(time.Hour)},
	} {
		var err error
		if *one.id, err = r.admin.PutProduct(ctx, booking.ProductDraft{
			Name: "Sea view", Price: decimal.New(price, 0), Stock: &one.units, Status: "ACTIVE",
			SaleStartAt: one.from, CheckInAt: now.AddDate(0, 1, 0), CheckOutAt: now.AddDate(0, 1, 1),
		}); err != nil {
			return err
		}
	}
	r.user++
	_, err := r.send(ctx, request{route: reserving, body: wanting(r.products.gone), user: r.user}, http.StatusCreated)
	return err
}

const (
	reserving = "POST /bookings/reserve"
	booked    = "POST /bookings/{bookingId}"
	payments  = `{"payments":[{"method":"POINT","amount":"3000"},{"method":"CARD","amount":"97000"}]}`
)

func wanting(product int64) string { return fmt.Sprintf(`{"productId":%d}`, product) }

// Flow has a buyer who is new go every path of Budgets once; keyed, each of his POSTs bears an Idempotency-Key. told
// hears after each path what it took, and its trace, for the report of a count that is off.
func (r *Rig) Flow(ctx context.Context, keyed bool, told func(path string, took Trips, trace string)) error {
	r.user++
	user, p := r.user, r.products
	_, failure := r.admin.GrantPoints(ctx, user, decimal.New(price, 0), "trips")
	// step goes a path; one without a name only leads to the next. After a failure nothing is done any more.
	step := func(path, route string, id int64, body string, want int) (about int64) {
		if failure != nil {
			return 0
		}
		q := request{route: route, body: body, user: user, id: id}
		if keyed && strings.HasPrefix(route, "POST ") {
			r.keys++
			q.key = fmt.Sprintf("key-%d", r.keys)
		}
		r.took()
		about, failure = r.send(ctx, q, want)
		if took, trace := r.took(); failure == nil && path != "" {
			told(path, took, trace)
		}
		return about
	}
	pay := func(register, approve string, id int64) {
		step(register, booked+"/payments/register", id, payments, http.StatusCreated)
		step(approve, booked+"/payments/pg-approve", id, fmt.Sprintf(`{"paymentKey":"ok-%d"}`, id), http.StatusOK)
	}

	id := step("reserve", reserving, 0, wanting(p.sold), http.StatusCreated)
	step("reserve, sold out", reserving, 0, wanting(p.gone), http.StatusConflict)
	step("reserve, not open", reserving, 0, wanting(p.later), http.StatusConflict)
	step("reserve, duplicate", reserving, 0, wanting(p.sold), http.StatusConflict)
	pay("register", "pg-approve", id)
	step("complete", booked+"/complete", id, "", http.StatusOK)
	step("reserve, already purchased", reserving, 0, wanting(p.sold), http.StatusConflict)
	step("GET booking", "GET /bookings/{bookingId}", id, "", http.StatusOK)
	step("GET product", "GET /products/{productId}", p.sold, "", http.StatusOK)
	step("GET checkout", "GET /checkout/{productId}", p.sold, "", http.StatusOK)
	step("GET points", "GET /points", 0, "", http.StatusOK)
	step("GET bookings", "GET /bookings", 0, "", http.StatusOK)
	step("cancel", booked+"/cancel", id, "", http.StatusOK)

	id = step("", reserving, 0, wanting(p.lapsing), http.StatusCreated)
	pay("", "", id)
	if failure == nil {
		failure = r.lapse(ctx, user, id)
	}
	step("complete, hold lapsed", booked+"/complete", id, "", http.StatusOK)
	return failure
}

// lapse lets a booking's hold be past, in the database and in the gate.
func (r *Rig) lapse(ctx context.Context, user, id int64) error {
	b, err := r.store.Booking(ctx, user, id)
	if err != nil {
		return err
	}
	return errors.Join(
		postgrestest.Exec(ctx, r.Owner, `UPDATE booking SET hold_expires_at = now() - interval '1 second' WHERE id = $1`, id),
		r.gate.Release(ctx, b.Hold()),
	)
}
