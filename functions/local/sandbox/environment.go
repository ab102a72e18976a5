package sandbox

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

type state int

const (
	starting state = iota
	idle
	busy
	dead
)

// environment is one process of a function. Its mutable fields are guarded by the pool's lock, but for work.
type environment struct {
	id   string
	pool *Pool
	born time.Time
	// work holds the invocation that the process will fetch; one at a time, so that a send never waits.
	work chan *invocation
	died chan struct{}

	state     state
	rest      *time.Timer // freezes it
	frozen    bool
	current   *invocation
	used      bool
	process   *os.Process
	doomed    bool
	initError string
}

func newEnvironment(p *Pool) *environment {
	e := &environment{
		id: newID(), pool: p,
		work: make(chan *invocation, 1), died: make(chan struct{}),
	}
	e.rest = time.AfterFunc(drowsy, e.freeze)
	return e
}

// give hands an invocation to the process and starts its clock. The pool's lock is held.
func (e *environment) give(inv *invocation) {
	e.rest.Stop()
	if e.frozen {
		signalGroup(e.process, syscall.SIGCONT)
		e.frozen = false
	}
	e.state, e.current = busy, inv
	inv.cold, e.used = !e.used, true
	inv.started = time.Now()
	inv.timer = time.AfterFunc(e.pool.function.Timeout, func() { e.expire(inv) })
	e.work <- inv
}

// next notes that the process asks for work, which ends the invocation that it had.
func (e *environment) next() {
	p := e.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e.state {
	case starting:
		p.starting--
	case busy:
		if !e.current.answered && len(e.work) > 0 {
			// The process asks again before it fetched what waits for it.
			return
		}
		e.current.timer.Stop()
		p.finish(e.current, Result{Failed: true, Died: true, Payload: exitError(e.current.id, "no response was sent")})
		e.current = nil
	default:
		return
	}
	if e.doomed {
		return
	}
	p.serve(e)
	p.grow()
}

// answer takes the process's own result of an invocation; false if it has no such invocation, or no more.
func (e *environment) answer(id string, payload []byte, failed bool) bool {
	p := e.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	if e.current == nil || e.current.id != id {
		return false
	}
	return p.finish(e.current, Result{Payload: payload, Failed: failed})
}

// expire ends an invocation that ran out of time, together with its process.
func (e *environment) expire(inv *invocation) {
	p := e.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	if e.current != inv || e.state != busy {
		return
	}
	after := p.function.Timeout
	p.finish(inv, Result{Failed: true, TimedOut: true, Payload: timeoutError(inv.id, after, time.Now())})
	e.kill()
}

// freeze holds an idle process, with everything it started, until there is work for it.
func (e *environment) freeze() {
	e.pool.mu.Lock()
	defer e.pool.mu.Unlock()
	if e.state == idle && e.process != nil {
		signalGroup(e.process, syscall.SIGSTOP)
		e.frozen = true
	}
}

// kill ends the process with everything it started. The pool's lock is held.
func (e *environment) kill() {
	e.doomed = true
	if e.process != nil && e.state != dead {
		signalGroup(e.process, syscall.SIGKILL)
	}
}

// live runs the process from start to death.
func (e *environment) live() {
	e.born = time.Now()
	if !e.pool.host.adopt(e) {
		e.pool.gone(e, ErrClosed.Error(), ErrClosed.Error())
		return
	}
	defer e.pool.host.forget(e)
	defer close(e.died)
	out := &lines{to: e.pool.function.Output}
	cmd := e.command(out)
	started := make(chan error, 1)
	e.pool.host.start <- func() { started <- cmd.Start() }
	if err := <-started; err != nil {
		e.pool.gone(e, "Couldn't find valid bootstrap: "+err.Error(), "cannot start "+cmd.Path+": "+err.Error())
		return
	}
	e.pool.mu.Lock()
	e.process = cmd.Process
	if e.doomed {
		e.kill()
	}
	e.pool.mu.Unlock()
	late := time.AfterFunc(initLimit, e.tooSlow)
	err := cmd.Wait()
	late.Stop()
	cause := "Runtime exited without providing a reason"
	if err != nil {
		cause = "Runtime exited with error: " + err.Error()
	}
	e.pool.gone(e, cause, e.lastWords(out))
}

// signalGroup reaches a process and whatever it started. One that is gone already is no error.
func signalGroup(p *os.Process, s syscall.Signal) { _ = syscall.Kill(-p.Pid, s) }

