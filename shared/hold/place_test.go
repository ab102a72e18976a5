package hold_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"stayhold/shared/booking"
)

func TestPlaceAnswers(t *testing.T) {
	t.Parallel()
	soon, past := time.Now().Add(time.Hour).Truncate(time.Millisecond), time.Now().Add(-time.Hour)
	for _, c := range []struct {
		name  string
		facts func(*booking.Facts)
		user  int64
		want  booking.PlaceCode
	}{
		{"new", func(*booking.Facts) {}, 9, booking.PlaceNew},
		{"inactive", func(f *booking.Facts) { f.Active = false }, 9, booking.PlaceInactive},
		{"inactive before duplicate", func(f *booking.Facts) { f.Active = false }, 1, booking.PlaceInactive},
		{"duplicate", func(*booking.Facts) {}, 1, booking.PlaceDuplicate},
		{"purchased", func(*booking.Facts) {}, 2, booking.PlacePurchased},
		{"not open", func(f *booking.Facts) { f.SaleStartAt = soon }, 9, booking.PlaceNotOpen},
		{"duplicate before not open", func(f *booking.Facts) { f.SaleStartAt = soon }, 1, booking.PlaceDuplicate},
		{"not open before sold out", func(f *booking.Facts) { f.SaleStartAt, f.Stock = soon, 2 }, 9, booking.PlaceNotOpen},
		{"closed", func(f *booking.Facts) { f.CheckInAt = past }, 9, booking.PlaceClosed},
		{"purchased before closed", func(f *booking.Facts) { f.CheckInAt = past }, 2, booking.PlacePurchased},
		{"closed before sold out", func(f *booking.Facts) { f.CheckInAt, f.Stock = past, 2 }, 9, booking.PlaceClosed},
		{"sold out", func(f *booking.Facts) { f.Stock = 2 }, 9, booking.PlaceSoldOut},
		{"duplicate before sold out", func(f *booking.Facts) { f.Stock = 2 }, 1, booking.PlaceDuplicate},
		{"purchased before sold out", func(f *booking.Facts) { f.Stock = 2 }, 2, booking.PlacePurchased},
		{"an expired hold of one's own is replaced", func(f *booking.Facts) { f.Stock = 3 }, 3, booking.PlaceNew},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			f := sale(10)
			c.facts(&f)
			held := time.Now().Add(time.Hour).Truncate(time.Millisecond)
			r.warm(f, booking.Place{UserID: 1, Token: token("a1"), Deadline: held},
				booking.Place{UserID: 2, Token: token("a2"), Confirmed: true, BookingID: 1 << 60},
				booking.Place{UserID: 3, Token: token("a3"), Deadline: held})
			r.lapse(3)
			for range 2 { // the second time the early sold-out gate answers
				p := r.place(c.user, "b", c.want)
				switch {
				case c.want == booking.PlaceNew:
					if left := time.Until(p.Deadline); p.Token != token("b") || left < 50*time.Second || left > long {
						t.Errorf("%+v", p)
					}
					c.want = booking.PlaceDuplicate
				case c.want == booking.PlaceDuplicate && c.user != 1:
					if p.Token != token("b") {
						t.Errorf("%+v", p)
					}
				case c.want == booking.PlaceDuplicate, c.want == booking.PlaceSoldOut:
					if !p.Deadline.Equal(held) {
						t.Errorf("%+v, want %v", p, held)
					}
				case c.want == booking.PlacePurchased && p.BookingID != 1<<60,
					c.want == booking.PlaceNotOpen && !p.Deadline.Equal(soon):
					t.Errorf("%+v", p)
				}
				if c.user == 1 && c.want == booking.PlaceDuplicate && p.Token != token("a1") {
					t.Errorf("%+v", p)
				}
			}
		})
	}
}

func TestPlaceOnColdGate(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if p := r.place(1, "a", booking.PlaceCold); !p.Deadline.IsZero() || p.Token != "" {
		t.Errorf("%+v", p)
	}
	if n, err := r.raw.Exists(t.Context(), r.key("holds"), r.key("tokens"), r.key("product")).Result(); err != nil || n != 0 {
		t.Errorf("a cold gate has %d keys, %v", n, err)
	}
}

