package hold_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"stayhold/shared/booking"
)

// calls is one call of each method that takes one command.
var calls = map[string]func(ctx context.Context, r rig) error{
	"Place": func(ctx context.Context, r rig) error {
		_, err := r.Place(ctx, at(1, "a"), long)
		return err
	},
	"Ensure": func(ctx context.Context, r rig) error {
		_, err := r.Ensure(ctx, at(1, "a"), time.Now().Add(long))
		return err
	},
	"Confirm": func(ctx context.Context, r rig) error { return r.Confirm(ctx, at(1, "a"), 5) },
	"Release": func(ctx context.Context, r rig) error { return r.Release(ctx, at(1, "a")) },
	"Occupancies": func(ctx context.Context, r rig) error {
		_, err := r.Occupancies(ctx, product)
		return err
	},
	"MarkWarm": func(ctx context.Context, r rig) error {
		_, err := r.MarkWarm(ctx, product, "n")
		return err
	},
	"Seed": func(ctx context.Context, r rig) error {
		_, err := r.Seed(ctx, "n", sale(1), []booking.Place{held(1, "a", long)})
		return err
	},
	"PutFacts": func(ctx context.Context, r rig) error {
		_, err := r.PutFacts(ctx, sale(1))
		return err
	},
	"Places": func(ctx context.Context, r rig) error {
		_, _, err := r.Places(ctx, product, 0)
		return err
	},
	"MarkUsers": func(ctx context.Context, r rig) error {
		return r.MarkUsers(ctx, product, "n", []int64{1})
	},
	"Correct": func(ctx context.Context, r rig) error {
		_, err := r.Correct(ctx, product, "n", []booking.Correction{{Place: held(1, "a", long)}})
		return err
	},
}

func TestOneCommandPerCall(t *testing.T) {
	t.Parallel()
	for kind, start := range systems {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			r := on(s)
			for name, call := range calls {
				r.must(call(t.Context(), r)) // the script becomes known
				s.reset()
				r.must(call(t.Context(), r))
				s.expect(name, "EVALSHA")
			}
			s.reset()
			r.must(r.Ping(t.Context()))
			s.expect("Ping", slices.Repeat([]string{"PING"}, len(s.nodes))...)

			_, err := r.Occupancies(t.Context(), 1, 2, 3, 4) // of all nodes
			r.must(err)
			s.reset()
			_, err = r.Occupancies(t.Context(), 1, 2, 3, 4)
			r.must(err)
			s.expect("Occupancies", "EVALSHA", "EVALSHA", "EVALSHA", "EVALSHA")
			for _, w := range s.wires {
				if w.Trips() > 1 {
					t.Errorf("Occupancies: %d round trips to one node", w.Trips())
				}
			}
		})
	}
}

func TestUnknownScript(t *testing.T) {
	t.Parallel()
	for kind, start := range systems {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			r := on(s)
			r.must(r.Ping(t.Context()))
			r.warm(sale(50))
			for name, call := range calls {
				s.each("SCRIPT", "FLUSH")
				s.reset()
				r.must(call(t.Context(), r))
				s.expect(name, "EVALSHA", "EVAL")
				s.reset()
				r.must(call(t.Context(), r))
				s.expect(name, "EVALSHA")
			}
			s.each("SCRIPT", "FLUSH")
			all, err := r.Occupancies(t.Context(), product, 99)
			if err != nil || all[0].Cold || !all[1].Cold {
				t.Errorf("%+v %v", all, err)
			}
		})
	}
}

func TestLostReplyIsOneExecution(t *testing.T) {
	t.Parallel()
	for kind, start := range systems {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			r := on(s)
			r.warm(sale(3))
			for name, call := range calls {
				r.must(call(t.Context(), r))
				s.lost(name, func() error { return call(t.Context(), r) })
			}
			// Who asks again finds what the lost call left.
			r.release(1, "a")
			r.place(8, "x", booking.PlaceNew)
			s.lost("Place", func() error {
				_, err := r.Place(t.Context(), at(9, "a"), long)
				return err
			})
			if p := r.place(9, "b", booking.PlaceDuplicate); p.Token != token("a") {
				t.Errorf("%+v", p)
			}
		})
	}
}

