package booking_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"stayhold/shared/booking"
	"stayhold/shared/hold/holdtest"
	"stayhold/shared/postgres/postgrestest"
)

// standing is all that stands: the rows of each table, and the gate's keys of each
// product but for marks and warm, which hold nothing: they only say that somebody looks.
type standing map[string]string

func (w *world) standing(products ...int64) standing {
	w.t.Helper()
	all := standing{}
	ask := postgrestest.Answers(w.t, w.databaseURL)
	row := func(sql string) string {
		text, err := ask(sql)
		if err != nil {
			w.t.Fatal(err)
		}
		return text
	}
	for table := range strings.FieldsSeq(row(`SELECT string_agg(tablename, ' ') FROM pg_tables WHERE schemaname = 'public'`)) {
		all[table] = row(fmt.Sprintf(`SELECT coalesce(string_agg(to_jsonb(t)::text, E'\n' ORDER BY to_jsonb(t)::text), '') FROM %q AS t`, table))
	}
	for _, product := range products {
		for name, command := range map[string][]any{
			"product": {"HGETALL"}, "tokens": {"HGETALL"}, "bookings": {"HGETALL"}, "holds": {"ZRANGE", "0", "-1", "WITHSCORES"},
		} {
			key := servers{w}.key(product, name)
			answer, err := holdtest.Do(w.t.Context(), w.redisURL, slices.Insert(command, 1, any(key))...)
			if err != nil {
				w.t.Fatal(err)
			}
			all[key] = fmt.Sprint(answer)
		}
	}
	return all
}

// same reports what differs.
func (s standing) same(t *testing.T, now standing, when string) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(now)) {
		if s[name] != now[name] {
			t.Errorf("%s: %s was\n%s\nand is\n%s", when, name, s[name], now[name])
		}
	}
}

// everyState makes a booking in each state in which nothing is owed and nothing is due.
func (w *world) everyState(product int64) map[string]booking.Booking {
	w.t.Helper()
	must := func(_ booking.Result, err error) {
		w.t.Helper()
		if err != nil {
			w.t.Fatal(err)
		}
	}
	user := int64(100)
	open := func(set booking.Set) booking.Booking {
		user++
		w.grant(user, "100000")
		b := w.reserve(user, product)
		if set != nil {
			b = w.register(b, set)
		}
		return b
	}
	paid := func(set booking.Set) booking.Booking {
		b := open(set)
		must(w.approve(b, "ok-"+b.HoldToken))
		return b
	}
	all := map[string]booking.Booking{
		"held": open(nil), "registered": open(card("100000")), "points registered": open(points("100000")),
		"declined": open(card("100000")), "in flight": open(card("100000")), "closed": open(card("100000")),
		"paid": paid(card("100000")), "sold": paid(both("1000", booking.Card, "99000")), "sold for points": open(points("100000")),
		"cancelled": open(nil), "refunded": paid(card("100000")), "sold and refunded": paid(both("1000", booking.YPay, "99000")),
		"lapsed": open(card("100000")), "lapsed and refunded": paid(card("100000")), "points gone": paid(both("1000", booking.Card, "99000")),
	}
	if _, err := w.approve(all["declined"], "decline-1"); !errors.Is(err, booking.ErrPaymentDeclined) {
		w.t.Fatal(err)
	}
	w.begin(all["closed"], "timeout-1")
	w.exec(`UPDATE payment_attempt SET lease_until = now() - interval '1 hour', next_try_at = now(), sendable_until = now() - interval '1 hour'`+
		` WHERE booking_id = $1`, all["closed"].ID)
	for _, name := range []string{"sold", "sold for points", "sold and refunded"} {
		must(w.complete(all[name]))
	}
	for _, name := range []string{"cancelled", "refunded", "sold and refunded"} {
		must(w.cancel(all[name]))
	}
	w.stage.lapse(all["lapsed"])
	w.stage.lapse(all["lapsed and refunded"])
	w.grant(all["points gone"].UserID, "-99999.99")
	if _, err := w.complete(all["points gone"]); !errors.Is(err, booking.ErrInsufficientPoints) {
		w.t.Fatal(err)
	}
	w.deliver()
	w.sweep()
	w.deliver()
	// Last, so that no sweep finds its lease over: it lasts longer than any test.
	w.begin(all["in flight"], "ok-1")
	w.exec(`UPDATE payment_attempt SET lease_until = now() + interval '1 hour', next_try_at = now() + interval '1 hour' WHERE booking_id = $1`,
		all["in flight"].ID)
	return all
}