func TestSoldOutWithoutAnyLiveHold(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.warm(sale(1), booking.Place{UserID: 1, Token: token("a"), Confirmed: true, BookingID: 5})
	for range 2 {
		if p := r.place(2, "b", booking.PlaceSoldOut); !p.Deadline.IsZero() {
			t.Errorf("%+v", p)
		}
	}
	f := sale(0)
	f.Version = 2
	if ok, err := r.PutFacts(t.Context(), f); err != nil || !ok {
		t.Fatal(ok, err)
	}
	r.release(1, "a")
	if p := r.place(2, "b", booking.PlaceSoldOut); !p.Deadline.IsZero() {
		t.Errorf("%+v", p)
	}
	r.counts(0, 0, 0)
}

func TestLastUnitIsHeldOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.warm(sale(1))
	var admitted atomic.Int64
	r.must(together(50, func(i int) error {
		p, err := r.Place(context.Background(), at(int64(i+1), decimal(int64(i+1))), long)
		switch {
		case err != nil:
			return err
		case p.Code == booking.PlaceNew:
			admitted.Add(1)
		case p.Code != booking.PlaceSoldOut:
			return errors.New(string(p.Code))
		}
		return nil
	}))
	if admitted.Load() != 1 {
		t.Errorf("%d were admitted to one unit", admitted.Load())
	}
	r.counts(0, 1, 0)
}

func TestOneUserHoldsOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.warm(sale(50))
	var placed [50]booking.Placement
	r.must(together(50, func(i int) (err error) {
		placed[i], err = r.Place(context.Background(), at(1, decimal(int64(i))), long)
		return err
	}))
	first := slices.IndexFunc(placed[:], func(p booking.Placement) bool { return p.Code == booking.PlaceNew })
	if first < 0 {
		t.Fatal("nobody was admitted")
	}
	for i, p := range placed {
		if i != first && (p.Code != booking.PlaceDuplicate || p.Token != placed[first].Token || !p.Deadline.Equal(placed[first].Deadline)) {
			t.Errorf("%d: %+v, want a duplicate of %+v", i, p, placed[first])
		}
	}
	r.counts(49, 1, 0)
}

func TestLapseGivesTheUnitBackAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.warm(sale(1))
	p, err := r.Place(t.Context(), at(1, "a"), 60*time.Millisecond)
	if err != nil || p.Code != booking.PlaceNew {
		t.Fatal(p, err)
	}
	until(t, "the lapsed unit is held anew", func() bool {
		q, err := r.Place(t.Context(), at(2, "b"), long)
		r.must(err)
		if q.Code == booking.PlaceSoldOut && !q.Deadline.Equal(p.Deadline) {
			t.Fatalf("the earliest hold lapses at %v, not %v", p.Deadline, q.Deadline)
		}
		if q.Code == booking.PlaceNew && time.Now().Before(p.Deadline) {
			t.Fatal("the unit was given out before the hold lapsed")
		}
		return q.Code == booking.PlaceNew
	})
	r.counts(0, 1, 0)
	if got := r.raw.HGetAll(t.Context(), r.key("tokens")).Val(); len(got) != 1 || got["2"] != token("b") {
		t.Errorf("tokens are %v", got)
	}
}

func TestReclaimIsBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	places := make([]booking.Place, 40)
	for i := range places {
		places[i] = booking.Place{UserID: int64(i + 1), Token: token(decimal(int64(i))), Deadline: time.Now().Add(long)}
	}
	r.warm(sale(40), places...)
	for _, p := range places {
		r.lapse(p.UserID)
	}
	r.counts(40, 0, 0)
	for i, want := range []int64{40 - 16 + 1, 40 - 32 + 2, 3, 4} {
		r.place(int64(100+i), "new"+decimal(int64(i)), booking.PlaceNew)
		cards := []int64{r.raw.ZCard(t.Context(), r.key("holds")).Val(), r.raw.HLen(t.Context(), r.key("tokens")).Val()}
		if cards[0] != want || cards[1] != want {
			t.Errorf("after %d calls %v entries, want %d", i+1, cards, want)
		}
	}
	r.counts(36, 4, 0)
}

