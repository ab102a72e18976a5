package hold_test

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"stayhold/shared/booking"
	"stayhold/shared/hold"
	"stayhold/shared/hold/holdtest"
)

const (
	product = int64(7)
	long    = time.Minute
)

// rig is a gate of the test's own keys, and the same keys by hand.
type rig struct {
	*hold.Gate
	t      testing.TB
	raw    *redis.Client
	prefix string
}

// run tells the keys of this run from those of earlier ones on the same server.
var run = strconv.FormatInt(time.Now().UnixNano(), 36)

func newRig(t testing.TB) rig {
	t.Helper()
	url := holdtest.URL(t)
	return rig{Gate: newGate(t, url), t: t, raw: byHand(t, url), prefix: prefix(t)}
}

// on is a rig on a system of the test's own; on a cluster it has no hands.
func on(s system) rig {
	s.t.Helper()
	r := rig{Gate: newGate(s.t, s.url), t: s.t, prefix: prefix(s.t)}
	if !s.many {
		r.raw = s.nodes[0]
	}
	return r
}

func newGate(t testing.TB, url string) *hold.Gate {
	t.Helper()
	g, err := hold.New(hold.Options{URL: url, Timeout: 20 * time.Second, Prefix: prefix(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Close() })
	return g
}

func prefix(t testing.TB) string { return t.Name() + "." + run + ":" }

func (r rig) key(name string) string {
	return fmt.Sprintf("%sstayhold:{%d}:%s", r.prefix, product, name)
}

// sale is facts of a product on sale.
func sale(stock int64) booking.Facts {
	now := time.Now()
	return booking.Facts{ProductID: product, Version: 1, Stock: stock, Active: true,
		SaleStartAt: now.Add(-time.Hour), CheckInAt: now.Add(24 * time.Hour)}
}

// warm seeds the gate.
func (r rig) warm(f booking.Facts, places ...booking.Place) {
	r.t.Helper()
	ctx := r.t.Context()
	if ok, err := r.MarkWarm(ctx, f.ProductID, "warmer"); err != nil || !ok {
		r.t.Fatalf("mark: %v %v", ok, err)
	}
	if ok, err := r.Seed(ctx, "warmer", f, places); err != nil || !ok {
		r.t.Fatalf("seed: %v %v", ok, err)
	}
}

// token makes one of 32 digits out of a short name.
func token(name string) string { return (strings.Repeat("0", 32) + name)[len(name):] }

func at(user int64, name string) booking.Hold {
	return booking.Hold{ProductID: product, UserID: user, Token: token(name)}
}

// place expects a code.
func (r rig) place(user int64, name string, want booking.PlaceCode) booking.Placement {
	r.t.Helper()
	p, err := r.Place(r.t.Context(), at(user, name), long)
	if err != nil {
		r.t.Fatal(err)
	}
	if p.Code != want {
		r.t.Fatalf("user %d, token %s: %s, want %s", user, name, p.Code, want)
	}
	return p
}

func (r rig) ensure(user int64, name string, deadline time.Time, want booking.EnsureCode) {
	r.t.Helper()
	code, err := r.Ensure(r.t.Context(), at(user, name), deadline)
	if err != nil {
		r.t.Fatal(err)
	}
	if code != want {
		r.t.Fatalf("ensure user %d, token %s: %s, want %s", user, name, code, want)
	}
}

func (r rig) confirm(user int64, name string, booking int64) {
	r.t.Helper()
	if err := r.Confirm(r.t.Context(), at(user, name), booking); err != nil {
		r.t.Fatal(err)
	}
}

func (r rig) release(user int64, name string) {
	r.t.Helper()
	if err := r.Release(r.t.Context(), at(user, name)); err != nil {
		r.t.Fatal(err)
	}
}

// lapse moves a hold's expiry into the past, as time would.
func (r rig) lapse(users ...int64) {
	r.t.Helper()
	for _, u := range users {
		past := float64(time.Now().Add(-time.Second).UnixMilli())
		r.must(r.raw.ZAdd(r.t.Context(), r.key("holds"), redis.Z{Score: past, Member: decimal(u)}).Err())
	}
}

// expiry is the score of a user's place: 0 for none.
func (r rig) expiry(user int64) float64 {
	r.t.Helper()
	score, err := r.raw.ZScore(r.t.Context(), r.key("holds"), decimal(user)).Result()
	if errors.Is(err, redis.Nil) {
		return 0
	}
	r.must(err)
	return score
}

func (r rig) occupancy() booking.Occupancy {
	r.t.Helper()
	all, err := r.Occupancies(r.t.Context(), product)
	r.must(err)
	return all[0]
}

// counts expects how many units are available, held and confirmed.
func (r rig) counts(available, held, confirmed int64) {
	r.t.Helper()
	o := r.occupancy()
	if o.Available != available || o.Held != held || o.Confirmed != confirmed {
		r.t.Fatalf("available, held, confirmed are %d, %d, %d, want %d, %d, %d",
			o.Available, o.Held, o.Confirmed, available, held, confirmed)
	}
}

// full tells until when the early sold-out gate is shut: empty when it is open.
func (r rig) full() string {
	r.t.Helper()
	s, err := r.raw.HGet(r.t.Context(), r.key("product"), "full_until").Result()
	if errors.Is(err, redis.Nil) {
		return ""
	}
	r.must(err)
	return s
}

func (r rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func decimal(n int64) string { return strconv.FormatInt(n, 10) }

var inf = math.Inf(1)
