package hold_test

import (
	"testing"
	"time"

	"stayhold/shared/booking"
)

func TestEnsure(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	base := time.Now().Truncate(time.Millisecond)
	r.warm(sale(2), booking.Place{UserID: 1, Token: token("a"), Deadline: base.Add(time.Minute)},
		booking.Place{UserID: 2, Token: token("b"), Confirmed: true, BookingID: 5})
	r.place(9, "z", booking.PlaceSoldOut)

	r.ensure(1, "a", base.Add(time.Second), booking.EnsureOK) // never shorter
	r.ensure(1, "a", base.Add(-time.Second), booking.EnsureOK)
	if got := r.expiry(1); got != float64(base.Add(time.Minute).UnixMilli()) {
		t.Errorf("%f", got)
	}
	if r.full() == "" {
		t.Error("nothing changed, but the early gate was opened")
	}
	r.ensure(1, "a", base.Add(time.Hour+time.Microsecond), booking.EnsureOK)
	if got := r.expiry(1); got != float64(base.Add(time.Hour).UnixMilli()+1) {
		t.Errorf("%f is not the deadline rounded up", got)
	}
	r.ensure(2, "b", base.Add(time.Hour), booking.EnsureOK) // confirmed stays confirmed
	if r.expiry(2) != inf {
		t.Error("a confirmed place became a hold")
	}
	r.ensure(1, "other", base.Add(2*time.Hour), booking.EnsureOther)
	r.ensure(2, "other", base.Add(2*time.Hour), booking.EnsureOther)
	if got := r.expiry(1); got != float64(base.Add(time.Hour).UnixMilli()+1) || r.expiry(2) != inf {
		t.Errorf("OTHER changed something: %f %f", got, r.expiry(2))
	}
	r.ensure(3, "c", base.Add(time.Hour), booking.EnsureLost)
	if r.expiry(3) != 0 {
		t.Error("LOST left a hold")
	}
}

func TestEnsureTakesAFreeUnitAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	base := time.Now().Truncate(time.Millisecond)
	r.warm(sale(1))
	r.place(1, "a", booking.PlaceNew)
	r.lapse(1)
	r.ensure(1, "a", time.Now().Add(-time.Millisecond), booking.EnsureLost) // the deadline has passed too
	r.ensure(1, "a", base.Add(time.Hour), booking.EnsureOK)
	r.counts(0, 1, 0)

	r.lapse(1) // now somebody else has the unit
	r.place(2, "b", booking.PlaceNew)
	r.ensure(1, "a", base.Add(time.Hour), booking.EnsureLost)
	r.lapse(2) // a lapsed place of another user is no obstacle, and its token goes
	r.ensure(1, "a", base.Add(time.Hour), booking.EnsureOK)
	if got := r.raw.HGetAll(t.Context(), r.key("tokens")).Val(); len(got) != 1 || got["1"] != token("a") {
		t.Errorf("tokens are %v", got)
	}
	r.lapse(1) // nor is a lapsed hold of one's own under another token
	r.ensure(1, "newer", base.Add(time.Hour), booking.EnsureOK)
	if p := r.place(1, "x", booking.PlaceDuplicate); p.Token != token("newer") {
		t.Errorf("%+v", p)
	}
}

func TestEnsureOnAnInactiveProduct(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	f := sale(1)
	f.Active = false
	r.warm(f)
	r.ensure(1, "a", time.Now().Add(time.Minute), booking.EnsureOK)
	r.confirm(1, "a", 5)
	r.counts(0, 0, 1)
}

func TestConfirmOnlyALiveHoldUnderTheToken(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.warm(sale(3))
	r.confirm(1, "a", 5) // empty place
	r.counts(3, 0, 0)
	r.place(1, "a", booking.PlaceNew)
	r.confirm(1, "stale", 5)
	r.counts(2, 1, 0)
	r.lapse(1)
	r.confirm(1, "a", 5)
	r.counts(3, 0, 0)

	r.place(2, "b", booking.PlaceNew)
	r.confirm(2, "b", 6)
	r.confirm(2, "b", 6)
	r.counts(2, 0, 1)
	r.confirm(2, "stale", 7)
	if p := r.place(2, "c", booking.PlacePurchased); p.BookingID != 6 {
		t.Errorf("%+v", p)
	}
}