// Each of these makes a unit free, or the answer another one, before the moment until
// which the gate is known to be full.
func TestEarlyGateOpensAgain(t *testing.T) {
	t.Parallel()
	for name, act := range map[string]func(r rig){
		"release": func(r rig) { r.release(1, "a") },
		"release of a confirmed place": func(r rig) {
			r.confirm(1, "a", 5)
			r.place(9, "z", booking.PlaceSoldOut)
			r.release(1, "a")
		},
		"more stock": func(r rig) {
			f := sale(3)
			f.Version = 2
			_, err := r.PutFacts(r.t.Context(), f)
			r.must(err)
		},
		"reconcile": func(r rig) {
			r.confirm(1, "a", 5)
			r.place(9, "z", booking.PlaceSoldOut)
			r.must(r.MarkUsers(r.t.Context(), product, "n", []int64{1}))
			_, err := r.Correct(r.t.Context(), product, "n",
				[]booking.Correction{{Place: booking.Place{UserID: 1, Token: token("a")}, Remove: true}})
			r.must(err)
		},
		"lapse": func(r rig) { // known to be full until the moment that is now past
			r.lapse(1)
			past := decimal(time.Now().Add(-time.Second).UnixMilli())
			r.must(r.raw.HSet(r.t.Context(), r.key("product"), "full_until", past).Err())
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.warm(sale(2))
			r.place(1, "a", booking.PlaceNew)
			r.place(2, "b", booking.PlaceNew)
			r.place(9, "z", booking.PlaceSoldOut)
			if r.full() == "" {
				t.Fatal("the early gate is not shut")
			}
			act(r)
			r.place(9, "z", booking.PlaceNew)
		})
	}
}

// What comes before SOLD_OUT is answered before it, also while the gate is known to be full.
func TestEarlyGateIsNotTheFirst(t *testing.T) {
	t.Parallel()
	put := func(change func(*booking.Facts)) func(rig) {
		return func(r rig) {
			f := sale(2)
			f.Version = 2
			change(&f)
			_, err := r.PutFacts(r.t.Context(), f)
			r.must(err)
		}
	}
	for name, c := range map[string]struct {
		act  func(rig)
		user int64
		want booking.PlaceCode
	}{
		"put off":   {put(func(f *booking.Facts) { f.SaleStartAt = time.Now().Add(time.Hour) }), 9, booking.PlaceNotOpen},
		"withdrawn": {put(func(f *booking.Facts) { f.Active = false }), 9, booking.PlaceInactive},
		"over": {func(r rig) { // by the time that passes: no facts are put
			r.must(r.raw.HSet(r.t.Context(), r.key("product"), "check_in_ms", decimal(time.Now().UnixMilli())).Err())
		}, 9, booking.PlaceClosed},
		"duplicate": {func(rig) {}, 1, booking.PlaceDuplicate},
		"purchased": {func(rig) {}, 2, booking.PlacePurchased},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.warm(sale(2))
			r.place(1, "a", booking.PlaceNew)
			r.place(2, "b", booking.PlaceNew)
			r.confirm(2, "b", 5)
			r.place(9, "z", booking.PlaceSoldOut)
			c.act(r)
			r.place(c.user, "z", c.want)
		})
	}
}

func TestEarlyGateIsBelieved(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.warm(sale(1))
	until := time.Now().Add(time.Hour).Truncate(time.Millisecond)
	r.must(r.raw.HSet(t.Context(), r.key("product"), "full_until", decimal(until.UnixMilli())).Err())
	if p := r.place(1, "a", booking.PlaceSoldOut); !p.Deadline.Equal(until) {
		t.Errorf("%+v", p)
	}
}

// The refusal names the earliest live hold, also after that one was extended or
// confirmed.
func TestSoldOutNamesTheEarliestHold(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	base := time.Now().Truncate(time.Millisecond)
	r.warm(sale(2), booking.Place{UserID: 1, Token: token("a"), Deadline: base.Add(time.Minute)},
		booking.Place{UserID: 2, Token: token("b"), Deadline: base.Add(2 * time.Minute)})
	earliest := func(want time.Time) {
		t.Helper()
		for range 2 {
			if p := r.place(9, "z", booking.PlaceSoldOut); !p.Deadline.Equal(want) {
				t.Errorf("%v, want %v", p.Deadline, want)
			}
		}
	}
	earliest(base.Add(time.Minute))
	r.ensure(1, "a", base.Add(3*time.Minute), booking.EnsureOK)
	earliest(base.Add(2 * time.Minute))
	r.confirm(2, "b", 5)
	earliest(base.Add(3 * time.Minute))
	r.confirm(1, "a", 6)
	earliest(time.Time{})
}

func TestScoreIsWrittenWhole(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.warm(sale(2))
	p := r.place(1, "a", booking.PlaceNew)
	if got := r.expiry(1); got != float64(p.Deadline.UnixMilli()) {
		t.Errorf("score %f, deadline %v", got, p.Deadline)
	}
	// Newer servers write a round score with an exponent.
	r.must(r.raw.ZAdd(t.Context(), r.key("holds"), redis.Z{Score: 4e12, Member: "1"}).Err())
	if p := r.place(1, "a", booking.PlaceDuplicate); p.Deadline.UnixMilli() != 4e12 {
		t.Errorf("%+v", p)
	}
}
