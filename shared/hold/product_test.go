package hold_test

import (
	"context"
	"errors"
	"math"
	"sync/atomic"
	"testing"
	"time"

	"stayhold/lua"
	"stayhold/shared/booking"
	"stayhold/shared/hold/holdtest"
)

func TestOccupancies(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	f := sale(3)
	f.Version = math.MaxInt64
	f.SaleStartAt = f.SaleStartAt.Truncate(time.Millisecond).UTC()
	f.CheckInAt = f.CheckInAt.Truncate(time.Millisecond).UTC()
	r.warm(f, booking.Place{UserID: 1, Token: token("a"), Deadline: time.Now().Add(long)},
		booking.Place{UserID: 2, Token: token("b"), Confirmed: true, BookingID: 4},
		booking.Place{UserID: 3, Token: token("c"), Deadline: time.Now().Add(long)})
	r.lapse(3)
	other := f
	other.ProductID, other.Stock, other.Active = 8, 1, false
	r.warm(other, booking.Place{UserID: 1, Token: token("d"), Confirmed: true, BookingID: 5},
		booking.Place{UserID: 2, Token: token("e"), Confirmed: true, BookingID: 6})

	got, err := r.Occupancies(t.Context(), 8, 99, product)
	r.must(err)
	want := []booking.Occupancy{
		{Facts: other, Available: 0, Confirmed: 2},
		{Cold: true, Facts: booking.Facts{ProductID: 99}},
		{Facts: f, Available: 1, Held: 1, Confirmed: 1},
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%+v\nwant %+v", got[i], want[i])
		}
	}
	if none, err := r.Occupancies(t.Context()); err != nil || len(none) != 0 {
		t.Errorf("%v %v", none, err)
	}
}

func TestMarkWarm(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	mark := func(nonce string, want bool) {
		t.Helper()
		if ok, err := r.MarkWarm(t.Context(), product, nonce); err != nil || ok != want {
			t.Errorf("%s: %v %v", nonce, ok, err)
		}
	}
	mark("n", true)
	mark("other", false)
	first := r.raw.PTTL(t.Context(), r.key("warm")).Val()
	if first <= 0 || first > 3*time.Second {
		t.Errorf("the mark stands for %v", first)
	}
	r.must(r.raw.Persist(t.Context(), r.key("warm")).Err())
	mark("n", true) // asked again after a lost reply
	if again := r.raw.PTTL(t.Context(), r.key("warm")).Val(); again >= 0 {
		t.Errorf("the mark's age began anew: %v", again)
	}
	r.must(r.raw.PExpire(t.Context(), r.key("warm"), time.Millisecond).Err())
	until(t, "the mark of a dead warmer lapses", func() bool {
		ok, err := r.MarkWarm(t.Context(), product, "other")
		r.must(err)
		return ok
	})
	if ok, err := r.Seed(t.Context(), "n", sale(1), nil); err != nil || ok {
		t.Errorf("seeded under another's mark: %v %v", ok, err)
	}
	if ok, err := r.Seed(t.Context(), "other", sale(1), nil); err != nil || !ok {
		t.Errorf("not seeded: %v %v", ok, err)
	}
	mark("third", false) // warm by now
	if n := r.raw.Exists(t.Context(), r.key("warm")).Val(); n != 0 {
		t.Error("the mark stays behind")
	}
}

func TestSeedOnlyAColdGate(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if ok, err := r.Seed(t.Context(), "n", sale(1), nil); err != nil || ok {
		t.Errorf("seeded without a mark: %v %v", ok, err)
	}
	r.warm(sale(1))
	r.must(r.raw.Set(t.Context(), r.key("warm"), "n", 0).Err())
	if ok, err := r.Seed(t.Context(), "n", sale(5), nil); err != nil || ok {
		t.Errorf("seeded a warm gate: %v %v", ok, err)
	}
	r.counts(1, 0, 0)
}

