package stacktest

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"stayhold/functions/local/harness"
	"stayhold/shared/postgres/postgrestest"
)

// root is where template.yaml is: the front runs there.
const root = "../../.."

// base is the folder of this test binary: the executables, built once, and one data folder for each stack.
var base struct {
	sync.Once
	dir string
	bin string
	err error
}

// lazyStack is a stack that several tests share; the first that asks for it starts it.
type lazyStack struct {
	sync.Once
	name string
	vars []string
	s    *stack
	err  error
}

var (
	// mainStack has the timings that a person gets, but for a gateway that is given up sooner.
	mainStack = &lazyStack{name: "main", vars: []string{
		"GATEWAY_TIMEOUT=2s", "CORS_ALLOW_ORIGINS=https://shop.example", "SWEEP_INTERVAL=5s", "SWEEP_GRACE=10s",
	}}
	// queueStack sweeps only when a test asks for it, so that what is put right is put right by the queue, and its holds lapse
	// soon while nobody closes their bookings.
	queueStack = &lazyStack{name: "queue", vars: []string{
		"HOLD_TTL=3s", "PAYMENT_WINDOW=3s", "GATEWAY_TIMEOUT=1s", "SWEEP_GRACE=60s", "SWEEP_INTERVAL=1h",
	}}
	// shortStack is where holds lapse and charges are given up while a test looks on.
	shortStack = &lazyStack{name: "short", vars: []string{
		"HOLD_TTL=6s", "PAYMENT_WINDOW=4s", "GATEWAY_TIMEOUT=1s", "GATEWAY_SESSION=12s", "SWEEP_GRACE=1s", "SWEEP_INTERVAL=500ms",
	}}
)

func TestMain(m *testing.M) {
	flag.Parse()
	// The tests wait much more than they work: let more of them run at once than there are processors.
	if err := flag.Set("test.parallel", "16"); err != nil {
		panic(err)
	}
	code := m.Run()
	if code == 0 && flag.Lookup("test.run").Value.String() == "" && flag.Lookup("test.skip").Value.String() == "" {
		if missing := unseen(); len(missing) > 0 {
			fmt.Fprintf(os.Stderr, "no test saw these codes of the contract: %v\n", missing)
			code = 1
		}
	}
	if undescribed() {
		code = 1
	}
	postgrestest.Shutdown()
	for _, l := range []*lazyStack{mainStack, queueStack, shortStack} {
		if l.s == nil {
			continue
		}
		if err := l.s.stop(); err != nil {
			fmt.Fprintf(os.Stderr, "stopping the %s stack: %v\n%s", l.name, err, l.s.tail(40))
			code = 1
		}
	}
	if base.dir != "" {
		if err := os.RemoveAll(base.dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// get returns the shared stack, started when it is not.
func (l *lazyStack) get(t testing.TB) *stack {
	t.Helper()
	l.Do(func() {
		var dir string
		if dir, l.err = newDir(l.name); l.err == nil {
			l.s, l.err = launch(dir, l.vars...)
		}
	})
	if l.err != nil {
		skipWithoutServers(t, l.err.Error())
		t.Fatalf("the %s stack: %v", l.name, l.err)
	}
	return l.s
}

// skipWithoutServers skips the test when that is why a front did not start, unless CI is set: there they have to be.
func skipWithoutServers(t testing.TB, said string) {
	t.Helper()
	for _, missing := range skippable {
		if strings.Contains(said, missing.Error()) && os.Getenv("CI") == "" {
			t.Skip(missing)
		}
	}
}

// ownStack starts a stack for this test alone, which is stopped with it.
func ownStack(t *testing.T, vars ...string) *stack {
	t.Helper()
	return startIn(t, ownDir(t), vars...)
}

// startIn starts a stack on a folder, which is stopped with the test.
func startIn(t *testing.T, dir string, vars ...string) *stack {
	t.Helper()
	s, err := launch(dir, vars...)
	if err != nil {
		skipWithoutServers(t, err.Error())
		t.Fatalf("starting a stack: %v", err)
	}
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Errorf("stopping the stack: %v", err)
		}
		if t.Failed() {
			t.Logf("the stack said:\n%s", s.tail(60))
		}
	})
	return s
}

// ownDir is a data folder for a stack of this test alone, with the executables in it.
func ownDir(t *testing.T) string {
	t.Helper()
	dir, err := newDir("own")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// newDir makes a data folder with the executables in it, which are built at the first call.
func newDir(name string) (string, error) {
	base.Do(build)
	if base.err != nil {
		return "", base.err
	}
	dir, err := os.MkdirTemp(base.dir, name+"-")
	if err != nil {
		return "", err
	}
	return dir, os.Symlink(base.bin, filepath.Join(dir, "bin"))
}

// build builds what `make run` runs, in a folder of its own.
func build() {
	if base.dir, base.err = os.MkdirTemp("", "stayhold-stack-"); base.err != nil {
		return
	}
	if base.dir, base.err = filepath.EvalSymlinks(base.dir); base.err != nil {
		return
	}
	began := time.Now()
	if base.bin, base.err = harness.Build(root, base.dir); base.err == nil {
		fmt.Printf("built the stack in %.1f s\n", time.Since(began).Seconds())
	}
}
