package servertest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// parentDir is the variable that makes a test binary a parent: the folder of the server that it starts.
const parentDir = "SERVERTEST_PARENT_DIR"

// Process is a running server.
type Process interface {
	Pid() int
	Done() <-chan struct{}
}

// Parent comes first in the TestMain of a package whose tests call Orphan. It returns at once, but for the binary that
// Orphan runs: that one starts a server in the folder given and lives as long as the server does.
func Parent(start func(dir string) (Process, error)) {
	dir := os.Getenv(parentDir)
	if dir == "" {
		return
	}
	srv, err := start(dir)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(srv.Pid())
	<-srv.Done()
	os.Exit(0)
}

// Orphan has a process of its own, this test binary once more, start a server in dir by way of Parent, kills that process
// and returns the server's pid. On Linux the test fails unless the server is gone within 10 s; elsewhere it may still run.
func Orphan(t testing.TB, dir string) (pid int) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	parent := exec.Command(self)
	parent.Env = append(os.Environ(), parentDir+"="+dir)
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	_, scanned := fmt.Fscan(out, &pid)
	if err := parent.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	// It was killed: its exit code is no news.
	_ = parent.Wait()
	if scanned != nil {
		t.Fatalf("the parent of a server to be orphaned names none: %v", scanned)
	}
	for end := time.Now().Add(10 * time.Second); runtime.GOOS == "linux" && Alive(pid); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the server outlives its parent by 10 s")
		}
	}
	return pid
}

// CheckLeftovers fails the test unless s removes the temp folder of a dead owner and leaves a living one's alone. It gives
// the test a temp folder of its own, so that no parallel test may call it.
func CheckLeftovers(t *testing.T, s *Shared) {
	t.Helper()
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	dead, living := filepath.Join(tmp, s.Prefix+"dead"), filepath.Join(tmp, s.Prefix+"living")
	for _, dir := range []string{dead, living} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dead, lockName), []byte("1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	lock, err := LockFolder(living)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Free()
	s.RemoveLeftovers()
	if _, err := os.Stat(dead); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the dead one's folder: %v", err)
	}
	if _, err := os.Stat(living); err != nil {
		t.Errorf("the living one's folder: %v", err)
	}
}
