package booking_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"stayhold/shared/api"
	"stayhold/shared/booking"
	"stayhold/shared/hold/holdtest"
	"stayhold/shared/postgres/postgrestest"
)

// missingID is a booking that nobody has.
const missingID = int64(4_000_000_000)

// callsOnBookings are the calls whose path names a booking, as their functions serve them.
func (w *world) callsOnBookings() map[string]lambda.Handler {
	edge := api.New(api.Options{Recaller: w.store, Log: io.Discard})
	return map[string]lambda.Handler{
		"POST /bookings/{bookingId}/payments/register":   edge.Register(booking.Register{Store: w.storePort}.Run),
		"POST /bookings/{bookingId}/payments/pg-approve": edge.Approve(w.approveStep().Run),
		"POST /bookings/{bookingId}/complete":            edge.Complete(w.completeStep().Run),
		"POST /bookings/{bookingId}/cancel":              edge.Cancel(w.cancelStep().Run),
		"GET /bookings/{bookingId}":                      edge.Query(w.query()),
	}
}

// requestFor is the event of a call on a booking by a user, with an Idempotency-Key unless that is empty.
func requestFor(t *testing.T, route string, bookingID, user int64, key string) []byte {
	t.Helper()
	body := map[string]string{
		"POST /bookings/{bookingId}/payments/register":   `{"payments":[{"method":"CARD","amount":"100000"}]}`,
		"POST /bookings/{bookingId}/payments/pg-approve": `{"paymentKey":"ok-1"}`,
	}[route]
	headers := map[string]string{"content-type": "application/json"}
	if key != "" {
		headers["idempotency-key"] = key
	}
	_, path, _ := strings.Cut(route, " ")
	event, err := json.Marshal(map[string]any{
		"version": "2.0", "routeKey": route, "rawPath": strings.Replace(path, "{bookingId}", fmt.Sprint(bookingID), 1),
		"pathParameters": map[string]string{"bookingId": fmt.Sprint(bookingID)}, "headers": headers, "body": body,
		"requestContext": map[string]any{"requestId": "r-1", "authorizer": map[string]any{"jwt": map[string]any{"claims": map[string]string{"sub": fmt.Sprint(user)}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return event
}

// TestAStrangerLearnsNothing holds what a stranger gets for a booking in each state
// against what he gets for none: the same bytes, after the same work of database and
// gate, on the wire. Nor does a row come that he is not shown: its size takes time.
func TestAStrangerLearnsNothing(t *testing.T) {
	w := newWorld(t)
	product := w.product(20)
	all := w.everyState(product)
	const stranger = int64(7)
	w.reserve(stranger, w.product(1))
	// The owner's own key, with the answer that he got for it, is nobody else's.
	owner := all["sold"]
	for _, route := range []string{"POST /bookings/{bookingId}/complete", "POST /bookings/{bookingId}/payments/pg-approve"} {
		out, err := w.callsOnBookings()[route].Invoke(t.Context(), requestFor(t, route, owner.ID, owner.UserID, "known"))
		if err != nil || !strings.Contains(string(out), `"statusCode":200`) {
			t.Fatalf("%s by its owner: %s %v", route, out, err)
		}
	}
	before := w.standing(product)

	database, redis := postgrestest.Proxy(t, w.databaseURL), holdtest.Proxy(t, w.redisURL)
	w.store, w.gate = w.openStore(database.URL()), w.openGate(redis.URL(), w.prefix)
	w.plain()
	type work struct {
		answer                    string
		trips, received, commands int
		statements, keys          string
	}
	for route, handler := range w.callsOnBookings() {
		for _, key := range []string{"", "known"} {
			ask := func(id int64) work {
				t.Helper()
				database.Reset()
				redis.Reset()
				out, err := handler.Invoke(t.Context(), requestFor(t, route, id, stranger, key))
				if err != nil {
					t.Fatal(err)
				}
				return work{string(out), database.Trips(), database.Received(), len(redis.Commands()), strings.Join(database.Trace(), "\n"), fmt.Sprint(redis.Trace())}
			}
			ask(missingID) // warm: the statements
			missing := ask(missingID)
			if !strings.Contains(missing.answer, `"statusCode":404`) || !strings.Contains(missing.answer, "BOOKING_NOT_FOUND") {
				t.Errorf("%s: %s", route, missing.answer)
			}
			if missing.trips == 0 || missing.commands != 0 {
				t.Errorf("%s: %d round trips and %d commands for nothing", route, missing.trips, missing.commands)
			}
			for _, state := range slices.Sorted(maps.Keys(all)) {
				if foreign := ask(all[state].ID); foreign != missing {
					t.Errorf("%s, key %q: another's booking, %s:\n%+v\na missing one:\n%+v", route, key, state, foreign, missing)
				}
			}
		}
	}
	before.same(t, w.standing(product), "after the stranger")
}

// TestAStrangerWaitsForNobody asks for bookings on which their owners are at work: who
// would wait for them knows that there is something to wait for, and could hold it up.
func TestAStrangerWaitsForNobody(t *testing.T) {
	w := newWorld(t)
	product := w.product(20)
	all := w.everyState(product)
	postgrestest.Lock(t, w.databaseURL, `SELECT FROM booking WHERE product_id = $1 FOR UPDATE`, product)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for route, handler := range w.callsOnBookings() {
		for state, b := range all {
			out, err := handler.Invoke(ctx, requestFor(t, route, b.ID, 7, "k"))
			if err != nil || !strings.Contains(string(out), "BOOKING_NOT_FOUND") {
				t.Errorf("%s on another's booking, %s, while it is locked: %s %v", route, state, out, err)
			}
		}
	}
}
