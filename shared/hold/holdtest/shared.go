package holdtest

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"stayhold/shared/servertest"
)

// shared is the one server of this test binary.
var shared = servertest.Shared{
	Variable: "TEST_REDIS_URL", Prefix: "stayhold-redis-", Patience: 30 * time.Second, Missing: ErrMissing,
	Start: startFleeting, StopOrphan: stopLeftover,
}

// startFleeting starts a server that writes nothing to disk.
func startFleeting(ctx context.Context, dir string) (string, func(), error) {
	srv, err := start(ctx, Config{Dir: dir})
	if err != nil {
		return "", nil, err
	}
	return srv.URL(), func() {
		srv.child.Stop(syscall.SIGTERM, time.Second, syscall.SIGKILL, time.Second)
		<-srv.Done()
	}, nil
}

// stopLeftover stops the server that a killed test binary left on this folder.
func stopLeftover(dir string) error {
	word, err := password(filepath.Join(dir, "password"))
	if err != nil {
		return err
	}
	return stopOrphan(context.Background(), dir, word)
}

// Main is a TestMain: it runs the tests, stops what they started and exits with their code.
func Main(m *testing.M) {
	code := m.Run()
	Shutdown()
	os.Exit(code)
}

// Shutdown stops this binary's server, if any, and removes its folder; for a TestMain that has more to stop.
func Shutdown() { shared.Shutdown() }

// URL returns the URL of this test binary's server, started at the first call. Tests share it: keep to product ids of
// your own and never flush. TEST_REDIS_URL names a server to use instead. Without Redis on the machine the test is
// skipped for a person and fails when CI is set.
func URL(t testing.TB) string {
	t.Helper()
	return shared.URL(t)
}
