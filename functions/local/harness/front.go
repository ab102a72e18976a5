// Package harness drives the local stack from outside, for what measures it and for what breaks it: the front as
// `make run` runs it (Front), the system's list of processes, and its callers (Shop, Buyer).
//
// Invariants: a stack works in a folder and on ports of its own, and listens on 127.0.0.1 only; whatever it started is
// gone when Stop returns. Answers are handed over as they came: who calls knows which of them are right.
//
// When this process dies, the front notices that its parent is gone and stops by itself.
package harness

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// readyWithin is how long a stack may take whose Options do not say.
const readyWithin = 60 * time.Second

// Options say which stack is started and on what.
type Options struct {
	Root string    // where template.yaml is
	Bin  string    // the folder with the built executables
	Work string    // the stack's data; made when missing
	Port int       // of the API, and the three behind it; 0 takes free ones
	Vars []string  // NAME=value: its environment, beside PATH, HOME, TMPDIR and PORT
	Log  io.Writer // what it prints; nil keeps only the last lines

	Within time.Duration // how long it may take to be ready; 0: a minute
}

// Front is a local stack that runs.
type Front struct {
	API     string // its URLs
	Invoke  string
	Gateway string // of the payment simulator

	cmd   *exec.Cmd
	log   io.Writer
	done  chan struct{}
	ready chan struct{}

	mu   sync.Mutex
	last []string // lines that it printed
}

// Open starts the front and returns when the stack is ready. Nothing is left running when it fails.
func Open(ctx context.Context, o Options) (*Front, error) {
	bin, err := filepath.Abs(o.Bin)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(bin, "local")); err != nil {
		return nil, fmt.Errorf("%s is missing: run `make build`", filepath.Join(bin, "local"))
	}
	if err := os.MkdirAll(o.Work, 0o755); err != nil {
		return nil, err
	}
	if filepath.Join(o.Work, "bin") != filepath.Clean(o.Bin) {
		if err := os.Symlink(bin, filepath.Join(o.Work, "bin")); err != nil {
			return nil, err
		}
	}
	port := o.Port
	if port == 0 {
		port = FreePorts()
	}
	at := func(n int) string { return fmt.Sprintf("http://127.0.0.1:%d", port+n) }
	f := &Front{
		API: at(0), Invoke: at(1), Gateway: at(2), log: o.Log, done: make(chan struct{}), ready: make(chan struct{}),
	}
	f.cmd = exec.Command(filepath.Join(o.Work, "bin", "local"), "-dir", o.Work)
	f.cmd.Dir = o.Root
	// A group of its own, away from the terminal's Ctrl-C: it is stopped from here. MAKELEVEL has it end by itself when
	// this process is gone.
	f.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	f.cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "TMPDIR=" + os.TempDir(), "MAKELEVEL=1",
		fmt.Sprintf("PORT=%d", port),
	}, o.Vars...)
	if err := f.launch(); err != nil {
		return nil, err
	}
	within := cmp.Or(o.Within, readyWithin)
	select {
	case <-f.ready:
		return f, nil
	case <-f.done:
		return nil, errors.New("the local stack ended before it was ready: " + f.Tail())
	case <-ctx.Done():
		f.Stop()
		return nil, ctx.Err()
	case <-time.After(within):
		f.Stop()
		return nil, fmt.Errorf("the local stack was not ready within %v: %s", within, f.Tail())
	}
}

// launch starts the process and reads what it prints until it ends.
func (f *Front) launch() error {
	out, in, err := os.Pipe()
	if err != nil {
		return err
	}
	f.cmd.Stdout, f.cmd.Stderr = in, in
	err = errors.Join(f.cmd.Start(), in.Close())
	if err != nil {
		return errors.Join(err, out.Close())
	}
	go func() {
		lines := bufio.NewScanner(out)
		for told := false; lines.Scan(); {
			line := lines.Text()
			if !told && strings.HasPrefix(line, "ready ") {
				told = true
				close(f.ready)
			}
			if f.log != nil {
				_, _ = fmt.Fprintln(f.log, line) // a full disk must not stop the stack
			}
			f.mu.Lock()
			f.last = append(f.last[max(0, len(f.last)-9):], line)
			f.mu.Unlock()
		}
		_ = out.Close()
	}()
	go func() {
		_ = f.cmd.Wait() // how it ended does not matter: its lines tell
		close(f.done)
	}()
	return nil
}

// Pid is the front's process id.
func (f *Front) Pid() int { return f.cmd.Process.Pid }

// Done closes when the front has ended, asked or not.
func (f *Front) Done() <-chan struct{} { return f.done }

// Tail is what it printed last, on one line.
func (f *Front) Tail() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.last, "; ")
}

// Stop ends the stack in good order, and whatever of it does not end by itself.
func (f *Front) Stop() {
	_ = f.cmd.Process.Signal(syscall.SIGTERM) // one that has ended is what we want
	select {
	case <-f.done:
	case <-time.After(10 * time.Second):
		_ = syscall.Kill(-f.cmd.Process.Pid, syscall.SIGKILL)
		<-f.done
	}
}

// FreePorts returns the first of four ports in a row that nobody listens on, below those that the system gives away.
func FreePorts() int {
next:
	for {
		first := 11000 + rand.IntN(19000)
		for port := first; port < first+4; port++ {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
			if err != nil {
				continue next
			}
			if l.Close() != nil {
				continue next
			}
		}
		return first
	}
}
