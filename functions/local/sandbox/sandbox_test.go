package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// bootstrap is the path of the function that the tests run, built once.
var bootstrap string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "stayhold-sandbox-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	bootstrap = filepath.Join(dir, "bootstrap")
	build := exec.Command("go", "build", "-tags", "lambda.norpc", "-o", bootstrap, "./testdata/bootstrap")
	code := 1
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
	} else {
		code = m.Run()
	}
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

// output collects what functions print.
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

// latch is a place where functions wait until they are let go.
type latch struct {
	*httptest.Server
	arrived chan struct{}
	release chan struct{}
}

func newLatch(t *testing.T) *latch {
	l := &latch{arrived: make(chan struct{}, 100), release: make(chan struct{})}
	l.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		l.arrived <- struct{}{}
		select {
		case <-l.release:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(l.Close)
	return l
}

func (l *latch) order() []byte { return fmt.Appendf(nil, `{"do":"wait","url":%q}`, l.URL) }

func pool(t *testing.T, most int, change func(*Function)) (*Host, *Pool) {
	t.Helper()
	h, err := Listen()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := h.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	f := Function{Name: "Test", Executable: bootstrap, Handler: "bootstrap", Timeout: 20 * time.Second, Memory: 256, Output: &output{}}
	if change != nil {
		change(&f)
	}
	return h, h.Add(f, most)
}

func invoke(t *testing.T, p *Pool, payload string) Result {
	t.Helper()
	r, err := p.Invoke(t.Context(), []byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (p *Pool) count() (all, spare int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.all), len(p.idle)
}

// eventually waits for what another process does.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !is(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within 10 s: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

func TestInvokeReturnsWhatTheFunctionReturns(t *testing.T) {
	_, p := pool(t, 8, nil)
	first, second := invoke(t, p, `{"a":[1,"ü"]}`), invoke(t, p, `{"a":2}`)
	if string(first.Payload) != `{"a":[1,"ü"]}` || first.Failed || !first.Cold {
		t.Errorf("first: %s %+v", first.Payload, first)
	}
	if string(second.Payload) != `{"a":2}` || second.Cold {
		t.Errorf("second: %s, cold %v", second.Payload, second.Cold)
	}
	if all, _ := p.count(); all != 1 {
		t.Errorf("%d environments for calls one after the other, want 1", all)
	}
}

func TestInvocationContext(t *testing.T) {
	_, p := pool(t, 8, nil)
	before := time.Now()
	var got struct {
		ID, ARN  string
		Deadline int64
	}
	if err := json.Unmarshal(invoke(t, p, `{"do":"context"}`).Payload, &got); err != nil {
		t.Fatal(err)
	}
	left := time.UnixMilli(got.Deadline).Sub(before)
	if len(got.ID) != 36 || got.ARN != "arn:aws:lambda:us-east-1:000000000000:function:Test" || left < 15*time.Second || left > 30*time.Second {
		t.Errorf("%+v, %v left", got, left)
	}
}

func TestEnvironmentHoldsNothingOfTheParent(t *testing.T) {
	t.Setenv("STAYHOLD_PARENT_SECRET", "x")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "real")
	_, p := pool(t, 8, func(f *Function) { f.Variables = []string{"HOLD_TTL=300s"} })
	var got []string
	if err := json.Unmarshal(invoke(t, p, `{"do":"environment"}`).Payload, &got); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"HOLD_TTL=300s", "AWS_LAMBDA_FUNCTION_NAME=Test", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE=256", "AWS_REGION=us-east-1",
		"_HANDLER=bootstrap", "AWS_SECRET_ACCESS_KEY=local", "LAMBDA_TASK_ROOT=" + filepath.Dir(bootstrap),
	} {
		if !slices.Contains(got, want) {
			t.Errorf("%s is missing", want)
		}
	}
	if slices.ContainsFunc(got, func(v string) bool { return strings.HasPrefix(v, "STAYHOLD_") }) {
		t.Errorf("the parent's variables came through: %v", got)
	}
}

func TestFunctionErrorKeepsTheEnvironment(t *testing.T) {
	_, p := pool(t, 8, nil)
	r := invoke(t, p, `{"do":"error"}`)
	if !r.Failed || r.Died || string(r.Payload) != `{"errorMessage":"it went wrong","errorType":"errorString"}` {
		t.Errorf("%s %+v", r.Payload, r)
	}
	if r := invoke(t, p, `{}`); r.Failed || r.Cold {
		t.Errorf("after an error: %+v", r)
	}
}

