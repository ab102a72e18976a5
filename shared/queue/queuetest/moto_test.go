package queuetest_test

import (
	"bufio"
	"errors"
	"io"
	"os/exec"
	"regexp"
	"testing"
	"time"

	"stayhold/shared/servertest"
)

const startLimit = 60 * time.Second

// motoMain runs moto on a free port until its standard input ends, so that it does
// not outlive a test process that is killed.
const motoMain = `
import os, sys, threading
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
from moto.server import main
main(["-H", "127.0.0.1", "-p", "0"])
`

// startMoto gives the endpoint of a moto server. Without one the test is skipped
// for a person and fails in CI.
func startMoto(t *testing.T) string {
	t.Helper()
	command := exec.Command(servertest.Moto(t), "-c", motoMain)
	stdin, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	watched := make(chan struct{})
	found := make(chan string, 1)
	go func() {
		defer close(watched)
		findURL(stderr, found)
	}()
	t.Cleanup(func() {
		if err := errors.Join(stdin.Close(), command.Process.Kill()); err != nil {
			t.Logf("stop moto: %v", err)
		}
		<-watched
		// Killed on purpose: its exit status says nothing.
		_ = command.Wait()
	})
	select {
	case url := <-found:
		return url
	case <-watched:
		t.Fatal("moto ended before it listened")
	case <-time.After(startLimit):
		t.Fatalf("moto does not listen after %v", startLimit)
	}
	return ""
}

func findURL(output io.Reader, found chan<- string) {
	running := regexp.MustCompile(`Running on (http://127\.0\.0\.1:\d+)`)
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		if match := running.FindStringSubmatch(lines.Text()); match != nil {
			found <- match[1]
			break
		}
	}
	// Read on, or moto would block on a full pipe.
	_, _ = io.Copy(io.Discard, output)
}
