package simulation_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"stayhold/shared/booking"
	"stayhold/shared/booking/bookingtest"
)

// The arrows of the contract's diagram. Registering another set is the only one that leads back.
var (
	bookingArrows = map[booking.Status][]booking.Status{
		"":                     {booking.Init},
		booking.Init:           {booking.PaymentPending, booking.Failed, booking.Cancelled},
		booking.PaymentPending: {booking.Init, booking.Confirmed, booking.Failed, booking.Cancelled},
		booking.Confirmed:      {booking.Cancelled},
	}
	paymentArrows = map[booking.PaymentStatus][]booking.PaymentStatus{
		"":                     {booking.PaymentReady},
		booking.PaymentReady:   {booking.PaymentSuccess, booking.PaymentFailed, booking.PaymentCancelled},
		booking.PaymentSuccess: {booking.PaymentCancelled},
	}
)

// observer looks at the rows between any two port calls and follows each state.
type observer struct {
	db       *bookingtest.Database
	bookings map[int64]booking.Status
	payments map[int64]booking.PaymentStatus
	faults   []string
}

func (o *observer) look() {
	rows := o.db.Rows()
	for _, b := range rows.Bookings {
		follow(o, "booking", bookingArrows, o.bookings, b.ID, b.Status)
	}
	for _, p := range rows.Payments {
		follow(o, "payment", paymentArrows, o.payments, p.ID, p.Status)
	}
}

func follow[S ~string](o *observer, what string, arrows map[S][]S, seen map[int64]S, id int64, is S) {
	if was := seen[id]; is != was && !slices.Contains(arrows[was], is) {
		o.faults = append(o.faults, fmt.Sprintf("%s %d went from %q to %q", what, id, was, is))
	}
	seen[id] = is
}

// property runs a check in a bubble whose time passes only when it sleeps. A bubble has no deadline to ask for, and so the
// test is shown without that method.
func property(t *testing.T, check func(t *rapid.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { rapid.Check(struct{ testing.TB }{t}, check) })
}

// Whatever buyers, messages and sweeps do in whatever order, states change along the arrows of the diagram only.
func TestStatesFollowTheDiagram(t *testing.T) {
	property(t, func(t *rapid.T) {
		w := newWorld(context.Background())
		product := w.product(2, "50000")
		w.grant(1, "60000")
		w.grant(2, "20000")
		seen := &observer{db: w.db, bookings: map[int64]booking.Status{}, payments: map[int64]booking.PaymentStatus{}}
		c := steps{w.ports().Between(func(context.Context, string) bookingtest.Fate {
			seen.look()
			return bookingtest.Passes
		}), w.ctx, w}
		user := rapid.Int64Range(1, 3)
		latest := func(user int64) int64 {
			rows := w.db.Rows().Bookings
			for _, b := range slices.Backward(rows) {
				if b.UserID == user {
					return b.ID
				}
			}
			return 1 // another's, or nobody's
		}
		on := func(step func(user, id int64) (booking.Result, error)) func(*rapid.T) {
			return func(t *rapid.T) {
				u := user.Draw(t, "user")
				_, _ = step(u, latest(u)) // a refusal is an answer too
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"reserve": on(func(u, _ int64) (booking.Result, error) { return c.reserve(u, product, nil) }),
			"register": func(t *rapid.T) {
				set := rapid.SampledFrom(sets).Draw(t, "set")
				on(func(u, id int64) (booking.Result, error) { return c.register(u, id, set) })(t)
			},
			"approve": func(t *rapid.T) {
				key := rapid.SampledFrom(keyPrefixes).Draw(t, "key") + rapid.SampledFrom([]string{"a", "b"}).Draw(t, "end")
				on(func(u, id int64) (booking.Result, error) { return c.approve(u, id, key) })(t)
			},
			"complete": on(c.complete),
			"cancel":   on(c.cancel),
			"message":  on(func(_, id int64) (booking.Result, error) { return booking.Result{}, c.compensate(id) }),
			"sweep":    func(*rapid.T) { _ = c.sweep() },
			"stock": func(t *rapid.T) {
				_, _ = c.admin().AdjustStock(c.ctx, product, rapid.SampledFrom([]int64{-1, 1}).Draw(t, "delta"), "test")
			},
			"time": func(t *rapid.T) {
				time.Sleep(rapid.SampledFrom([]time.Duration{time.Second, 30 * time.Second, 5 * time.Minute, 11 * time.Minute}).Draw(t, "passes"))
			},
			"": func(t *rapid.T) {
				seen.look()
				if len(seen.faults) > 0 {
					t.Fatal(seen.faults)
				}
			},
		})
	})
}

// A set is accepted exactly when its methods go together, its amounts sum to the total to the last digit, and the points
// are there; of several faults the contract names the first.
func TestSetsAreAcceptedAsTheContractSays(t *testing.T) {
	cents := func(n int64) decimal.Decimal { return decimal.New(n, -2) }
	property(t, func(t *rapid.T) {
		w := newWorld(context.Background())
		price := rapid.Int64Range(1, 999_999_999_999_998).Draw(t, "price") // a cent more is an amount still
		balance := rapid.Int64Range(1, 999_999_999_999_999).Draw(t, "balance")
		w.grant(1, cents(balance).String())
		made, err := w.plain().reserve(1, w.product(1, cents(price).String()), nil)
		if err != nil {
			t.Fatal(err)
		}
		methods := rapid.Permutation(booking.Methods).Draw(t, "methods")[:rapid.IntRange(1, 3).Draw(t, "of them")]
		left, gateways, sum, points := price, 0, int64(0), int64(0)
		var set booking.Set
		for i, m := range methods {
			part := rapid.Int64Range(1, max(1, left)).Draw(t, "part")
			if i == len(methods)-1 {
				part = max(1, left+rapid.SampledFrom([]int64{0, 0, 0, 1, -1}).Draw(t, "off"))
			}
			left, sum = left-part, sum+part
			if m == booking.Point {
				points = part
			} else {
				gateways++
			}
			set = append(set, booking.Part{Method: m, Amount: cents(part)})
		}
		var want error
		switch {
		case gateways > 1:
			want = booking.ErrMethodCombination
		case sum != price:
			want = booking.ErrAmountMismatch
		case points > balance:
			want = booking.ErrInsufficientPoints
		}
		if !set.Sum().Equal(cents(sum)) {
			t.Fatalf("the sum of %v is %v", set, set.Sum())
		}
		got, err := w.plain().register(1, made.Booking.ID, set)
		if !errors.Is(err, want) || (want == nil) != (err == nil) {
			t.Fatalf("%v of %d with %d points: %v, want %v", set, price, balance, err, want)
		}
		if after := got.Booking.Status; err == nil && (after == booking.PaymentPending) != (gateways == 0) {
			t.Fatalf("%v: the booking is %s", set, after)
		}
	})
}
