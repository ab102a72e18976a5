package hold_test

import (
	"slices"
	"testing"
	"time"

	"stayhold/shared/booking"
)

func (r rig) mark(users ...int64) {
	r.t.Helper()
	r.must(r.MarkUsers(r.t.Context(), product, "n", users))
}

// correct expects who is changed.
func (r rig) correct(corrections []booking.Correction, want ...int64) {
	r.t.Helper()
	got, err := r.Correct(r.t.Context(), product, "n", corrections)
	r.must(err)
	if !slices.Equal(got, want) {
		r.t.Fatalf("changed %v, want %v", got, want)
	}
}

func confirmed(user int64, name string, id int64) booking.Place {
	return booking.Place{UserID: user, Token: token(name), BookingID: id, Confirmed: true}
}

func held(user int64, name string, left time.Duration) booking.Place {
	return booking.Place{UserID: user, Token: token(name), Deadline: time.Now().Add(left)}
}

func TestPlacesPages(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	want := map[int64]booking.Place{}
	var places []booking.Place
	deadline := time.Now().Add(time.Hour).Truncate(time.Millisecond).UTC()
	for u := int64(1); u <= 3000; u++ {
		p := booking.Place{UserID: u, Token: token(decimal(u)), Deadline: deadline}
		if u%3 == 0 {
			p = confirmed(u, decimal(u), u+1)
		}
		places, want[u] = append(places, p), p
	}
	r.warm(sale(3000), places...)
	r.lapse(1, 2)
	delete(want, 1)
	delete(want, 2)
	got, pages := map[int64]booking.Place{}, 0
	for cursor := uint64(0); ; {
		page, next, err := r.Places(t.Context(), product, cursor)
		r.must(err)
		for _, p := range page {
			got[p.UserID] = p
		}
		pages++
		if cursor = next; cursor == 0 {
			break
		}
	}
	if pages < 3 || pages > 10 {
		t.Errorf("%d pages", pages)
	}
	if len(got) != len(want) {
		t.Errorf("%d places, want %d", len(got), len(want))
	}
	for u, p := range want {
		if got[u] != p {
			t.Fatalf("%+v, want %+v", got[u], p)
		}
	}
}

func TestPlacesOfAnUnknownProduct(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if places, next, err := r.Places(t.Context(), 12345, 0); err != nil || next != 0 || len(places) != 0 {
		t.Errorf("%v %v %v", places, next, err)
	}
}

func TestMarkUsers(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.mark()
	users := make([]int64, 1200) // more than one chunk
	for i := range users {
		users[i] = int64(i)
	}
	r.mark(users...)
	if n := r.raw.HLen(t.Context(), r.key("marks")).Val(); n != 1200 {
		t.Errorf("%d marks", n)
	}
	if ttl := r.raw.PTTL(t.Context(), r.key("marks")).Val(); ttl <= 0 || ttl > time.Minute {
		t.Errorf("they stand for %v", ttl)
	}
}

func TestCorrectWritesConfirmedPlaces(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.warm(sale(2), held(1, "a", long), confirmed(2, "b", 12), held(3, "c", long))
	r.place(9, "z", booking.PlaceSoldOut)
	r.lapse(3)
	want := []booking.Correction{
		{Place: confirmed(1, "a", 11)},  // a hold becomes confirmed
		{Place: confirmed(2, "b", 12)},  // is so already
		{Place: confirmed(3, "c2", 13)}, // lapsed, another token
		{Place: confirmed(4, "d", 14)},  // empty, and above the stock: the database has sold it
		{Place: confirmed(5, "e", 15)},  // not marked
		{Place: booking.Place{UserID: 1}},
	}
	r.mark(1, 2, 3, 4)
	r.correct(want, 1, 3, 4)
	r.counts(0, 0, 4)
	r.correct(want) // twice is once
	for u, id := range map[int64]int64{1: 11, 2: 12, 3: 13, 4: 14} {
		if p := r.place(u, "x", booking.PlacePurchased); p.BookingID != id {
			t.Errorf("%d: %+v", u, p)
		}
	}
	if r.full() != "" {
		t.Error("the early gate is shut")
	}
	r.release(3, "c2")
	r.counts(0, 0, 3)
}

func TestCorrectRemovesConfirmedPlaces(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.warm(sale(4), confirmed(1, "a", 11), confirmed(2, "b", 12), held(3, "c", long))
	r.mark(1, 2, 3, 4)
	r.correct([]booking.Correction{
		{Place: confirmed(1, "a", 11), Remove: true},
		{Place: confirmed(2, "stale", 12), Remove: true}, // another token by now
		{Place: held(3, "c", long), Remove: true},        // a hold is never removed
		{Place: confirmed(4, "d", 14), Remove: true},     // empty
	}, 1)
	r.counts(2, 1, 1)
	r.place(1, "x", booking.PlaceNew)
}