func TestReleaseOnlyTheToken(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.warm(sale(3))
	r.release(1, "a") // empty place
	r.place(1, "a", booking.PlaceNew)
	r.release(1, "stale")
	r.counts(2, 1, 0)
	r.release(1, "a")
	r.release(1, "a")
	r.counts(3, 0, 0)

	r.place(1, "b", booking.PlaceNew)
	r.confirm(1, "b", 5)
	r.release(1, "a") // late, for the hold before
	r.counts(2, 0, 1)
	r.release(1, "b")
	r.counts(3, 0, 0)
	for _, k := range []string{"holds", "tokens", "bookings"} {
		if n := r.raw.Exists(t.Context(), r.key(k)).Val(); n != 0 {
			t.Errorf("%s is left behind", k)
		}
	}

	r.place(2, "c", booking.PlaceNew)
	r.lapse(2)
	r.release(2, "c")
	if r.expiry(2) != 0 {
		t.Error("a lapsed place was not emptied")
	}
}

// What happens to a place of a cold gate makes a warming that began earlier void.
func TestColdGateLosesTheWarmMark(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		call func(r rig)
		void bool
	}{
		"ensure":  {func(r rig) { r.ensure(1, "a", time.Now().Add(long), booking.EnsureCold) }, true},
		"confirm": {func(r rig) { r.confirm(1, "a", 5) }, true},
		"release": {func(r rig) { r.release(1, "a") }, true},
		"place":   {func(r rig) { r.place(1, "a", booking.PlaceCold) }, false},
		"read":    {func(r rig) { r.occupancy() }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			if ok, err := r.MarkWarm(t.Context(), product, "n"); err != nil || !ok {
				t.Fatal(ok, err)
			}
			c.call(r)
			if ok, err := r.Seed(t.Context(), "n", sale(1), nil); err != nil || ok == c.void {
				t.Errorf("seeded: %v, %v", ok, err)
			}
		})
	}
}

// Every call on a user's place deletes his reconcile mark, and nobody else's, even if
// it does nothing else.
func TestCallsDeleteTheReconcileMark(t *testing.T) {
	t.Parallel()
	calls := map[string]func(r rig){
		"place duplicate": func(r rig) { r.place(1, "x", booking.PlaceDuplicate) },
		"place sold out":  func(r rig) { r.place(3, "x", booking.PlaceSoldOut) },
		"place purchased": func(r rig) { r.place(2, "x", booking.PlacePurchased) },
		"ensure":          func(r rig) { r.ensure(1, "a", time.Now().Add(time.Second), booking.EnsureOK) },
		"ensure other":    func(r rig) { r.ensure(2, "x", time.Now().Add(time.Second), booking.EnsureOther) },
		"ensure lost":     func(r rig) { r.ensure(3, "x", time.Now().Add(time.Second), booking.EnsureLost) },
		"confirm":         func(r rig) { r.confirm(1, "a", 5) },
		"confirm nothing": func(r rig) { r.confirm(1, "stale", 5) },
		"release":         func(r rig) { r.release(2, "b") },
		"release nothing": func(r rig) { r.release(3, "x") },
		"place inactive": func(r rig) {
			r.must(r.raw.HSet(r.t.Context(), r.key("product"), "active", "0").Err())
			r.place(1, "x", booking.PlaceInactive)
		},
		"cold place":   func(r rig) { r.cool(); r.place(1, "x", booking.PlaceCold) },
		"cold ensure":  func(r rig) { r.cool(); r.ensure(1, "a", time.Now().Add(time.Second), booking.EnsureCold) },
		"cold confirm": func(r rig) { r.cool(); r.confirm(1, "a", 5) },
		"cold release": func(r rig) { r.cool(); r.release(1, "a") },
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.warm(sale(2), booking.Place{UserID: 1, Token: token("a"), Deadline: time.Now().Add(long)},
				booking.Place{UserID: 2, Token: token("b"), Confirmed: true, BookingID: 4})
			r.must(r.MarkUsers(t.Context(), product, "n", []int64{1, 2, 3, 4}))
			call(r)
			if left := r.raw.HGetAll(t.Context(), r.key("marks")).Val(); len(left) != 3 || left["4"] != "n" {
				t.Errorf("marks left: %v", left)
			}
		})
	}
}

func (r rig) cool() {
	r.t.Helper()
	r.must(r.raw.Del(r.t.Context(), r.key("product")).Err())
}
