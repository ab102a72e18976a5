package postgrestest

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Migrate brings the database at url to the current schema. It must be a plain function and leave no connection open.
type Migrate func(ctx context.Context, url string) error

// shared is the one server of this test binary.
var shared struct {
	sync.Mutex
	started   bool
	dir       string
	server    *Server
	url       string
	err       error
	templates map[uintptr]*template
}

// template is a database with the schema in it, made once for each migration function.
type template struct {
	once sync.Once
	name string
	err  error
}

// Main is a TestMain: it runs the tests, stops what they started and exits with their code.
func Main(m *testing.M) {
	code := m.Run()
	Shutdown()
	os.Exit(code)
}

// Shutdown stops this binary's server, if any, and removes its folder; for a TestMain that has more to stop.
func Shutdown() {
	shared.Lock()
	defer shared.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if shared.server == nil {
		for _, tpl := range shared.templates {
			if tpl.name != "" {
				// Best effort on a server of somebody else: there is no test left to fail.
				_ = execute(ctx, shared.url, `DROP DATABASE IF EXISTS `+tpl.name+` WITH (FORCE)`)
			}
		}
	} else {
		shared.server.child.stop(syscall.SIGQUIT, time.Second, syscall.SIGKILL, time.Second)
		<-shared.server.Done()
	}
	if shared.dir != "" {
		_ = os.RemoveAll(shared.dir)
	}
	shared.started, shared.server, shared.url, shared.dir, shared.err, shared.templates = false, nil, "", "", nil, nil
}

// URL returns the URL of this test binary's server, started at the first call: an empty database that tests share, so
// that Database is the one to use for anything that writes. TEST_DATABASE_URL names a server to use instead. Without
// Postgres on the machine the test is skipped for a person and fails when CI is set.
func URL(t testing.TB) string {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if !shared.started {
		shared.started = true
		shared.templates = map[uintptr]*template{}
		shared.url, shared.err = startShared()
	}
	switch {
	case shared.err == nil:
		return shared.url
	case errors.Is(shared.err, ErrMissing) && os.Getenv("CI") == "":
		t.Skipf("%v; or name a server in TEST_DATABASE_URL", shared.err)
	default:
		t.Fatalf("%v", shared.err)
	}
	return ""
}

func startShared() (string, error) {
	if given := os.Getenv("TEST_DATABASE_URL"); given != "" {
		return given, nil
	}
	removeLeftovers("stayhold-postgres-")
	dir, err := os.MkdirTemp("", "stayhold-postgres-")
	if err != nil {
		return "", err
	}
	shared.dir = dir
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if shared.server, err = start(ctx, Config{Dir: dir}, syscall.SIGQUIT); err != nil {
		return "", err
	}
	return shared.server.URL(), nil
}

// removeLeftovers removes temp folders whose owner died before it could. The lock tells; one without a lock file is
// being made at this moment unless it is old.
func removeLeftovers(prefix string) {
	// The pattern is a constant: Glob has nothing to object to.
	dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), prefix+"*"))
	for _, dir := range dirs {
		if _, err := os.Stat(filepath.Join(dir, "lock")); err != nil {
			if info, err := os.Stat(dir); err != nil || time.Since(info.ModTime()) < time.Hour {
				continue
			}
		}
		lock, err := lockFile(filepath.Join(dir, "lock"))
		if err != nil {
			continue
		}
		if clearStale(filepath.Join(dir, "data")) == nil {
			_ = os.RemoveAll(dir)
		}
		unlockFile(lock)
	}
}

// Database makes a fresh database for this test, with the schema that migrate makes (nil: empty), and drops it with the
// test. It is a copy of a template that is migrated once in each test binary, so it costs some 50 ms. Returns its URL.
func Database(t testing.TB, migrate Migrate) string {
	t.Helper()
	server := URL(t)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	from := "template0"
	if migrate != nil {
		tpl := templateOf(migrate)
		tpl.once.Do(func() { tpl.name, tpl.err = makeTemplate(ctx, server, migrate) })
		if tpl.err != nil {
			t.Fatalf("migrating the template database: %v", tpl.err)
		}
		from = tpl.name
	}
	name := uniqueName("test_")
	if err := execute(ctx, server, `CREATE DATABASE `+name+` TEMPLATE `+from); err != nil {
		t.Fatalf("making a database: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := execute(ctx, server, `DROP DATABASE `+name+` WITH (FORCE)`); err != nil {
			t.Errorf("dropping the test's database: %v", err)
		}
	})
	own, err := withDatabase(server, name)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return own
}

func templateOf(migrate Migrate) *template {
	shared.Lock()
	defer shared.Unlock()
	key := reflect.ValueOf(migrate).Pointer()
	if shared.templates[key] == nil {
		shared.templates[key] = &template{}
	}
	return shared.templates[key]
}

func makeTemplate(ctx context.Context, server string, migrate Migrate) (string, error) {
	name := uniqueName("template_")
	if err := execute(ctx, server, `CREATE DATABASE `+name+` TEMPLATE template0`); err != nil {
		return "", err
	}
	own, err := withDatabase(server, name)
	if err != nil {
		return name, err
	}
	return name, migrate(ctx, own)
}

func uniqueName(prefix string) string { return prefix + strings.ToLower(rand.Text()[:12]) }

// execute runs one statement on a connection of its own.
func execute(ctx context.Context, url, sql string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, sql)
	return errors.Join(err, conn.Close(ctx))
}
