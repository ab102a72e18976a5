package hold_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"stayhold/shared/booking"
	"stayhold/shared/hold"
)

// A server that is busy with somebody's endless script admits nobody, and says so.
func TestBusyServerIsUnavailable(t *testing.T) {
	t.Parallel()
	s := oneServer(t)
	r := on(s)
	r.warm(sale(5))
	s.each("CONFIG", "SET", "busy-reply-threshold", "1")
	endless := byHand(t, s.url)
	ended := make(chan error, 1)
	go func() {
		ended <- endless.Do(context.WithoutCancel(t.Context()), "EVAL", "while true do end", "0").Err()
	}()
	until(t, "the server says that it is busy", func() bool {
		return s.nodes[0].Ping(t.Context()).Err() != nil
	})
	for name, call := range calls {
		if err := call(t.Context(), r); !errors.Is(err, booking.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	r.must(s.nodes[0].ScriptKill(t.Context()).Err())
	if err := <-ended; err == nil {
		t.Error("the endless script ended by itself: the test has tested nothing")
	}
	r.counts(5, 0, 0)
}

// Keys of two slots, as a prefix that switches the hash tag off makes them, are refused by the cluster before a script
// runs.
func TestKeysOfTwoSlotsAreRefused(t *testing.T) {
	t.Parallel()
	s := threeNodes(t)
	g, err := hold.New(hold.Options{URL: s.url, Prefix: "{}"})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close() //nolint:errcheck // the test is over
	r := rig{Gate: g, t: t}
	for name, call := range calls {
		if name == "PutFacts" || name == "MarkUsers" { // which touch one key
			continue
		}
		s.reset()
		before := s.executions()
		if err := call(t.Context(), r); !errors.Is(err, booking.ErrUnavailable) || !strings.Contains(err.Error(), "CROSSSLOT") {
			t.Errorf("%s: %v", name, err)
		}
		s.expect(name, "EVALSHA")
		if n := s.executions() - before; n != 0 {
			t.Errorf("%s: %d scripts ran", name, n)
		}
	}
	for _, node := range s.nodes {
		if n, err := node.DBSize(t.Context()).Result(); err != nil || n != 0 {
			t.Errorf("%d keys are there: %v", n, err)
		}
	}
}

// A call's own deadline ends it, however patient the connection is.
func TestDeadlineBeatsTheTimeout(t *testing.T) {
	t.Parallel()
	deaf := deafServer(t)
	for _, url := range []string{"redis://" + deaf, "rediss://" + deaf, "rediss://" + deaf + "," + deaf} {
		g, err := hold.New(hold.Options{URL: url, Timeout: 3 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close() //nolint:errcheck // the test is over
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		began := time.Now()
		if _, err := g.Place(ctx, at(1, "a"), long); !errors.Is(err, booking.ErrUnavailable) {
			t.Errorf("%s: place: %v", url, err)
		}
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("%s: a call with 50 ms took %v", url, took)
		}
	}
}

// Lua counts in doubles, in which these users would be one.
func TestHugeIDsAreTold(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.warm(sale(3), booking.Place{UserID: 1<<63 - 2, Token: token("c"), Confirmed: true, BookingID: 1<<63 - 1})
	for user, name := range map[int64]string{1 << 53: "a", 1<<53 + 1: "b"} {
		r.place(user, name, booking.PlaceNew)
	}
	r.counts(0, 2, 1)
	if p := r.place(1<<63-2, "x", booking.PlacePurchased); p.BookingID != 1<<63-1 {
		t.Errorf("%+v", p)
	}
	r.confirm(1<<53+1, "b", 1<<53+1)
	places, _, err := r.Places(t.Context(), product, 0)
	r.must(err)
	for _, p := range places {
		if want := map[int64]int64{1 << 53: 0, 1<<53 + 1: 1<<53 + 1, 1<<63 - 2: 1<<63 - 1}[p.UserID]; p.BookingID != want {
			t.Errorf("%+v", p)
		}
	}
	if len(places) != 3 {
		t.Errorf("places: %+v", places)
	}
	r.must(r.MarkUsers(t.Context(), product, "n", []int64{1 << 53}))
	changed, err := r.Correct(t.Context(), product, "n", []booking.Correction{
		{Place: booking.Place{UserID: 1 << 53, Token: token("a"), Confirmed: true, BookingID: 1 << 53}}})
	if err != nil || len(changed) != 1 || changed[0] != 1<<53 {
		t.Errorf("corrected %v: %v", changed, err)
	}
}
