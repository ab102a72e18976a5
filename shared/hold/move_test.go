package hold_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"stayhold/shared/booking"
	"stayhold/shared/hold/holdtest"
)

// stat adds one number of an INFO line over all nodes of the cluster.
func stat(t *testing.T, urls, section, line, field string) (sum int64) {
	t.Helper()
	pattern := regexp.MustCompile(`(?m)^` + line + `:(?:.*,)?` + field + `=(\d+)`)
	for url := range strings.SplitSeq(urls, ",") {
		info, err := holdtest.Do(t.Context(), url, "INFO", section)
		if err != nil {
			t.Fatal(err)
		}
		if m := pattern.FindStringSubmatch(fmt.Sprint(info)); m != nil {
			n, err := strconv.ParseInt(m[1], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			sum += n
		}
	}
	return sum
}

// scripts is how many scripts have run on the cluster: what was refused or not known has not.
func scripts(t *testing.T, urls string) (n int64) {
	t.Helper()
	for _, name := range []string{"eval", "evalsha"} {
		n += stat(t, urls, "commandstats", "cmdstat_"+name, "calls") - stat(t, urls, "commandstats", "cmdstat_"+name, "failed_calls")
	}
	return n
}

// The product's slot goes round the cluster while buyers reserve, confirm and release: they are sent after it, and each
// script that answered ran once.
func TestSlotsMoveUnderTraffic(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cluster := holdtest.Cluster(t)
	urls := cluster.URL()
	r := rig{Gate: newGate(t, urls), t: t, prefix: prefix(t)}
	r.warm(sale(1_000_000))
	// Of several keys the new owner wants to have all, before it has the slot: a confirmed place and a mark are there.
	first := booking.Hold{UserID: 1, ProductID: product, Token: "first"}
	if _, err := r.Place(ctx, first, long); err != nil {
		t.Fatal(err)
	}
	if err := r.Confirm(ctx, first, 1); err != nil {
		t.Fatal(err)
	}
	if err := r.MarkUsers(ctx, product, "mark", []int64{1}); err != nil {
		t.Fatal(err)
	}

	began := scripts(t, urls)
	var answered, refused, admitted, held, confirmed atomic.Int64
	// do makes one call; only "not now" may go wrong, for as long as the keys are on their way.
	do := func(call func() error) bool {
		err := call()
		if err == nil {
			answered.Add(1)
			return true
		}
		if !strings.Contains(err.Error(), "TRYAGAIN") || !errors.Is(err, booking.ErrUnavailable) {
			t.Errorf("a call while the slot moves: %v", err)
		}
		refused.Add(1)
		return false
	}
	insist := func(call func() error) {
		for !do(call) && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
	}
	stop := make(chan struct{})
	var buyers sync.WaitGroup
	finish := sync.OnceFunc(func() {
		close(stop)
		buyers.Wait()
	})
	defer finish()
	for i := range 4 {
		g := newGate(t, urls)
		buyers.Go(func() {
			for n := int64(1); ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				h := booking.Hold{UserID: n*10 + int64(i), ProductID: product, Token: fmt.Sprintf("t%d-%d", i, n)}
				insist(func() error {
					p, err := g.Place(ctx, h, long)
					if err == nil && (p.Code != booking.PlaceNew || p.Token != h.Token) {
						t.Errorf("a place: %+v, want a new one", p)
					}
					return err
				})
				admitted.Add(1)
				// Half of them only reserve: confirm and release also name a key that is never there on a warm gate, and so
				// wait for the end of a move.
				switch {
				case i%2 == 0 || n%3 == 0:
					held.Add(1)
				case n%3 == 1:
					insist(func() error { return g.Release(ctx, h) })
				default:
					insist(func() error { return g.Confirm(ctx, h, n) })
					confirmed.Add(1)
				}
			}
		})
	}
	const moves = 6
	for range moves {
		before := answered.Load()
		err := cluster.Move(ctx, r.key("product"), func() {
			// Places find all their keys with the new owner, to whom the old one sends them.
			reach(t, "calls that were answered while the slot moved", &answered, answered.Load()+5)
		})
		if err != nil {
			t.Fatal(err)
		}
		reach(t, "calls that were answered after the move", &answered, before+100)
	}
	finish()
	if ran := scripts(t, urls) - began; ran != answered.Load() {
		t.Errorf("%d scripts ran for %d answers", ran, answered.Load())
	}
	for _, word := range []string{"MOVED", "ASK"} {
		if n := stat(t, urls, "errorstats", "errorstat_"+word, "count"); n == 0 {
			t.Errorf("nobody was told %s", word)
		}
	}
	o, err := r.Occupancies(ctx, product)
	if err != nil {
		t.Fatal(err)
	}
	if o[0].Held != held.Load() || o[0].Confirmed != confirmed.Load()+1 {
		t.Errorf("held %d and confirmed %d, want %d and %d", o[0].Held, o[0].Confirmed, held.Load(), confirmed.Load()+1)
	}
	t.Logf("%d moves, %d answers, %d refusals, %d admitted", moves, answered.Load(), refused.Load(), admitted.Load())
}

