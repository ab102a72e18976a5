package stacktest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"stayhold/functions/local/harness"
)

const (
	readyWithin = 60 * time.Second
	// stopWithin is what the contract gives; while a dozen stacks share two processors, one may need more.
	stopWithin     = 5 * time.Second
	stopWithinBusy = 20 * time.Second
)

// stack is a running front with all that it started.
type stack struct {
	cmd  *exec.Cmd
	dir  string
	port int
	out  *output
	done chan struct{} // closed when the front has ended
	err  error         // how it ended; read after done
	env  map[string]string

	backend *backend // that was started for it; nil when the front starts its own servers

	api, invokeURL, gateway, sqs, queueURL, database string
}

// output is what the front prints, both streams in one.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// client leaves one connection open for each buyer of a storm.
var client = &http.Client{
	Timeout: 45 * time.Second,
	Transport: &http.Transport{
		MaxIdleConnsPerHost: 1100,
		DialContext:         (&net.Dialer{Timeout: 20 * time.Second}).DialContext,
	},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// starting lets few stacks start at once: each of them makes a database.
var starting = make(chan struct{}, 3)

// launch starts the front on the folder with these variables and returns when it is ready; it gives a port of its own.
func launch(dir string, vars ...string) (*stack, error) {
	starting <- struct{}{}
	defer func() { <-starting }()
	if scaled {
		return launchScaled(dir, vars)
	}
	return start(dir, vars...)
}

func start(dir string, vars ...string) (*stack, error) {
	s, err := begin(dir, append([]string{fmt.Sprintf("PORT=%d", harness.FreePorts())}, vars...)...)
	if err != nil {
		return nil, err
	}
	if err := s.waitReady(); err != nil {
		return nil, errors.Join(fmt.Errorf("%w\n%s", err, s.tail(30)), s.stop())
	}
	return s, nil
}

// begin starts the front and does not wait for anything. A template.yaml in the folder is used in the place of ours.
func begin(dir string, vars ...string) (*stack, error) {
	s := &stack{dir: dir, out: &output{}, done: make(chan struct{})}
	s.cmd = exec.Command(filepath.Join(dir, "bin", "local"), "-dir", dir)
	s.cmd.Dir = root
	if _, err := os.Stat(filepath.Join(dir, "template.yaml")); err == nil {
		s.cmd.Dir = dir
	}
	s.cmd.Stdout, s.cmd.Stderr = s.out, s.out
	s.cmd.WaitDelay = 10 * time.Second
	s.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "TMPDIR=" + os.TempDir(), "MAKELEVEL=1"}, vars...)
	for _, v := range vars {
		if n, ok := strings.CutPrefix(v, "PORT="); ok {
			// A bad port is what some tests give.
			_, _ = fmt.Sscan(n, &s.port)
		}
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		s.err = s.cmd.Wait()
		close(s.done)
	}()
	return s, nil
}

// waitReady waits for the ready line and reads where everything is.
func (s *stack) waitReady() error {
	deadline := time.Now().Add(readyWithin)
	for !s.said("ready") {
		select {
		case <-s.done:
			return fmt.Errorf("the front ended before it was ready: %w", s.err)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not ready within %v", readyWithin)
		}
	}
	text, err := os.ReadFile(filepath.Join(s.dir, "env"))
	if err != nil {
		return err
	}
	s.env = map[string]string{}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		s.env[name] = value
	}
	for name, to := range map[string]*string{
		"API_URL": &s.api, "INVOKE_URL": &s.invokeURL, "PAYMENT_GATEWAY_URL": &s.gateway, "AWS_ENDPOINT_URL_SQS": &s.sqs,
		"COMPENSATION_QUEUE_URL": &s.queueURL, "DATABASE_URL": &s.database, "REDIS_URL": new(string),
	} {
		if *to = s.env[name]; *to == "" {
			return fmt.Errorf("the env file has no %s:\n%s", name, text)
		}
	}
	return nil
}

// said reports whether a line that begins with the word has been printed.
func (s *stack) said(word string) bool {
	for line := range strings.Lines(s.out.String()) {
		if strings.HasPrefix(strings.TrimSpace(line), word) {
			return true
		}
	}
	return false
}

// tail is the last n lines that the front printed.
func (s *stack) tail(n int) string {
	lines := strings.SplitAfter(s.out.String(), "\n")
	return strings.Join(lines[max(0, len(lines)-n-1):], "")
}

// stop ends the front as a terminal or a supervisor does and reports what is left of it after that.
func (s *stack) stop() error {
	err := s.stopIn(stopWithinBusy)
	if s.backend != nil {
		s.backend.stop()
	}
	return err
}

func (s *stack) stopIn(within time.Duration) error {
	left, err := descendants(s.cmd.Process.Pid)
	if err != nil {
		return err
	}
	select {
	case <-s.done:
	default:
		if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return err
		}
		select {
		case <-s.done:
		case <-time.After(within):
			killErr := s.cmd.Process.Kill()
			<-s.done
			return errors.Join(fmt.Errorf("the front did not stop within %v", within), killErr)
		}
	}
	return errors.Join(nobodyLeft(s.dir, left), portsFree(s.port))
}

// portsFree reports which of the four ports somebody still listens on.
func portsFree(port int) error {
	var taken []error
	for n := port; port > 0 && n < port+4; n++ {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", n))
		if err != nil {
			taken = append(taken, err)
			continue
		}
		taken = append(taken, l.Close())
	}
	return errors.Join(taken...)
}

// eventually waits until check returns nil, and fails with its last word when that takes too long.
func eventually(t testing.TB, within time.Duration, what string, check func() error) {
	t.Helper()
	deadline := time.Now().Add(within)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v: %v", what, within, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// atOnce runs n calls of do that begin together and returns when all have ended.
func atOnce(n int, do func(i int)) {
	var ready, all sync.WaitGroup
	start := make(chan struct{})
	ready.Add(n)
	for i := range n {
		all.Go(func() {
			ready.Done()
			<-start
			do(i)
		})
	}
	ready.Wait()
	close(start)
	all.Wait()
}

func background(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}
