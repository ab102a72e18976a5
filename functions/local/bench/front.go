package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
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

const (
	readyWithin = 60 * time.Second
	// sweepInterval makes sure that SweepFunction runs, more than once, while its memory is looked at.
	sweepInterval = "5s"
)

// front is the local stack, run as `make run` runs it, on data of its own.
type front struct {
	cmd    *exec.Cmd
	api    string
	invoke string
	done   chan struct{}
	ready  chan struct{}

	mu   sync.Mutex
	last []string // lines that it printed
}

// openFront starts the executables below dir/bin on the folder work and returns when the stack is ready. Nothing is left
// running when it fails.
func openFront(ctx context.Context, root, dir, work string) (*front, error) {
	bin, err := filepath.Abs(filepath.Join(dir, "bin"))
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(bin, "local")); err != nil {
		return nil, fmt.Errorf("%s is missing: run `make build`", filepath.Join(bin, "local"))
	}
	if err := os.MkdirAll(work, 0o755); err != nil {
		return nil, err
	}
	if err := os.Symlink(bin, filepath.Join(work, "bin")); err != nil {
		return nil, err
	}
	port := freePorts()
	f := &front{
		api: fmt.Sprintf("http://127.0.0.1:%d", port), invoke: fmt.Sprintf("http://127.0.0.1:%d", port+1),
		done: make(chan struct{}), ready: make(chan struct{}),
	}
	f.cmd = exec.Command(filepath.Join(work, "bin", "local"), "-dir", work)
	f.cmd.Dir = root
	// A group of its own, away from the terminal's Ctrl-C: it is stopped from here. MAKELEVEL has it end by itself when
	// this process is gone.
	f.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	f.cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "TMPDIR=" + os.TempDir(), "MAKELEVEL=1",
		fmt.Sprintf("PORT=%d", port), "SWEEP_INTERVAL=" + sweepInterval,
	}
	if err := f.launch(); err != nil {
		return nil, err
	}
	select {
	case <-f.ready:
		return f, nil
	case <-f.done:
		return nil, errors.New("the local stack ended before it was ready: " + f.tail())
	case <-ctx.Done():
		f.stop()
		return nil, ctx.Err()
	case <-time.After(readyWithin):
		f.stop()
		return nil, fmt.Errorf("the local stack was not ready within %v: %s", readyWithin, f.tail())
	}
}

// launch starts the process and reads what it prints until it ends.
func (f *front) launch() error {
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

// tail is what it printed last, on one line.
func (f *front) tail() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.last, "; ")
}

// stop ends the stack in good order, and whatever of it does not end by itself.
func (f *front) stop() {
	_ = f.cmd.Process.Signal(syscall.SIGTERM) // one that has ended is what we want
	select {
	case <-f.done:
	case <-time.After(10 * time.Second):
		_ = syscall.Kill(-f.cmd.Process.Pid, syscall.SIGKILL)
		<-f.done
	}
}

// freePorts returns the first of four ports in a row that nobody listens on, below those that the system gives away.
func freePorts() int {
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
