package hold_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"stayhold/shared/booking"
	"stayhold/shared/hold"
)

// TestConnectionOpensWithoutCeremony lists all that a fresh client sends before and beside its one command.
func TestConnectionOpensWithoutCeremony(t *testing.T) {
	t.Parallel()
	want := []string{"HELLO 2"}
	for kind, start := range systems {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			r := on(s)
			r.place(1, "a", booking.PlaceCold)
			var said []string
			for _, w := range s.wires {
				opened := w.Openings()
				if n := w.Connections(); len(opened) > n {
					t.Errorf("%d connections open with %v", n, opened)
				}
				said = append(said, opened...)
			}
			slices.Sort(said)
			if got := slices.Compact(said); !slices.Equal(got, want) {
				t.Errorf("opened with %v, want %v", got, want)
			}
			s.expect("Place", "EVALSHA", "EVAL")
		})
	}
}

// TestTwoConnectionsAreEnough lets many calls and batches run at once, each of which takes a while.
func TestTwoConnectionsAreEnough(t *testing.T) {
	t.Parallel()
	for kind, start := range systems {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			r := on(s)
			r.warm(sale(100))
			for _, w := range s.wires {
				w.Delay(10 * time.Millisecond)
			}
			r.must(together(20, func(i int) error {
				if i%2 == 0 {
					_, err := r.Place(t.Context(), at(int64(i+1), "a"), long)
					return err
				}
				_, err := r.Occupancies(t.Context(), product, product)
				return err
			}))
			most := 0
			for _, w := range s.wires {
				most = max(most, w.Connections())
			}
			if most != 2 {
				t.Errorf("%d connections to one server, want 2", most)
			}
		})
	}
}

// TestOneDialPerCall is told no by a port at which nobody listens: whoever dials again waits before he does.
func TestOneDialPerCall(t *testing.T) {
	t.Parallel()
	w := oneServer(t).wires[0]
	w.Close()
	for kind, url := range map[string]string{"server": w.URL(), "cluster": w.URL() + "," + w.URL()} {
		until(t, kind+": a call fails at once", func() bool {
			g := newGate(t, url) // an older one may remember the last no
			began := time.Now()
			_, err := g.Place(t.Context(), at(1, "a"), long)
			if !errors.Is(err, booking.ErrUnavailable) || errors.Is(err, booking.ErrCommitResultUnknown) {
				t.Errorf("place: %v", err)
			}
			return time.Since(began) < 80*time.Millisecond
		})
	}
}

// TestTimeoutEndsACallWithoutDeadline asks a server that takes everything and answers nothing.
func TestTimeoutEndsACallWithoutDeadline(t *testing.T) {
	t.Parallel()
	addr := "redis://" + deafServer(t)
	for kind, url := range map[string]string{"server": addr, "cluster": addr + "," + addr} {
		g, err := hold.New(hold.Options{URL: url, Timeout: 50 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close() //nolint:errcheck // the test is over
		until(t, kind+": a call ends after its timeout", func() bool {
			began := time.Now()
			if _, err := g.Place(t.Context(), at(1, "a"), long); !errors.Is(err, booking.ErrUnavailable) {
				t.Errorf("place: %v", err)
			}
			return time.Since(began) < time.Second
		})
	}
}