// TestSlotMovesInMidCall lets a release, which wants a key that neither node has, come while the keys are with the new
// owner and the slot is not: it is told to try again, nothing runs, and once the move is over it runs once.
func TestSlotMovesInMidCall(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cluster := holdtest.Cluster(t)
	urls := cluster.URL()
	r := rig{Gate: newGate(t, urls), t: t, prefix: prefix(t)}
	r.warm(sale(100))
	tryAgains := func() int64 { return stat(t, urls, "errorstats", "errorstat_TRYAGAIN", "count") }

	// A move that does not end: the call gives up, and sooner where its own time is over.
	r.place(1, "a", booking.PlaceNew)
	r.must(cluster.Move(ctx, r.key("product"), func() {
		told, ran := tryAgains(), scripts(t, urls)
		if err := r.Release(ctx, at(1, "a")); !errors.Is(err, booking.ErrUnavailable) || !strings.Contains(err.Error(), "TRYAGAIN") {
			t.Errorf("release in a move that does not end: %v", err)
		}
		if n := tryAgains() - told; n != 5 {
			t.Errorf("sent %d times, want 5", n)
		}
		short, cancel := context.WithTimeout(ctx, time.Millisecond)
		defer cancel()
		if err := r.Release(short, at(1, "a")); !errors.Is(err, booking.ErrUnavailable) {
			t.Errorf("release with 1 ms: %v", err)
		}
		if n := tryAgains() - told; n > 6 {
			t.Errorf("sent %d times to the end of 1 ms", n-5)
		}
		if n := scripts(t, urls) - ran; n != 0 {
			t.Errorf("%d scripts ran", n)
		}
	}))
	r.release(1, "a")

	// On a busy machine the end of the move may come too late for the call.
	for user := int64(2); ; user++ {
		r.place(user, "a", booking.PlaceNew)
		told, ran := tryAgains(), scripts(t, urls)
		released := make(chan error, 1)
		r.must(cluster.Move(ctx, r.key("product"), func() {
			go func() { released <- r.Release(ctx, at(user, "a")) }()
			until(t, "the release is told to try again", func() bool { return tryAgains() > told })
		}))
		err := <-released
		if err == nil {
			if n := scripts(t, urls) - ran; n != 1 {
				t.Errorf("%d scripts ran for one release", n)
			}
			r.counts(102-user, user-2, 0)
			return
		}
		if !errors.Is(err, booking.ErrUnavailable) || user == 20 {
			t.Fatalf("the release is not sent again when the move is over: %v", err)
		}
	}
}

// reach waits until the counter is there.
func reach(t *testing.T, what string, counter *atomic.Int64, want int64) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); counter.Load() < want; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: %d, want %d", what, counter.Load(), want)
		}
	}
}
