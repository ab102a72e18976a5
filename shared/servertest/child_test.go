package servertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	Parent(func(dir string) (Process, error) {
		cmd := exec.Command("sleep", "60")
		cmd.Dir = dir
		return StartChild(cmd, syscall.SIGTERM)
	})
	os.Exit(m.Run())
}

// shell starts a script whose last line of output says that it has come so far.
func shell(t *testing.T, script string) (*Child, *Tail) {
	t.Helper()
	out := &Tail{}
	cmd := exec.Command("sh", "-c", script)
	cmd.Stdout, cmd.Stderr = out, out
	c, err := StartChild(cmd, syscall.SIGKILL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Stop(syscall.SIGKILL, time.Second, syscall.SIGKILL, time.Second) })
	return c, out
}

func says(out *Tail, word string) func() error {
	return func() error {
		if out.Worst() != word {
			return errors.New("not yet")
		}
		return nil
	}
}

func TestChildIsStoppedByDegrees(t *testing.T) {
	t.Parallel()
	const brief, long = 20 * time.Millisecond, 20 * time.Second
	for name, c := range map[string]struct {
		script         string
		first, further time.Duration
		last           string
	}{
		"first":  {`trap 'echo int; exit' INT; echo up; while :; do sleep 0.01; done`, long, long, "int"},
		"second": {`trap '' INT; trap 'echo term; exit' TERM; echo up; while :; do sleep 0.01; done`, brief, long, "term"},
		"killed": {`trap '' INT TERM; echo up; while :; do sleep 0.01; done`, brief, brief, "up"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			child, out := shell(t, c.script)
			if err := child.Await(t.Context(), time.Millisecond, says(out, "up")); err != nil {
				t.Fatal(err)
			}
			child.Stop(syscall.SIGINT, c.first, syscall.SIGTERM, c.further)
			<-child.Done()
			if Alive(child.Pid()) || out.Worst() != c.last {
				t.Errorf("alive %v, the last word was %q, want %q", Alive(child.Pid()), out.Worst(), c.last)
			}
		})
	}
}

func TestAwaitEndsWithTheChildAndTheContext(t *testing.T) {
	t.Parallel()
	child, out := shell(t, `echo "FATAL: no room"; echo bye; exit 1`)
	if err := child.Await(t.Context(), time.Millisecond, says(out, "up")); !errors.Is(err, ErrExited) {
		t.Errorf("a child that ended: %v", err)
	}
	if got := out.Worst("PANIC", "FATAL"); got != "FATAL: no room" {
		t.Errorf("it says that it died of %q", got)
	}
	child, out = shell(t, `while :; do sleep 0.01; done`)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := child.Await(ctx, time.Millisecond, says(out, "up")); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "not yet") {
		t.Errorf("a child that never answers: %v", err)
	}
}

func TestChildDoesNotOutliveItsParent(t *testing.T) {
	t.Parallel()
	// Orphan fails the test where the kernel should have seen to it; elsewhere nobody else ends this child.
	if pid := Orphan(t, t.TempDir()); Alive(pid) {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

func TestMissingProgram(t *testing.T) {
	t.Parallel()
	if _, err := StartChild(exec.Command("/no/such/program"), syscall.SIGTERM); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("starting a program that is not there: %v", err)
	}
	if _, ok := Major("/no/such/program", regexp.MustCompile(`(\d+)`)); ok {
		t.Error("a program that is not there has a version")
	}
}

func TestTailKeepsTheEndAndPassesAllOn(t *testing.T) {
	t.Parallel()
	var all bytes.Buffer
	w := &Tail{Next: &all}
	for i := range 2000 {
		if _, err := fmt.Fprintf(w, "line %d\n", i); err != nil {
			t.Fatal(err)
		}
	}
	if w.Worst("nothing") != "line 1999" || w.Worst("line 19") != "line 1999" || w.Worst("line 3") == "line 3" {
		t.Errorf("the worst lines are %q", w.Worst())
	}
	if got := strings.Count(all.String(), "\n"); got != 2000 || len(w.lines) > 4096 {
		t.Errorf("%d lines passed on, %d bytes kept", got, len(w.lines))
	}
}

func TestFreePort(t *testing.T) {
	t.Parallel()
	if port, err := FreePort(0); err != nil || port == 0 {
		t.Errorf("any port: %d, %v", port, err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if _, err := FreePort(l.Addr().(*net.TCPAddr).Port); err == nil || !strings.Contains(err.Error(), "is taken") {
		t.Errorf("a taken port: %v", err)
	}
}

func TestFolderHasOneOwner(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	lock, err := LockFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := LockFolder(dir); err == nil || !strings.HasSuffix(err.Error(), "in use by process "+strconv.Itoa(os.Getpid())) {
		t.Errorf("a folder in use: %v", err)
	}
	child, _ := shell(t, "exit 0")
	<-lock.FreeAfter(child)
	if content, err := os.ReadFile(filepath.Join(dir, lockName)); err != nil || len(content) != 0 {
		t.Errorf("a free folder's lock has %q, %v", content, err)
	}
	again, err := LockFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	again.Free()
	if _, err := LockFolder(filepath.Join(dir, "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder that is not there: %v", err)
	}
}

// A process that is being forked shares our open files for a moment, and would share the lock.
func TestFreedLockIsFreeWhileProcessesStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	stop := make(chan struct{})
	var starters sync.WaitGroup
	defer starters.Wait()
	defer close(stop)
	for range 4 {
		starters.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := exec.Command("true").Run(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 200 {
		lock, err := LockFolder(dir)
		if err != nil {
			t.Fatal(err)
		}
		lock.Free()
	}
}

// Root's children are somebody else's, and get at folders that only root may enter.
func TestAccountIsNotRoot(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "closed", "data")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	who, err := AccountFor(filepath.Join(dir, "missing"), "no-such-user", "nobody")
	if err != nil {
		t.Fatal(err)
	}
	if err := who.Own(dir); err != nil {
		t.Fatal(err)
	}
	out, err := who.Command(dir, "sh", "-c", `id -u && ls "$0"`, dir).Output()
	if err != nil {
		t.Fatal(err)
	}
	uid := strings.TrimSpace(string(out))
	if uid == "0" || (os.Geteuid() != 0 && uid != strconv.Itoa(os.Geteuid())) {
		t.Errorf("the child runs as user %s", uid)
	}
	if os.Geteuid() != 0 {
		return
	}
	if owner, err := AccountFor(dir, "root"); err != nil || owner != who {
		t.Errorf("the data's owner is %v (%v), want %v", owner, err, who)
	}
	if _, err := AccountFor(filepath.Join(dir, "missing"), "no-such-user"); err == nil || !strings.Contains(err.Error(), "no-such-user") {
		t.Errorf("without any of the users: %v", err)
	}
}