// tooSlow ends a process that has not asked for work in time.
func (e *environment) tooSlow() {
	e.pool.mu.Lock()
	defer e.pool.mu.Unlock()
	if e.state == starting {
		e.initError = "it did not ask for work within " + initLimit.String()
		e.kill()
	}
}

func (e *environment) lastWords(out *lines) string {
	e.pool.mu.Lock()
	reported := e.initError
	e.pool.mu.Unlock()
	if reported != "" {
		return reported
	}
	return readable(out.last())
}

// command makes the process: nothing of this process's environment but PATH, HOME and TZ, and what Lambda sets.
func (e *environment) command(out io.Writer) *exec.Cmd {
	f := e.pool.function
	path := f.Executable
	if absolute, err := filepath.Abs(path); err == nil {
		path = absolute
	}
	cmd := exec.Command(path)
	cmd.Dir = filepath.Dir(path)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.WaitDelay = time.Second
	cmd.SysProcAttr = processAttributes()
	for _, name := range []string{"PATH", "HOME", "TZ"} {
		if v, ok := os.LookupEnv(name); ok {
			cmd.Env = append(cmd.Env, name+"="+v)
		}
	}
	cmd.Env = append(cmd.Env,
		"AWS_LAMBDA_RUNTIME_API="+e.pool.host.address+"/"+e.id,
		"AWS_LAMBDA_FUNCTION_NAME="+f.Name,
		"AWS_LAMBDA_FUNCTION_VERSION=$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE="+strconv.Itoa(f.Memory),
		"AWS_LAMBDA_INITIALIZATION_TYPE=on-demand",
		"AWS_LAMBDA_LOG_GROUP_NAME=/aws/lambda/"+f.Name,
		"AWS_LAMBDA_LOG_STREAM_NAME="+e.born.UTC().Format("2006/01/02")+"/[$LATEST]"+strings.ReplaceAll(e.id, "-", ""),
		"AWS_EXECUTION_ENV=AWS_Lambda_provided.al2023",
		"AWS_REGION="+region, "AWS_DEFAULT_REGION="+region,
		"AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=local", "AWS_SESSION_TOKEN=local",
		"LAMBDA_TASK_ROOT="+cmd.Dir, "LAMBDA_RUNTIME_DIR="+cmd.Dir,
		"_HANDLER="+f.Handler,
	)
	cmd.Env = append(cmd.Env, f.Variables...)
	return cmd
}

// startOnOneThread starts processes from a thread that lives as long as this process: the kernel's signal at a
// parent's death is tied to the thread that made the child.
func startOnOneThread(start <-chan func()) {
	runtime.LockOSThread()
	for f := range start {
		f()
	}
}

// lines passes whole lines on and remembers the last one. It never fails: a full disk must not stop a function.
type lines struct {
	to      io.Writer
	mu      sync.Mutex
	partial []byte
	tail    []byte
}

// Write takes a chunk of output.
func (l *lines) Write(chunk []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	end := bytes.LastIndexByte(chunk, '\n')
	if end < 0 {
		l.partial = append(l.partial, chunk...)
		return len(chunk), nil
	}
	whole := chunk[:end+1]
	if len(l.partial) > 0 {
		whole = append(l.partial, whole...)
	}
	if l.to != nil {
		_, _ = l.to.Write(whole)
	}
	trimmed := bytes.TrimRight(whole, "\n")
	if last := trimmed[bytes.LastIndexByte(trimmed, '\n')+1:]; len(last) > 0 {
		l.tail = append(l.tail[:0], last...)
	}
	l.partial = append([]byte(nil), chunk[end+1:]...)
	return len(chunk), nil
}

func (l *lines) last() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.partial) > 0 {
		return string(l.partial)
	}
	return string(l.tail)
}

// readable takes the message out of a structured line; any other line stays as it is.
func readable(line string) string {
	var entry struct {
		Message string `json:"msg"`
		Error   string `json:"error"`
		Err     string `json:"err"`
		Reason  string `json:"errorMessage"`
	}
	if json.Unmarshal([]byte(line), &entry) != nil {
		return line
	}
	var parts []string
	for _, part := range []string{entry.Message, entry.Error, entry.Err, entry.Reason} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	if len(parts) == 0 {
		return line
	}
	return strings.Join(parts, ": ")
}