func TestPanicAndCrashGetANewEnvironment(t *testing.T) {
	_, p := pool(t, 1, nil)
	if r := invoke(t, p, `{"do":"panic"}`); !r.Failed || !strings.Contains(string(r.Payload), "at once") {
		t.Errorf("panic: %s", r.Payload)
	}
	if r := invoke(t, p, `{}`); r.Failed || !r.Cold {
		t.Errorf("after a panic: %+v", r)
	}
	r := invoke(t, p, `{"do":"crash"}`)
	if !r.Failed || !r.Died || r.Detail != "last words" || !strings.Contains(string(r.Payload), `"errorType":"Runtime.ExitError"`) ||
		!strings.Contains(string(r.Payload), "exit status 3") {
		t.Errorf("crash: %s %+v", r.Payload, r)
	}
	if r := invoke(t, p, `{}`); r.Failed || !r.Cold {
		t.Errorf("after a crash: %+v", r)
	}
}

func TestKillInAnInvocationFailsItAndIsReplaced(t *testing.T) {
	_, p := pool(t, 1, nil)
	l := newLatch(t)
	ended := make(chan Result, 1)
	go func() {
		r, err := p.Invoke(context.Background(), l.order())
		if err != nil {
			t.Error(err)
		}
		ended <- r
	}()
	<-l.arrived
	p.mu.Lock()
	pid := p.all[0].process.Pid
	p.mu.Unlock()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if r := <-ended; !r.Died || !strings.Contains(string(r.Payload), "signal: killed") {
		t.Errorf("%s %+v", r.Payload, r)
	}
	eventually(t, "a new environment", func() bool { _, spare := p.count(); return spare == 1 })
}

func TestTimeoutKillsAndReplaces(t *testing.T) {
	_, p := pool(t, 1, func(f *Function) { f.Timeout = 200 * time.Millisecond })
	l := newLatch(t)
	r := invoke(t, p, string(l.order()))
	if !r.TimedOut || !strings.Contains(string(r.Payload), "Task timed out after 0.20 seconds") {
		t.Errorf("%s %+v", r.Payload, r)
	}
	if r := invoke(t, p, `{}`); r.Failed || !r.Cold {
		t.Errorf("after a timeout: %+v", r)
	}
}

func TestNinthCallWaitsItsTurn(t *testing.T) {
	_, p := pool(t, 8, nil)
	l := newLatch(t)
	results := make(chan Result, 8)
	for range 8 {
		go func() {
			r, err := p.Invoke(context.Background(), l.order())
			if err != nil {
				t.Error(err)
			}
			results <- r
		}()
	}
	for range 8 {
		<-l.arrived
	}
	ctx, cancel := context.WithCancel(t.Context())
	ninth := make(chan error, 1)
	go func() { _, err := p.Invoke(ctx, []byte(`{}`)); ninth <- err }()
	eventually(t, "the ninth waits", func() bool { p.mu.Lock(); defer p.mu.Unlock(); return len(p.waiting) == 1 })
	cancel()
	if err := <-ninth; !errors.Is(err, ErrBusy) {
		t.Errorf("a ninth that gave up: %v", err)
	}
	tenth := make(chan Result, 1)
	go func() { r, _ := p.Invoke(context.Background(), []byte(`{"turn":10}`)); tenth <- r }()
	close(l.release)
	if r := <-tenth; string(r.Payload) != `{"turn":10}` || r.Cold {
		t.Errorf("the tenth: %s %+v", r.Payload, r)
	}
	pids := map[string]bool{}
	for range 8 {
		pids[string((<-results).Payload)] = true
	}
	if all, _ := p.count(); all != 8 || len(pids) != 8 {
		t.Errorf("%d environments, %d processes, want 8", all, len(pids))
	}
}

func TestWaitingEndsAfterPatience(t *testing.T) {
	_, p := pool(t, 1, nil)
	p.patience = 50 * time.Millisecond
	l := newLatch(t)
	invoke(t, p, `{}`)
	held := make(chan Result, 1)
	go func() { r, _ := p.Invoke(context.Background(), l.order()); held <- r }()
	<-l.arrived
	if _, err := p.Invoke(t.Context(), []byte(`{}`)); !errors.Is(err, ErrBusy) {
		t.Errorf("error %v, want %v", err, ErrBusy)
	}
	close(l.release)
	if r := <-held; r.Failed {
		t.Errorf("the one that was under way: %s", r.Payload)
	}
}