// lost has the answer of a call lost and expects one execution and an error. A
// question about the layout, asked behind the call's back, may be what is lost: then
// the call succeeds, and another one takes its turn.
func (s system) lost(name string, call func() error) {
	s.t.Helper()
	until(s.t, name+" loses its answer", func() bool {
		s.reset()
		before := s.executions()
		s.loseReply()
		err := call()
		if err == nil {
			return false
		}
		want := booking.ErrUnavailable
		if name == "Place" {
			want = booking.ErrCommitResultUnknown // the unit is held
		}
		if !errors.Is(err, want) {
			s.t.Errorf("%s: %v", name, err)
		}
		if ran := s.executions() - before; ran != 1 {
			s.t.Errorf("%s: ran %d times", name, ran)
		}
		s.expect(name, "EVALSHA")
		s.reset()
		return true
	})
}

// A slot that has moved proves that nothing ran: the call goes on to its new owner.
func TestMovedSlotIsFollowed(t *testing.T) {
	t.Parallel()
	s := threeNodes(t)
	r := on(s)
	r.place(1, "a", booking.PlaceCold) // the layout is known
	slot, err := s.nodes[0].ClusterKeySlot(t.Context(), r.key("product")).Result()
	r.must(err)
	var ids []string
	owner := 0
	for i, n := range s.nodes {
		id, err := n.Do(t.Context(), "CLUSTER", "MYID").Text()
		r.must(err)
		ids = append(ids, id)
		if slot*3/16384 == int64(i) {
			owner = i
		}
	}
	heir := (owner + 1) % len(ids)
	for _, i := range []int{heir, owner, (owner + 2) % len(ids)} {
		r.must(s.nodes[i].Do(t.Context(), "CLUSTER", "SETSLOT", slot, "NODE", ids[heir]).Err())
	}
	s.reset()
	r.warm(sale(1))
	r.place(1, "a", booking.PlaceNew)
	if n := s.nodes[heir].Exists(t.Context(), r.key("product")).Val(); n != 1 {
		t.Error("the new owner has nothing")
	}
	if !slices.Contains(s.wires[owner].Commands(), "EVALSHA") {
		t.Error("the old owner was not asked: the test has tested nothing")
	}
}

func TestDeadlineIsKept(t *testing.T) {
	t.Parallel()
	addr := deafServer(t)
	for kind, url := range map[string]string{"server": "redis://" + addr, "cluster": "redis://" + addr + ",redis://" + addr} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			r := rig{Gate: newGate(t, url), t: t}
			for name, call := range calls {
				ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
				began := time.Now()
				err := call(ctx, r)
				cancel()
				if took := time.Since(began); !errors.Is(err, booking.ErrUnavailable) || took > 5*time.Second {
					t.Errorf("%s: %v after %v", name, err, took)
				}
			}
		})
	}
}

// A refusal of any kind is an unknown answer, and nobody is admitted.
func TestServerRefusals(t *testing.T) {
	t.Parallel()
	for name, settings := range map[string][][]any{
		"OOM":       {{"CONFIG", "SET", "maxmemory", "1"}},
		"READONLY":  {{"REPLICAOF", "127.0.0.1", "1"}},
		"WRONGPASS": {{"CONFIG", "SET", "requirepass", "another"}, {"CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := oneServer(t)
			r := on(s)
			r.warm(sale(5))
			r.place(1, "a", booking.PlaceNew)
			for _, command := range settings {
				s.each(command...)
			}
			// A connection that was killed may be noticed only by the first call.
			until(t, "the log tells why", func() bool {
				p, err := r.Place(t.Context(), at(2, "b"), long)
				if !errors.Is(err, booking.ErrUnavailable) || p != (booking.Placement{}) {
					t.Fatalf("%+v %v", p, err)
				}
				var e *booking.Error
				if !errors.As(err, &e) || strings.Contains(e.Detail, name) {
					t.Fatalf("the detail for callers bears the server's words: %+v", e)
				}
				if told := strings.Contains(err.Error(), name); !told || !errors.Is(err, booking.ErrCommitResultUnknown) {
					return told
				}
				t.Fatalf("what Redis refused is not known to have happened: %v", err)
				return false
			})
		})
	}
}

