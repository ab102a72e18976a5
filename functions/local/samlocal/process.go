package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// upWithin is how long a service of SAM may take until it answers.
const upWithin = time.Minute

// process is a service of SAM that runs until it is stopped.
type process struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{}
}

func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// start starts a service on a port of 127.0.0.1 and returns when it answers. What it says goes to the log.
func (s *session) start(ctx context.Context, log, service string, port int) (*process, error) {
	file, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	// Stopped by stop only, which knows how long it may take.
	p := &process{log: log, done: make(chan struct{}), cmd: s.command(context.WithoutCancel(ctx),
		s.local(service, "--host", "127.0.0.1", "--port", fmt.Sprint(port), "--warm-containers", "LAZY")...)}
	p.cmd.Stdout, p.cmd.Stderr = file, file
	if err := errors.Join(p.cmd.Start(), file.Close()); err != nil {
		return nil, err
	}
	go func() {
		_ = p.cmd.Wait() // its log tells how it ended
		close(p.done)
	}()
	ctx, cancel := context.WithTimeout(ctx, upWithin)
	defer cancel()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/", port), nil)
		if err != nil {
			return nil, err
		}
		if response, err := http.DefaultClient.Do(request); err == nil {
			return p, response.Body.Close()
		}
		select {
		case <-p.done:
			return nil, fmt.Errorf("sam local %s ended: %s", service, p.tail())
		case <-ctx.Done():
			p.stop()
			return nil, fmt.Errorf("sam local %s does not answer on port %d: %w; %s", service, port, ctx.Err(), p.tail())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// stop has the service remove its containers and end, or ends it.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // one that has ended is what we want
	select {
	case <-p.done:
	case <-time.After(20 * time.Second):
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		<-p.done
	}
}

// tail is what it said last.
func (p *process) tail() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-15):], "\n")
}