func TestSeedBeginsClean(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.warm(sale(3), booking.Place{UserID: 1, Token: token("a"), Confirmed: true, BookingID: 4},
		booking.Place{UserID: 2, Token: token("b"), Deadline: time.Now().Add(long)})
	r.cool()
	r.warm(sale(3), booking.Place{UserID: 3, Token: token("c"), Deadline: time.Now().Add(long)},
		booking.Place{UserID: 4, Token: token("d"), Deadline: time.Now().Add(-time.Second)})
	r.counts(2, 1, 0)
	if got := r.raw.HGetAll(t.Context(), r.key("tokens")).Val(); len(got) != 1 || got["3"] != token("c") {
		t.Errorf("tokens are %v", got)
	}
	if n := r.raw.Exists(t.Context(), r.key("bookings")).Val(); n != 0 {
		t.Error("bookings of before are left behind")
	}
}

func TestFiftyWarmOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var seeded atomic.Int64
	r.must(together(50, func(i int) error {
		ctx, nonce := context.Background(), decimal(int64(i))
		for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
			p, err := r.Place(ctx, at(int64(i+1), nonce), long)
			if err != nil || p.Code == booking.PlaceNew {
				return err
			}
			if ok, err := r.MarkWarm(ctx, product, nonce); err != nil || !ok {
				continue
			}
			ok, err := r.Seed(ctx, nonce, sale(50), nil)
			if err != nil {
				return err
			}
			if ok {
				seeded.Add(1)
			}
		}
		return errors.New("never warm")
	}))
	if seeded.Load() != 1 {
		t.Errorf("seeded %d times", seeded.Load())
	}
	r.counts(0, 50, 0)
}

func TestSeedAHundredThousandPlaces(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	places := make([]booking.Place, 100_000)
	for i := range places {
		places[i] = booking.Place{UserID: int64(i + 1), Token: token(decimal(int64(i)))}
		if places[i].Confirmed = i%2 == 0; places[i].Confirmed {
			places[i].BookingID = int64(i + 1000)
		} else {
			places[i].Deadline = time.Now().Add(time.Hour)
		}
	}
	if ok, err := r.MarkWarm(t.Context(), product, "n"); err != nil || !ok {
		t.Fatal(ok, err)
	}
	// Others wait for the server while it writes: no call may bring more than 250 places.
	w := holdtest.Proxy(t, holdtest.URL(t))
	if ok, err := newGate(t, w.URL()).Seed(t.Context(), "n", sale(100_001), places); err != nil || !ok {
		t.Fatal(ok, err)
	}
	for _, call := range w.Trace() {
		if len(call) > 1_020 {
			t.Fatalf("one %s of %d arguments", call[0], len(call))
		}
	}
	r.counts(1, 50_000, 50_000)
	if p := r.place(99_999, "x", booking.PlacePurchased); p.BookingID != 99_998+1000 {
		t.Errorf("%+v", p)
	}
	if p := r.place(100_000, "x", booking.PlaceDuplicate); p.Token != token("99999") {
		t.Errorf("%+v", p)
	}
}

