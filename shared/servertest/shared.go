package servertest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// Shared is the one server of a test binary, started when the first test asks for it. The exported fields are set before
// that and stay.
type Shared struct {
	Variable string        // of the environment: names a server to use instead
	Prefix   string        // of the temp folder in which the server runs
	Patience time.Duration // how long a start may take
	Missing  error         // wrapped by the errors of a start where no server is installed

	// Start starts the server in a folder that is there, and returns its URL and what stops it and waits for its end.
	Start func(ctx context.Context, dir string) (url string, stop func(), err error)
	// StopOrphan stops the server, if any, whose parent died and left it in that folder, whose lock the caller holds.
	StopOrphan func(dir string) error

	mu       sync.Mutex
	started  bool
	dir, url string
	stop     func()
	err      error
}

// URL returns the URL of the server, started at the first call. It is the environment's if that names one. A test that
// gets none is ended as Fail says.
func (s *Shared) URL(t testing.TB) string {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.started {
		s.started = true
		s.url, s.err = s.start()
	}
	if s.err != nil {
		s.Fail(t, s.err)
	}
	return s.url
}

func (s *Shared) start() (string, error) {
	if given := os.Getenv(s.Variable); given != "" {
		return given, nil
	}
	s.RemoveLeftovers()
	dir, err := os.MkdirTemp("", s.Prefix)
	if err != nil {
		return "", err
	}
	s.dir = dir
	ctx, cancel := context.WithTimeout(context.Background(), s.Patience)
	defer cancel()
	url, stop, err := s.Start(ctx, dir)
	if err != nil {
		return "", err
	}
	s.stop = stop
	return url, nil
}

// Given returns the URL of a server that the environment named and that tests have used; "" if there is none.
func (s *Shared) Given() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stop != nil {
		return ""
	}
	return s.url
}

// Fail ends a test that has no server to run on: where none is installed it is skipped for a person, and fails when CI is
// set.
func (s *Shared) Fail(t testing.TB, err error) {
	t.Helper()
	if errors.Is(err, s.Missing) && os.Getenv("CI") == "" {
		t.Skipf("%v; or name a server in %s", err, s.Variable)
	}
	t.Fatalf("%v", err)
}

// Shutdown stops the server, if any was started, and removes its folder. The next URL starts another.
func (s *Shared) Shutdown() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stop != nil {
		s.stop()
	}
	if s.dir != "" {
		_ = os.RemoveAll(s.dir)
	}
	s.started, s.stop, s.url, s.dir, s.err = false, nil, "", "", nil
}

// RemoveLeftovers removes temp folders whose owner died before it could. The lock tells; one without a lock file is being
// made at this moment unless it is old.
func (s *Shared) RemoveLeftovers() {
	// The pattern is a constant: Glob has nothing to object to.
	dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), s.Prefix+"*"))
	for _, dir := range dirs {
		if _, err := os.Stat(filepath.Join(dir, lockName)); err != nil {
			if info, err := os.Stat(dir); err != nil || time.Since(info.ModTime()) < time.Hour {
				continue
			}
		}
		lock, err := LockFolder(dir)
		if err != nil {
			continue
		}
		if s.StopOrphan(dir) == nil {
			_ = os.RemoveAll(dir)
		}
		lock.Free()
	}
}
