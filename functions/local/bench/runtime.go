package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// runtimeAPI is as much of Lambda's Runtime API as a start needs: it hears a function ask for its first work, and has
// none. It reads the request itself, since a server's own work would count for the function's.
type runtimeAPI struct{ net.Listener }

func listenForNext() (runtimeAPI, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	return runtimeAPI{l}, err
}

// next waits for that question, and for the end of whoever asked.
func (r runtimeAPI) next(asked chan<- error) {
	conn, err := r.Accept()
	if err != nil {
		asked <- err
		return
	}
	defer conn.Close()
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil && !strings.HasPrefix(line, "GET /2018-06-01/runtime/invocation/next ") {
		err = fmt.Errorf("unexpected request: %s", strings.TrimSpace(line))
	}
	asked <- err
	_, _ = io.Copy(io.Discard, conn) // it ends with the process
}

// start runs a bootstrap until it asks for work, and ends it then.
func (r runtimeAPI) start(ctx context.Context, p program, variables []string) (took time.Duration, err error) {
	cmd := exec.CommandContext(ctx, p.path)
	cmd.Dir = filepath.Dir(p.path)
	cmd.Env = append([]string{
		"AWS_LAMBDA_RUNTIME_API=" + r.Addr().String(), "_HANDLER=bootstrap", "AWS_LAMBDA_FUNCTION_NAME=" + p.name,
		"AWS_LAMBDA_FUNCTION_VERSION=1", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE=256", "AWS_REGION=us-east-1",
		"GOMAXPROCS=1", "GOGC=35", awake, // as template.yaml has them
		"AWS_ACCESS_KEY_ID=bench", "AWS_SECRET_ACCESS_KEY=bench", "AWS_SESSION_TOKEN=bench",
	}, variables...)
	var words strings.Builder
	cmd.Stdout, cmd.Stderr = &words, &words
	asked, ended := make(chan error, 1), make(chan struct{})
	var fate error
	go r.next(asked)
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	go func() { fate = cmd.Wait(); close(ended) }()
	select {
	case err = <-asked:
		took = time.Since(began)
	case <-time.After(callLimit):
		err = errors.New("it asks for no work")
	case <-ended:
		return 0, fmt.Errorf("it ended before it asked for work: %w: %s", fate, strings.TrimSpace(words.String()))
	}
	_ = cmd.Process.Kill() // one that is gone is no fault
	<-ended
	return took, err
}
