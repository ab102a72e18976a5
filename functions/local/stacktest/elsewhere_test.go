package stacktest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"stayhold/functions/local/harness"
)

// A front whose functions run elsewhere: in another stack's environments, which reach the first one's servers at the
// address that containers would use.
func TestFunctionsElsewhere(t *testing.T) {
	t.Parallel()
	second := "127.0.0.2"
	if runtime.GOOS != "linux" {
		second = "127.0.0.1" // the only address of its kind
	}
	elsewherePort := harness.FreePorts()
	vars := []string{
		fmt.Sprintf("PORT=%d", harness.FreePorts()), fmt.Sprintf("AWS_ENDPOINT_URL_LAMBDA=http://127.0.0.1:%d", elsewherePort+1),
		"SWEEP_INTERVAL=500ms",
	}
	if second != "127.0.0.1" {
		vars = append(vars, "ALSO_LISTEN="+second)
	}
	s, err := begin(ownDir(t), vars...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Errorf("stopping the front: %v\n%s", err, s.tail(20))
		}
	})
	eventually(t, readyWithin, "the servers", func() error {
		skipWithoutServers(t, s.out.String())
		_, err := os.Stat(filepath.Join(s.dir, "functions.json"))
		return err
	})
	s.tells(t, fmt.Sprintf("waiting for http://127.0.0.1:%d, at most 2m0s", elsewherePort+1))
	elsewhere := startIn(t, ownDir(t), append(containerVariables(t, s.dir, second), fmt.Sprintf("PORT=%d", elsewherePort), "SWEEP_INTERVAL=1h")...)
	if err := s.waitReady(); err != nil {
		t.Fatalf("%v\n%s", err, s.tail(30))
	}
	children, err := descendants(s.cmd.Process.Pid)
	if err != nil || slices.ContainsFunc(children, func(p harness.Process) bool { return strings.Contains(p.Args, "bootstrap") }) {
		t.Errorf("it runs functions itself: %+v, %v", children, err)
	}
	for of, want := range map[*stack]bool{s: true, elsewhere: false} {
		if at := fmt.Sprintf("%s:%d", second, of.port+3); second != "127.0.0.1" && reachable(at) != want {
			t.Errorf("the queue of the stack on port %d is reached at %s: %v", of.port, at, !want)
		}
	}
	s.sellsElsewhere(t, second, elsewhere)

	// It is gone: callers are told as API Gateway does, and the front goes on.
	if err := elsewhere.stop(); err != nil {
		t.Error(err)
	}
	s.user(t, 7).get("/points").message(t, 503, "Service Unavailable")
	s.tells(t, "does not answer")
}

// sellsElsewhere goes each of the ways on which a function is called, and sees that the other stack ran it.
func (s *stack) sellsElsewhere(t *testing.T, second string, elsewhere *stack) {
	b := s.buyer(t)
	b.grant(t, "3000")
	product := s.product(t, 3)
	r := b.registered(t, product, pay("POINT", "3000")+","+pay("CARD", "97000"))
	b.approve(r.BookingID, key("ok")).want(t, 200)
	b.finishes(t, r.BookingID)
	s.oneCharge(t, r, "97000.00", false)
	s.refused(t, `{"action":"explain","bookingId":999999999}`, "BOOKING_NOT_FOUND")
	// Sent as containers send it.
	s.sqs = strings.Replace(s.sqs, "127.0.0.1", second, 1)
	s.queue(t, "SendMessage", map[string]any{"QueueUrl": s.queueURL, "MessageBody": fmt.Sprintf(`{"version":1,"task":"compensate","bookingId":%d}`, r.BookingID)}, nil)
	eventually(t, 20*time.Second, "the message", func() error {
		if n := s.waiting(t, s.queueURL); n > 0 {
			return fmt.Errorf("%d left", n)
		}
		return nil
	})
	eventually(t, 20*time.Second, "every function runs elsewhere", func() error {
		for _, function := range strings.Fields("Migrate Reserve Register Approve Complete Query Admin Compensate Sweep") {
			if function += "Function"; !strings.Contains(elsewhere.out.String(), "INVOKE "+function) {
				return fmt.Errorf("not %s:\n%s", function, elsewhere.tail(40))
			}
		}
		return nil
	})
	s.audited(t, 0)
	// It dies there in mid-charge: told as one of the front's own.
	b = s.buyer(t)
	r = b.registered(t, product, oneCard)
	answered := make(chan answer)
	go func() { answered <- b.approve(r.BookingID, key("slow-5000")) }()
	b.charging(t, r.BookingID)
	elsewhere.killEvery(t, "ApproveFunction/bootstrap")
	(<-answered).message(t, http.StatusInternalServerError, "Internal Server Error")
	s.tells(t, "Runtime.ExitError")
}

// tells waits until the front has printed that.
func (s *stack) tells(t *testing.T, what string) {
	t.Helper()
	eventually(t, 10*time.Second, "it is told", func() error {
		if !strings.Contains(s.out.String(), what) {
			return fmt.Errorf("no %q in\n%s", what, s.tail(20))
		}
		return nil
	})
}

// containerVariables are those of the functions that a front wrote down for containers, for a stack that is none and
// reaches the front at that address.
func containerVariables(t *testing.T, dir, at string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "functions.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]map[string]string
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	vars := []string{"MIGRATE_DATABASE_URL=" + all["MigrateFunction"]["DATABASE_URL"], "FUNCTIONS_LOGIN=" + all["MigrateFunction"]["FUNCTIONS_LOGIN"]}
	for _, name := range strings.Fields("DATABASE_URL REDIS_URL PAYMENT_GATEWAY_URL PAYMENT_GATEWAY_SECRET GATEWAY_TIMEOUT GATEWAY_SESSION HOLD_TTL PAYMENT_WINDOW SWEEP_GRACE") {
		vars = append(vars, name+"="+all["AdminFunction"][name])
	}
	for i, v := range vars {
		vars[i] = strings.ReplaceAll(v, "host.docker.internal", at)
	}
	if name, value := "DATABASE_URL_ARN", all["AdminFunction"]["DATABASE_URL_ARN"]; value != "" {
		t.Errorf("%s is %q, want nothing", name, value)
	}
	return vars
}

func reachable(address string) bool {
	conn, err := net.DialTimeout("tcp", address, time.Second)
	return err == nil && errors.Join(conn.Close()) == nil
}
