package stacktest

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"stayhold/functions/local/harness"
)

// A start that cannot succeed says so on one line, ends with code 1 and leaves nothing behind.
func TestBadStarts(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	_, taken, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		vars []string
		says []string
	}{
		{"a duration of letters", []string{"HOLD_TTL=abc"}, []string{"HOLD_TTL"}},
		{"a duration below zero", []string{"PAYMENT_WINDOW=-5s"}, []string{"PAYMENT_WINDOW"}},
		{"a hold that no charge fits into", []string{"HOLD_TTL=60s"}, []string{"HOLD_TTL", "PAYMENT_WINDOW"}},
		{"a number of letters", []string{"MAX_OPEN_HOLDS=many"}, []string{"MAX_OPEN_HOLDS"}},
		{"two faults", []string{"GATEWAY_TIMEOUT=x", "GATEWAY_SESSION=y"}, []string{"GATEWAY_TIMEOUT", "GATEWAY_SESSION"}},
		{"an interval of letters", []string{"SWEEP_INTERVAL=soon"}, []string{"SWEEP_INTERVAL"}},
		{"an origin without a scheme", []string{"CORS_ALLOW_ORIGINS=https://a.example,shop.example"}, []string{"CORS_ALLOW_ORIGINS", "shop.example"}},
		{"a port of letters", []string{"PORT=http"}, []string{"PORT"}},
		{"a taken port", []string{"PORT=" + taken}, []string{taken}},
		{"a database that is not there", []string{"DATABASE_URL=postgres://u:secret@127.0.0.1:1/x"}, []string{"DATABASE_URL"}},
		{"a database that is no URL", []string{"DATABASE_URL=mysql"}, []string{"DATABASE_URL"}},
		{"an owner without the functions", []string{"MIGRATE_DATABASE_URL=postgres://u:secret@127.0.0.1:1/x"}, []string{"DATABASE_URL", "MIGRATE_DATABASE_URL"}},
		{"a Redis that is not there", []string{"REDIS_URL=redis://127.0.0.1:1"}, []string{"REDIS_URL"}},
		{"half a queue", []string{"COMPENSATION_QUEUE_URL=http://127.0.0.1:1/q"}, []string{"AWS_ENDPOINT_URL_SQS"}},
		{"an endpoint with a path", []string{"AWS_ENDPOINT_URL_LAMBDA=http://127.0.0.1:1/2015-03-31"}, []string{"AWS_ENDPOINT_URL_LAMBDA"}},
		{"a second address of no network", []string{"ALSO_LISTEN=0.0.0.0"}, []string{"ALSO_LISTEN", "0.0.0.0"}},
		{"a second address of another machine", []string{"ALSO_LISTEN=192.0.2.1"}, []string{"ALSO_LISTEN", "192.0.2.1"}},
		{"a flag of letters", []string{"TLS_REQUIRED=maybe"}, []string{"TLS_REQUIRED"}},
		{"a gateway in plain text", []string{"PAYMENT_GATEWAY_URL=http://gateway.example", "PAYMENT_GATEWAY_SECRET=hush", "TLS_REQUIRED=true"},
			[]string{"PAYMENT_GATEWAY_URL", "plain http to another machine"}},
		{"a gateway without its key", []string{"PAYMENT_GATEWAY_URL=http://127.0.0.1:1"}, []string{"PAYMENT_GATEWAY_SECRET"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if !strings.HasPrefix(c.vars[0], "PORT=") {
				c.vars = append(c.vars, fmt.Sprintf("PORT=%d", harness.FreePorts()))
			}
			s, err := begin(ownDir(t), c.vars...)
			if err != nil {
				t.Fatal(err)
			}
			s.endsBadly(t, c.says...)
		})
	}
}

// endsBadly fails the test unless the front ends by itself as a failed start has to.
func (s *stack) endsBadly(t *testing.T, says ...string) {
	t.Helper()
	select {
	case <-s.done:
	case <-time.After(readyWithin):
		t.Errorf("still runs:\n%s", errors.Join(fmt.Errorf("%s", s.tail(20)), s.stop()))
		return
	}
	skipWithoutServers(t, s.out.String())
	var exit *exec.ExitError
	if !errors.As(s.err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("ended with %v, want exit code 1", s.err)
	}
	found := 0
	for line := range strings.Lines(s.out.String()) {
		named := true
		for _, word := range says {
			named = named && strings.Contains(line, word)
		}
		if named {
			found++
		}
		if strings.Contains(line, "goroutine ") || strings.Contains(line, "secret") || strings.HasPrefix(line, "ready") {
			t.Errorf("it says %s", line)
		}
	}
	if found != 1 {
		t.Errorf("%d lines name %v, want one:\n%s", found, says, s.out)
	}
	if err := nobodyLeft(s.dir, nil); err != nil {
		t.Error(err)
	}
}

// Not beside other tests: this one looks at the clock.
func TestReadyAndStopInTime(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		s, err := launch(ownDir(t))
		if err != nil {
			skipWithoutServers(t, err.Error())
			t.Fatal(err)
		}
		s.buyer(t).bought(t, 1, oneCard)
		if err := s.cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		if err := s.stopIn(stopWithin); err != nil {
			t.Errorf("%v: %v\n%s", signal, err, s.tail(20))
		}
		if s.err != nil {
			t.Errorf("%v: a stop that was asked for ends with %v", signal, s.err)
		}
	}
}