// Short of memory, nobody is let in; those who are in go on, and a sale is recorded.
func TestShortOfMemory(t *testing.T) {
	t.Parallel()
	s := oneServer(t)
	r := on(s)
	r.warm(sale(3))
	for u, name := range map[int64]string{1: "a", 2: "b", 3: "c"} {
		r.place(u, name, booking.PlaceNew)
	}
	r.lapse(3)
	ctx := t.Context()
	if ok, err := r.MarkWarm(ctx, 8, "n"); err != nil || !ok {
		t.Fatal(ok, err)
	}
	other := sale(1)
	other.ProductID = 8
	s.each("CONFIG", "SET", "maxmemory", "1")
	for name, call := range map[string]func() error{
		"place":       func() error { _, err := r.Place(ctx, at(4, "d"), long); return err },
		"ensure anew": func() error { _, err := r.Ensure(ctx, at(3, "c"), time.Now().Add(long)); return err },
		"seed":        func() error { _, err := r.Seed(ctx, "n", other, nil); return err },
		"mark warm":   func() error { _, err := r.MarkWarm(ctx, 9, "n"); return err },
	} {
		if err := call(); !errors.Is(err, booking.ErrUnavailable) || errors.Is(err, booking.ErrCommitResultUnknown) {
			t.Errorf("%s: %v", name, err)
		}
	}
	r.place(1, "x", booking.PlaceDuplicate)
	r.ensure(1, "a", time.Now().Add(time.Hour), booking.EnsureOK)
	r.confirm(1, "a", 5)
	r.release(2, "b")
	r.counts(2, 0, 1)
	s.each("CONFIG", "SET", "maxmemory", "0")
	r.place(4, "d", booking.PlaceNew)
}

func TestKeysOfAnotherType(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.warm(sale(5))
	r.must(r.raw.Del(t.Context(), r.key("holds")).Err())
	r.must(r.raw.Set(t.Context(), r.key("holds"), "not a set", 0).Err())
	for _, name := range []string{"Place", "Ensure", "Confirm", "Occupancies", "Places"} {
		if err := calls[name](t.Context(), r); !errors.Is(err, booking.ErrUnavailable) || !errors.Is(err, booking.ErrGateDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestConnect(t *testing.T) {
	t.Parallel()
	for kind, start := range systems {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			r := on(s)
			r.Connect(t.Context())
			r.must(r.Ping(t.Context())) // waits for the connection
			s.reset()
			r.place(1, "a", booking.PlaceCold)
			for _, w := range s.wires {
				if w.Connections() != 0 {
					t.Error("the first call opens a connection")
				}
			}
		})
	}
}

func TestConnectThatHangs(t *testing.T) {
	t.Parallel()
	r := rig{Gate: newGate(t, "redis://"+deafServer(t)), t: t}
	r.Connect(t.Context())
	for name, call := range calls {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		if err := call(ctx, r); !errors.Is(err, booking.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
	}
}

func TestClosedGate(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.must(r.Ping(t.Context()))
	r.must(r.Close())
	for name, call := range calls {
		if err := call(t.Context(), r); !errors.Is(err, booking.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := r.Ping(t.Context()); !errors.Is(err, booking.ErrUnavailable) {
		t.Errorf("%v", err)
	}
}

// Connections that were lost, and a server that was away, need no new gate.
func TestServerComesBack(t *testing.T) {
	t.Parallel()
	for kind, start := range systems {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			r := on(s)
			r.warm(sale(5))
			for _, w := range s.wires {
				w.Refuse(true)
				w.Cut()
			}
			if _, err := r.Place(t.Context(), at(1, "a"), long); !errors.Is(err, booking.ErrUnavailable) {
				t.Errorf("%v", err)
			}
			s.reset()
			until(t, "the gate answers again", func() bool {
				p, err := r.Place(t.Context(), at(1, "a"), long)
				return err == nil && p.Token == token("a")
			})
		})
	}
}
