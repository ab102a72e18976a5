package hold_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"stayhold/shared/hold/holdtest"
)

// system is a Redis of the test's own, one server or a cluster, with a wire before
// each node: for what would disturb others, or be disturbed by them.
type system struct {
	t     testing.TB
	url   string // leads through the wires
	wires []*holdtest.Wire
	nodes []*redis.Client // lead past them
	many  bool
}

// systems are the kinds of Redis that the gate talks to.
var systems = map[string]func(t testing.TB) system{"server": oneServer, "cluster": threeNodes}

func oneServer(t testing.TB) system {
	t.Helper()
	server, err := holdtest.Start(t.Context(), holdtest.Config{Dir: t.TempDir()})
	if errors.Is(err, holdtest.ErrMissing) {
		holdtest.URL(t) // skips, or fails where it must not be missing
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	w := holdtest.Proxy(t, server.URL())
	return system{t: t, url: w.URL(), wires: []*holdtest.Wire{w}, nodes: []*redis.Client{byHand(t, server.URL())}}
}

func threeNodes(t testing.TB) system {
	t.Helper()
	s := system{t: t, many: true}
	var urls []string
	for direct := range strings.SplitSeq(holdtest.Cluster(t).URL(), ",") {
		w, node := holdtest.Proxy(t, direct), byHand(t, direct)
		u, err := url.Parse(w.URL())
		if err != nil {
			t.Fatal(err)
		}
		// The layout that clients are told leads through the wires.
		if err := node.ConfigSet(t.Context(), "cluster-announce-port", u.Port()).Err(); err != nil {
			t.Fatal(err)
		}
		s.wires, s.nodes, urls = append(s.wires, w), append(s.nodes, node), append(urls, w.URL())
	}
	s.url = strings.Join(urls, ",")
	for _, node := range s.nodes {
		until(t, "the cluster's layout names the wires", func() bool {
			layout, err := node.ClusterNodes(t.Context()).Result()
			if err != nil {
				t.Fatal(err)
			}
			return !slices.ContainsFunc(urls, func(u string) bool {
				return !strings.Contains(layout, strings.TrimPrefix(u, "redis://")+"@")
			})
		})
	}
	return s
}

// byHand is a client that goes straight to a server.
func byHand(t testing.TB, direct string) *redis.Client {
	t.Helper()
	options, err := redis.ParseURL(direct)
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(options)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func (s system) reset() {
	for _, w := range s.wires {
		w.Reset()
	}
}

// commands lists what was sent since the last reset, but for questions about the
// cluster's layout, which are asked behind a call's back.
func (s system) commands() []string {
	var all []string
	for _, w := range s.wires {
		all = append(all, w.Commands()...)
	}
	return slices.DeleteFunc(all, func(c string) bool { return c == "CLUSTER" })
}

// expect compares what was sent since the last reset.
func (s system) expect(what string, want ...string) {
	s.t.Helper()
	if got := s.commands(); !slices.Equal(got, want) {
		s.t.Errorf("%s: sent %v, want %v", what, got, want)
	}
}

// loseReply loses the answer of the next round trip on each wire.
func (s system) loseReply() {
	for _, w := range s.wires {
		w.LoseReply(1)
	}
}

// each sends a command to every node by hand.
func (s system) each(command ...any) {
	s.t.Helper()
	for _, n := range s.nodes {
		if err := n.Do(s.t.Context(), command...).Err(); err != nil {
			s.t.Fatal(err)
		}
	}
}

// executions is how many scripts the servers have run, by their own account.
func (s system) executions() int {
	s.t.Helper()
	total := 0
	for _, node := range s.nodes {
		info, err := node.Info(s.t.Context(), "commandstats").Result()
		if err != nil {
			s.t.Fatal(err)
		}
		for line := range strings.Lines(info) {
			if name, fields, _ := strings.Cut(line, ":"); strings.HasPrefix(name, "cmdstat_eval") {
				var n int
				if _, err := fmt.Sscanf(fields, "calls=%d,", &n); err != nil {
					s.t.Fatal(err)
				}
				total += n
			}
		}
	}
	return total
}

// deafServer accepts connections and never answers.
func deafServer(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(io.Discard, c) }()
		}
	}()
	return l.Addr().String()
}

// until asks again and again, up to ten seconds, until the answer is yes.
func until(t testing.TB, what string, yes func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !yes(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}

// together runs n calls at once and returns when all are done.
func together(n int, call func(i int) error) error {
	var wg sync.WaitGroup
	start := make(chan struct{})
	errs := make([]error, n)
	for i := range n {
		wg.Go(func() {
			<-start
			errs[i] = call(i)
		})
	}
	close(start)
	wg.Wait()
	return errors.Join(errs...)
}