func TestStopAndStartAgain(t *testing.T) {
	t.Parallel()
	dir := ownDir(t)
	first, err := launch(dir)
	if err != nil {
		skipWithoutServers(t, err.Error())
		t.Fatal(err)
	}
	b := first.buyer(t)
	done := b.bought(t, first.product(t, 3), oneCard)
	open := first.user(t, 7)
	held := open.held(t, 1)

	// A second stack on the same folder is refused, and does the first no harm.
	second, err := begin(dir, fmt.Sprintf("PORT=%d", harness.FreePorts()))
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-second.done:
		if second.err == nil || !strings.Contains(second.out.String(), "another stack") {
			t.Errorf("ended with %v: %s", second.err, second.out)
		}
	case <-time.After(readyWithin):
		t.Errorf("two stacks on one folder: %v", second.stop())
	}
	b.booking(t, done.BookingID)

	if err := first.stop(); err != nil {
		t.Fatalf("%v\n%s", err, first.tail(20))
	}
	if _, err := os.Stat(filepath.Join(dir, "env")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the env file tells of a stack that is gone: %v", err)
	}
	again := startIn(t, dir)
	back := again.user(t, b.id)
	if got := back.booking(t, done.BookingID); got.Status != "CONFIRMED" {
		t.Errorf("after the second start: %+v", got)
	}
	again.oneCharge(t, done, "100000.00", false)
	if got := back.available(t, done.ProductID); got != 2 {
		t.Errorf("%d available after the second start", got)
	}
	open = again.user(t, 7)
	if got := open.booking(t, held.BookingID); got.Status != "INIT" || *got.HoldExpiresAt != *held.HoldExpiresAt {
		t.Errorf("an open hold after the second start: %+v", got)
	}
	open.register(held.BookingID, oneCard).want(t, 201)
	open.approve(held.BookingID, key("ok")).want(t, 200)
	open.finishes(t, held.BookingID)
	back.cancel(done.BookingID).want(t, 200)
	back.refunded(t, done.BookingID, "CANCELLED", "100000.00")
	again.audited(t, 0)
}

// Ctrl-C in the middle of the start stops that, too.
func TestStopWhileStarting(t *testing.T) {
	t.Parallel()
	s, err := begin(ownDir(t), fmt.Sprintf("PORT=%d", harness.FreePorts()))
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, readyWithin, "the first child", func() error {
		skipWithoutServers(t, s.out.String())
		children, err := descendants(s.cmd.Process.Pid)
		if err == nil && len(children) == 0 {
			err = errors.New("none")
		}
		return err
	})
	if err := s.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := s.stop(); err != nil {
		t.Errorf("%v\n%s", err, s.tail(20))
	}
}

// When the front itself is killed, the kernel or its parts' own watch ends them.
func TestNothingOutlivesAKilledFront(t *testing.T) {
	t.Parallel()
	s, err := launch(ownDir(t))
	if err != nil {
		skipWithoutServers(t, err.Error())
		t.Fatal(err)
	}
	family, err := descendants(s.cmd.Process.Pid)
	if err != nil || len(family) < 10 {
		t.Errorf("%d processes: %v", len(family), err)
	}
	if runtime.GOOS != "linux" {
		// Elsewhere it is the next start that stops the servers.
		family = slices.DeleteFunc(family, func(p harness.Process) bool { return !strings.Contains(p.Args, "bootstrap") })
	}
	if err := kill9(s.cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	<-s.done
	eventually(t, 15*time.Second, "the end of its children", func() error { return gone(family) })
	again := startIn(t, s.dir)
	again.buyer(t).bought(t, 1, oneCard)
	again.audited(t, 0)
}

// With another database, nothing of the one before comes back: neither its holds nor its money.
func TestAnotherDatabaseBeginsAnew(t *testing.T) {
	t.Parallel()
	dir := ownDir(t)
	first, err := launch(dir)
	if err != nil {
		skipWithoutServers(t, err.Error())
		t.Fatal(err)
	}
	b := first.user(t, 7)
	first.oneCharge(t, b.bought(t, 2, oneCard), "100000.00", false)
	b.held(t, 1)
	if err := first.stop(); err != nil {
		t.Fatalf("%v\n%s", err, first.tail(20))
	}
	if err := os.RemoveAll(filepath.Join(dir, "postgres")); err != nil {
		t.Fatal(err)
	}
	again := startIn(t, dir)
	b = again.user(t, 7)
	for product, want := range map[int64]int64{1: 100, 2: 10} {
		if got := b.available(t, product); got != want {
			t.Errorf("%d of product %d are available, want %d", got, product, want)
		}
	}
	var ledger struct {
		Charges []charge
		Net     string
	}
	if send("GET", again.gateway+"/ledger", "").want(t, 200).into(t, &ledger); len(ledger.Charges) > 0 {
		t.Errorf("charges of another database: %+v", ledger.Charges)
	}
	b.bought(t, 2, oneCard)
	again.audited(t, 0)
}