// A gate of which a part is written is cold, and what happens to it makes the parts that follow void. Each part renews the
// mark: a caller who writes is no dead one.
func TestSeedInParts(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	part := func(written int, last string, user int64, want int64) {
		t.Helper()
		f := sale(5)
		got, err := r.raw.Eval(t.Context(), lua.SeedProduct.Source,
			[]string{r.key("product"), r.key("holds"), r.key("tokens"), r.key("warm"), r.key("bookings")},
			"n", written, last, 3000, f.Version, f.Stock, f.SaleStartAt.UnixMilli(), f.CheckInAt.UnixMilli(), 1,
			user, token(decimal(user)), "+inf", user).Int64()
		if err != nil || got != want {
			t.Errorf("the part of user %d: %v %v", user, got, err)
		}
	}
	begin := func(user int64) {
		t.Helper()
		if ok, err := r.MarkWarm(t.Context(), product, "n"); err != nil || !ok {
			t.Fatal(ok, err)
		}
		r.must(r.raw.Persist(t.Context(), r.key("warm")).Err())
		part(0, "0", user, 1)
		if left := r.raw.PTTL(t.Context(), r.key("warm")).Val(); left <= 0 || left > 3*time.Second {
			t.Errorf("after a part the mark stands for %v", left)
		}
		if !r.occupancy().Cold {
			t.Error("warm after the first part")
		}
		if ok, err := r.MarkWarm(t.Context(), product, "another"); err != nil || ok {
			t.Errorf("another one's mark beside it: %v %v", ok, err)
		}
		r.place(user, "x", booking.PlaceCold)
	}
	for name, disturb := range map[string]func(){
		"a release": func() { r.must(r.Release(t.Context(), at(1, "1"))) },
		"a confirm": func() { r.must(r.Confirm(t.Context(), at(1, "1"), 1)) },
		"an ensure": func() {
			if code, err := r.Ensure(t.Context(), at(1, "1"), time.Now().Add(time.Hour)); err != nil || code != booking.EnsureCold {
				t.Errorf("ensure: %v %v", code, err)
			}
		},
		"a flush": func() {
			r.must(r.raw.Del(t.Context(), r.key("warm"), r.key("holds"), r.key("tokens"), r.key("bookings")).Err())
		},
	} {
		begin(1)
		disturb()
		part(1, "1", 2, 0)
		if !r.occupancy().Cold {
			t.Errorf("warm in spite of %s", name)
		}
	}
	begin(5)           // clean
	part(2, "1", 4, 0) // the second part is missing, as after a failover
	part(0, "1", 4, 0) // a call that comes late
	part(1, "0", 3, 1)
	part(2, "1", 2, 1)
	for _, user := range []int64{2, 3, 5} {
		if p := r.place(user, "x", booking.PlacePurchased); p.BookingID != user {
			t.Errorf("%+v", p)
		}
	}
	part(3, "1", 4, 0) // warm by now
	r.counts(2, 0, 3)
}

func TestPutFacts(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	put := func(version, stock int64, want bool) {
		t.Helper()
		f := sale(stock)
		f.Version = version
		if ok, err := r.PutFacts(t.Context(), f); err != nil || ok != want {
			t.Errorf("version %d: %v %v", version, ok, err)
		}
	}
	put(1, 1, false) // cold stays cold
	if !r.occupancy().Cold {
		t.Error("not cold any more")
	}
	f := sale(2)
	f.Version = 9
	r.warm(f)
	put(9, 3, false)
	put(8, 3, false)
	r.counts(2, 0, 0)
	put(10, 4, true)
	put(9, 5, false)
	r.counts(4, 0, 0)
	put(1<<53, 5, true)
	put(1<<53+1, 6, true) // one more than a number can tell
	put(1<<53, 7, false)
	r.counts(6, 0, 0)

	for _, bad := range []booking.Facts{{Version: -1}, {Stock: -1}} {
		if _, err := r.PutFacts(t.Context(), bad); !errors.Is(err, booking.ErrInternal) {
			t.Errorf("%+v: %v", bad, err)
		}
		if _, err := r.Seed(t.Context(), "n", bad, nil); !errors.Is(err, booking.ErrInternal) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

func TestPutFactsChangesTheSale(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.warm(sale(1))
	f := sale(1)
	for _, step := range []struct {
		change func()
		want   booking.PlaceCode
	}{
		{func() { f.Active = false }, booking.PlaceInactive},
		{func() { f.Active, f.SaleStartAt = true, time.Now().Add(time.Hour) }, booking.PlaceNotOpen},
		{func() { f.SaleStartAt, f.CheckInAt = time.Unix(0, 0), time.Unix(1, 0) }, booking.PlaceClosed},
		{func() { f.CheckInAt = time.Now().Add(time.Hour) }, booking.PlaceNew},
	} {
		step.change()
		f.Version++
		if ok, err := r.PutFacts(t.Context(), f); err != nil || !ok {
			t.Fatal(ok, err)
		}
		r.place(1, "a", step.want)
	}
}

func TestStockLoweredUnderLiveHolds(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.warm(sale(3))
	for u := range int64(3) {
		r.place(u+1, decimal(u), booking.PlaceNew)
	}
	f := sale(1)
	f.Version = 2
	_, err := r.PutFacts(t.Context(), f)
	r.must(err)
	r.counts(0, 3, 0)
	r.release(1, "0")
	r.place(9, "z", booking.PlaceSoldOut)
	r.release(2, "1")
	r.place(9, "z", booking.PlaceSoldOut)
	r.release(3, "2")
	r.place(9, "z", booking.PlaceNew)
}
