package servertest

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"
)

func TestLeftoversAreRemoved(t *testing.T) {
	CheckLeftovers(t, &Shared{Prefix: "stayhold-leftover-", StopOrphan: func(string) error { return nil }})
}

func TestLeftoverStaysWhileItsServerRuns(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	dir, err := os.MkdirTemp("", "stayhold-leftover-")
	if err != nil {
		t.Fatal(err)
	}
	lock, err := LockFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	lock.Free()
	var asked string
	s := Shared{Prefix: "stayhold-leftover-", StopOrphan: func(dir string) error {
		asked = dir
		return errors.New("it does not stop")
	}}
	s.RemoveLeftovers()
	if _, err := os.Stat(dir); err != nil || asked != dir {
		t.Errorf("the folder of a server that does not stop: %v, asked about %q", err, asked)
	}
}

func TestSharedServerStartsOnce(t *testing.T) {
	const variable = "SERVERTEST_URL"
	t.Setenv("TMPDIR", t.TempDir())
	t.Setenv(variable, "")
	starts, stops, folder := 0, 0, ""
	s := Shared{
		Variable: variable, Prefix: "stayhold-shared-", Patience: time.Second, Missing: errors.ErrUnsupported,
		Start: func(_ context.Context, dir string) (string, func(), error) {
			starts++
			folder = dir
			return "ours", func() { stops++ }, nil
		},
	}
	s.Shutdown() // of nothing
	for range 2 {
		if got := s.URL(t); got != "ours" || starts != 1 || s.Given() != "" {
			t.Errorf("%q after %d starts, given %q", got, starts, s.Given())
		}
	}
	s.Shutdown()
	if _, err := os.Stat(folder); !errors.Is(err, os.ErrNotExist) || stops != 1 {
		t.Errorf("%d stops; the folder: %v", stops, err)
	}
	t.Setenv(variable, "theirs")
	if s.URL(t) != "theirs" || s.Given() != "theirs" || starts != 1 {
		t.Errorf("a given server: %d starts, given %q", starts, s.Given())
	}
	s.Shutdown()
	if stops != 1 {
		t.Error("a server of somebody else was stopped")
	}
}

// ending is a test that takes note of how it ended instead.
type ending struct {
	testing.TB
	skipped, failed bool
}

func (e *ending) Helper()               {}
func (e *ending) Skipf(string, ...any)  { e.skipped = true; panic(e) }
func (e *ending) Fatalf(string, ...any) { e.failed = true; panic(e) }

func TestMissingServerFailsInCI(t *testing.T) {
	for _, c := range []struct {
		ci   string
		err  error
		skip bool
	}{
		{"", errors.ErrUnsupported, true},
		{"true", errors.ErrUnsupported, false},
		{"", errors.New("port taken"), false},
	} {
		t.Setenv("CI", c.ci)
		s := Shared{Missing: errors.ErrUnsupported}
		e := &ending{}
		func() {
			defer func() { _ = recover() }()
			s.Fail(e, c.err)
		}()
		if e.skipped != c.skip || e.failed == c.skip {
			t.Errorf("CI=%q, %v: skipped %v, failed %v", c.ci, c.err, e.skipped, e.failed)
		}
	}
}