func TestCorrectRemovesThenWrites(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.warm(sale(1), confirmed(1, "a", 11))
	r.mark(1)
	r.correct([]booking.Correction{
		{Place: confirmed(1, "a", 11), Remove: true},
		{Place: held(1, "b", long)},
	}, 1)
	r.counts(0, 1, 0)
	if p := r.place(1, "x", booking.PlaceDuplicate); p.Token != token("b") {
		t.Errorf("%+v", p)
	}
}

func TestCorrectWritesHoldsWhileUnitsAreFree(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.warm(sale(4), held(1, "a", long), confirmed(2, "b", 12), held(3, "c", long))
	r.lapse(3)
	r.mark(1, 2, 3, 4, 5, 6)
	r.correct([]booking.Correction{
		{Place: held(1, "x", time.Hour)},   // holds already
		{Place: held(2, "x", time.Hour)},   // confirmed
		{Place: held(4, "d", -time.Hour)},  // lapsed in the database too
		{Place: held(3, "c2", time.Hour)},  // its old hold lapsed: empty
		{Place: held(5, "e", time.Hour)},   // the last unit
		{Place: held(6, "f", time.Minute)}, // none is free
	}, 3, 5)
	r.counts(0, 3, 1)
	for u, name := range map[int64]string{1: "a", 3: "c2", 5: "e"} {
		if p := r.place(u, "y", booking.PlaceDuplicate); p.Token != token(name) {
			t.Errorf("%d: %+v", u, p)
		}
	}
}

func TestCorrectNeedsTheMark(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.warm(sale(9))
	all := []booking.Correction{{Place: confirmed(1, "a", 11)}, {Place: held(2, "b", long)}}
	r.correct(all) // never marked
	r.must(r.MarkUsers(t.Context(), product, "other", []int64{1, 2}))
	r.correct(all) // another's mark
	r.mark(1, 2)
	r.place(2, "c", booking.PlaceNew) // takes the mark
	r.release(2, "c")
	r.correct(all, 1)
	r.correct(nil)
	r.counts(8, 0, 1)
}

func TestCorrectLeavesAColdGateCold(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.mark(1)
	r.correct([]booking.Correction{{Place: confirmed(1, "a", 11)}})
	if n := r.raw.Exists(t.Context(), r.key("holds"), r.key("tokens"), r.key("product")).Val(); n != 0 {
		t.Errorf("%d keys", n)
	}
}

func TestPlacesOfSomeUsers(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	deadline := time.Now().Add(time.Hour).Truncate(time.Millisecond).UTC()
	a := booking.Place{UserID: 1, Token: token("a"), Deadline: deadline}
	r.warm(sale(5), a, confirmed(2, "b", 12), held(3, "c", long), held(4, "d", long))
	r.lapse(3)
	got, err := r.PlacesOf(t.Context(), product, []int64{1, 2, 3, 9})
	r.must(err)
	if !slices.Equal(got, []booking.Place{a, confirmed(2, "b", 12)}) {
		t.Errorf("%+v", got)
	}
	if got, err := r.PlacesOf(t.Context(), product, nil); err != nil || len(got) != 0 {
		t.Errorf("of nobody: %+v %v", got, err)
	}
	if got, err := r.PlacesOf(t.Context(), 12345, []int64{1}); err != nil || len(got) != 0 {
		t.Errorf("of an unknown product: %+v %v", got, err)
	}
}

func TestLongHolds(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	places := []booking.Place{held(1, "a", time.Hour), held(2, "b", 3*time.Hour), confirmed(3, "c", 13), held(4, "d", 2*time.Hour)}
	for u := int64(100); u < 250; u++ {
		places = append(places, held(u, decimal(u), 90*time.Minute))
	}
	r.warm(sale(500), places...)
	got, err := r.LongHolds(t.Context(), product, 100*time.Minute)
	r.must(err)
	if len(got) != 2 || got[0].UserID != 2 || got[1].UserID != 4 || got[0].Confirmed || got[0].Token != token("b") {
		t.Errorf("%+v", got)
	}
	if got, err := r.LongHolds(t.Context(), product, 80*time.Minute); err != nil || len(got) != 100 {
		t.Errorf("%d of them, %v: want a bounded number", len(got), err)
	}
	if got, err := r.LongHolds(t.Context(), product, 4*time.Hour); err != nil || len(got) != 0 {
		t.Errorf("%+v %v", got, err)
	}
}
