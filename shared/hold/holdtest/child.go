package holdtest

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// child is one server process. done closes once it has been reaped and its output has been read to the end.
type child struct {
	pid  int
	done chan struct{}
}

// startChild runs cmd in its own process group, so that a Ctrl-C in the terminal reaches only us and we choose the
// order in which things stop. Linux sends deathSignal to it when we die, however we die.
func startChild(cmd *exec.Cmd, deathSignal syscall.Signal) (*child, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	setDeathSignal(cmd.SysProcAttr, deathSignal)
	// Grandchildren may hold our pipe open for a moment after the child is gone; they do not hold it for ever.
	cmd.WaitDelay = 3 * time.Second
	c := &child{done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The death signal is bound to the thread that starts the child: keep that thread for the child's whole life.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		if err == nil {
			c.pid = cmd.Process.Pid
		}
		started <- err
		if err != nil {
			return
		}
		// How it ended does not matter to anyone here: the log tells.
		_ = cmd.Wait()
		close(c.done)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return c, nil
}

// stop sends each signal in turn, waiting that long for the end after each, and kills at last.
func (c *child) stop(first syscall.Signal, wait time.Duration, second syscall.Signal, waitMore time.Duration) {
	if c.signalAndWait(first, wait) || c.signalAndWait(second, waitMore) {
		return
	}
	c.signalAndWait(syscall.SIGKILL, 500*time.Millisecond)
}

func (c *child) signalAndWait(sig syscall.Signal, wait time.Duration) bool {
	select {
	case <-c.done:
		return true
	default:
	}
	// A child that is gone by now is what we want.
	_ = syscall.Kill(c.pid, sig)
	select {
	case <-c.done:
		return true
	case <-time.After(wait):
		return false
	}
}

// tail passes what it is given to next, if any, and remembers the last lines for an error message.
type tail struct {
	mu    sync.Mutex
	next  interface{ Write([]byte) (int, error) }
	lines []byte
}

func (w *tail) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines = append(w.lines, p...)
	if over := len(w.lines) - 4096; over > 0 {
		w.lines = append([]byte(nil), w.lines[over:]...)
	}
	if w.next == nil {
		return len(p), nil
	}
	return w.next.Write(p)
}

// worst returns the last line that bears one of the marks, or the last line of all.
func (w *tail) worst(marks ...string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(string(w.lines)), "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		for _, mark := range marks {
			if strings.Contains(lines[i], mark) {
				return strings.TrimSpace(lines[i])
			}
		}
	}
	return strings.TrimSpace(lines[len(lines)-1])
}

// freePort returns a TCP port of 127.0.0.1 that nobody listens on: want itself unless it is 0.
func freePort(want int) (int, error) {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", want))
	if err != nil {
		if want != 0 && errors.Is(err, syscall.EADDRINUSE) {
			return 0, fmt.Errorf("port %d is taken: stop what listens there, or choose another port", want)
		}
		return 0, err
	}
	port := l.Addr().(*net.TCPAddr).Port
	return port, l.Close()
}

// errLocked says that a living process works in the folder.
var errLocked = errors.New("in use")

// lockFile takes the lock at path, which lives as long as this process and bears its pid; errLocked if another has it.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		owner := make([]byte, 20)
		n, _ := f.Read(owner)
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w by process %s", errLocked, strings.TrimSpace(string(owner[:n])))
		}
		return nil, err
	}
	if err := f.Truncate(0); err != nil {
		_ = f.Close()
		return nil, err
	}
	if _, err := fmt.Fprintf(f, "%d\n", os.Getpid()); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// unlockFile gives the lock back and leaves the file empty, which says that nobody works there.
func unlockFile(f *os.File) {
	// Closing is what frees the lock; an emptied file is a courtesy.
	_ = f.Truncate(0)
	_ = f.Close()
}