func TestInitFailureIsToldInItsOwnWords(t *testing.T) {
	_, p := pool(t, 8, func(f *Function) { f.Variables = []string{"FAULT=HOLD_TTL is no duration"} })
	err := p.Prepare(t.Context())
	if err == nil || err.Error() != "Test did not start: configuration: HOLD_TTL is no duration" {
		t.Errorf("error %v", err)
	}
	if r := invoke(t, p, `{}`); !r.Failed || !strings.Contains(string(r.Payload), "Runtime.ExitError") {
		t.Errorf("invocation: %s", r.Payload)
	}
	_, p = pool(t, 8, func(f *Function) { f.Executable = "/nonexistent/bootstrap" })
	if err := p.Prepare(t.Context()); err == nil || !strings.Contains(err.Error(), "/nonexistent/bootstrap") {
		t.Errorf("a missing executable: %v", err)
	}
}

func TestPrepareStartsOneAndTheIdleOneIsReplaced(t *testing.T) {
	_, p := pool(t, 8, nil)
	for range 2 {
		if err := p.Prepare(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	p.mu.Lock()
	first := p.idle[0]
	all, pid := len(p.all), first.process.Pid
	p.mu.Unlock()
	if all != 1 {
		t.Fatalf("%d environments, want 1", all)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "another idle environment", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.idle) == 1 && p.idle[0] != first
	})
	if r := invoke(t, p, `{}`); r.Failed || !r.Cold {
		t.Errorf("%+v", r)
	}
}

// Lambda lets nothing go on in an environment between two invocations.
func TestIdleEnvironmentIsFrozen(t *testing.T) {
	_, p := pool(t, 1, nil)
	pid := func() (id int) {
		var told struct{ PID int }
		if r := invoke(t, p, `{"do":"context"}`); r.Failed || json.Unmarshal(r.Payload, &told) != nil {
			t.Fatalf("%+v", r)
		}
		return told.PID
	}
	frozen := func(pid int) func() bool {
		return func() bool {
			state, err := exec.Command("ps", "-o", "state=", "-p", strconv.Itoa(pid)).Output()
			return err == nil && strings.HasPrefix(string(state), "T")
		}
	}
	first := pid()
	eventually(t, "it is frozen", frozen(first))
	if again := pid(); again != first {
		t.Errorf("another environment, %d, was started beside the frozen one", again)
	}
	eventually(t, "it is frozen again", frozen(first))
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a frozen one that dies is replaced", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.idle) == 1 && p.idle[0].process != nil && p.idle[0].process.Pid != first
	})
	if next := pid(); next == first {
		t.Error("who is dead has answered")
	}
}

func TestResponseTooLarge(t *testing.T) {
	_, p := pool(t, 1, nil)
	if r := invoke(t, p, `{"do":"large"}`); !r.Failed || !strings.Contains(string(r.Payload), "Function.ResponseSizeTooLarge") {
		t.Errorf("%.200s", r.Payload)
	}
	if r := invoke(t, p, `{}`); r.Failed {
		t.Errorf("afterwards: %s", r.Payload)
	}
}

func TestCloseLeavesNothingRunning(t *testing.T) {
	h, p := pool(t, 8, nil)
	l := newLatch(t)
	ended := make(chan Result, 1)
	go func() { r, _ := p.Invoke(context.Background(), l.order()); ended <- r }()
	<-l.arrived
	p.mu.Lock()
	pid := p.all[0].process.Pid
	p.mu.Unlock()
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := <-ended; !r.Died {
		t.Errorf("%+v", r)
	}
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process %d is still there: %v", pid, err)
	}
	if _, err := p.Invoke(t.Context(), []byte(`{}`)); !errors.Is(err, ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
}

func TestLinesStayWhole(t *testing.T) {
	var out output
	l := &lines{to: &out}
	for _, chunk := range []string{"a", "b\nc", "\n\n", "d"} {
		if _, err := l.Write([]byte(chunk)); err != nil {
			t.Fatal(err)
		}
	}
	if out.String() != "ab\nc\n\n" || l.last() != "d" {
		t.Errorf("%q, last %q", out.String(), l.last())
	}
	if got := readable(`{"level":"ERROR","msg":"no","error":"way"}`); got != "no: way" {
		t.Errorf("readable: %q", got)
	}
}
