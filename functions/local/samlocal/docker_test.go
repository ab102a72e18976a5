package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestWithoutDockerOneLineSaysSo(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if err := needDocker(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "docker is not installed: ") || strings.Contains(err.Error(), "\n") {
		t.Errorf("%v", err)
	}
}

func TestARunningStackIsLeftAlone(t *testing.T) {
	lock := filepath.Join(t.TempDir(), "lock")
	for range 2 {
		if err := nobodyElse(lock); err != nil {
			t.Errorf("nobody runs: %v", err)
		}
	}
	f, err := os.Open(lock)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if err := nobodyElse(lock); err == nil || !strings.Contains(err.Error(), "stop it first") {
		t.Errorf("a stack runs: %v", err)
	}
}
