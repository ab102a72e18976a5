// Package servertest is what the servers of tests and of the local stack have in common, whatever they serve: a child
// process that dies with its parent and is stopped by degrees (Child), told apart from what else is installed (Major),
// run by another user than root (Account), alone in its folder (Lock), shared by the tests of one binary (Shared); and
// the base of the proxies that count round trips and lose what they are told to lose (Wire).
//
// Invariants: a child never outlives its parent on Linux, whatever the parent died of; elsewhere the next start on its
// folder finds it. A folder has one living process, and its lock is free as soon as that process is gone. Proxies and
// ports are on 127.0.0.1 only.
//
// When it fails half way: a lock needs no cleaning up, since the kernel frees it; a temp folder that a killed test binary
// left is removed by the next one; a proxy whose server is gone closes the connections made to it.
package servertest

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// Child is one server process.
type Child struct {
	pid  int
	done chan struct{}
}

// StartChild runs cmd in its own process group, so that a Ctrl-C in the terminal reaches only us and we choose the order
// in which things stop. Linux sends deathSignal to it when we die, however we die.
func StartChild(cmd *exec.Cmd, deathSignal syscall.Signal) (*Child, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	setDeathSignal(cmd.SysProcAttr, deathSignal)
	// Grandchildren may hold our pipe open for a moment after the child is gone; they do not hold it for ever.
	cmd.WaitDelay = 3 * time.Second
	c := &Child{done: make(chan struct{})}
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

// Pid is the child's process id.
func (c *Child) Pid() int { return c.pid }

// Done closes once the child has been reaped and its output has been read to the end.
func (c *Child) Done() <-chan struct{} { return c.done }

// Stop sends each signal in turn, waiting that long for the end after each, and kills at last.
func (c *Child) Stop(first syscall.Signal, wait time.Duration, second syscall.Signal, waitMore time.Duration) {
	if c.signalAndWait(first, wait) || c.signalAndWait(second, waitMore) {
		return
	}
	c.signalAndWait(syscall.SIGKILL, 500*time.Millisecond)
}

func (c *Child) signalAndWait(sig syscall.Signal, wait time.Duration) bool {
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

// ErrExited is Await's error for a child that ended; its output tells why.
var ErrExited = errors.New("the server ended while starting")

// Await asks again and again, every so often, until the server answers. Errors: ErrExited, or the context's with the
// last refusal.
func (c *Child) Await(ctx context.Context, every time.Duration, ask func() error) error {
	for {
		err := ask()
		if err == nil {
			return nil
		}
		select {
		case <-c.done:
			return ErrExited
		case <-ctx.Done():
			return fmt.Errorf("the server is not ready (%w): %w", ctx.Err(), err)
		case <-time.After(every):
		}
	}
}

// Alive tells whether the process exists; one of another user does too.
func Alive(pid int) bool {
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}
