package queuetest_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	installLimit = 4 * time.Minute
	startLimit   = 60 * time.Second
)

// motoPackages are installed together once per version: a virtual environment is
// used again as long as its stamp names them.
var motoPackages = []string{"moto==5.2.5", "flask==3.1.3", "flask-cors==6.0.5"}

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
	python, err := installMoto()
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("moto, the third party's server, is missing: %v", err)
		}
		t.Skipf("moto, the third party's server, is missing: %v", err)
	}
	command := exec.Command(python, "-c", motoMain)
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

// installMoto gives the interpreter of a virtual environment that holds moto.
func installMoto() (string, error) {
	root, err := filepath.Abs(filepath.Join("..", "..", ".."))
	if err != nil {
		return "", err
	}
	local := filepath.Join(root, ".local")
	if err := os.MkdirAll(local, 0o755); err != nil {
		return "", err
	}
	lock, err := os.OpenFile(filepath.Join(local, "venv-moto.lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", err
	}
	// Closing it lets the next test process in.
	defer func() { _ = lock.Close() }()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", err
	}
	venv := filepath.Join(local, "venv-moto")
	python := filepath.Join(venv, "bin", "python")
	stamp := filepath.Join(venv, "installed")
	want := strings.Join(motoPackages, "\n")
	if have, err := os.ReadFile(stamp); err == nil && string(have) == want {
		return python, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), installLimit)
	defer cancel()
	if err := run(ctx, "python3", "-m", "venv", "--clear", venv); err != nil {
		return "", fmt.Errorf("python3 with its venv module is needed: %w", err)
	}
	pip := append([]string{"-m", "pip", "install", "--quiet", "--disable-pip-version-check"}, motoPackages...)
	if err := run(ctx, python, pip...); err != nil {
		return "", fmt.Errorf("pip does not install it: %w", err)
	}
	return python, os.WriteFile(stamp, []byte(want), 0o644)
}

func run(ctx context.Context, name string, args ...string) error {
	command := exec.CommandContext(ctx, name, args...)
	command.WaitDelay = 5 * time.Second
	output, err := command.CombinedOutput()
	if err != nil {
		lines := strings.Split(strings.TrimSpace(string(output)), "\n")
		return fmt.Errorf("%s: %w: %s", name, err, lines[len(lines)-1])
	}
	return nil
}
