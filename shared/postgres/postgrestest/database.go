package postgrestest

import (
	"context"
	"crypto/rand"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"stayhold/shared/servertest"
)

// Migrate brings the database at url to the current schema. It must be a plain function and leave no connection open.
type Migrate func(ctx context.Context, url string) error

// shared is the one server of this test binary.
var shared = servertest.Shared{
	Variable: "TEST_DATABASE_URL", Prefix: "stayhold-postgres-", Patience: time.Minute, Missing: ErrMissing,
	Start: startFleeting, StopOrphan: func(dir string) error { return clearStale(filepath.Join(dir, "data")) },
}

// startFleeting starts a server whose data nobody wants to see again: it ends as fast as it can.
func startFleeting(ctx context.Context, dir string) (string, func(), error) {
	srv, err := start(ctx, Config{Dir: dir}, syscall.SIGQUIT)
	if err != nil {
		return "", nil, err
	}
	return srv.URL(), func() {
		srv.child.Stop(syscall.SIGQUIT, time.Second, syscall.SIGKILL, time.Second)
		<-srv.Done()
	}, nil
}

// templates are those of the shared server, by their migration's address.
var templates struct {
	sync.Mutex
	made map[uintptr]*template
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
	templates.Lock()
	defer templates.Unlock()
	if given := shared.Given(); given != "" {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		for _, tpl := range templates.made {
			if tpl.name != "" {
				// Best effort on a server of somebody else: there is no test left to fail.
				_ = Exec(ctx, given, `DROP DATABASE IF EXISTS `+tpl.name+` WITH (FORCE)`)
			}
		}
	}
	templates.made = nil
	shared.Shutdown()
}

// URL returns the URL of this test binary's server, started at the first call: an empty database that tests share, so
// that Database is the one to use for anything that writes. TEST_DATABASE_URL names a server to use instead. Without
// Postgres on the machine the test is skipped for a person and fails when CI is set.
func URL(t testing.TB) string {
	t.Helper()
	return shared.URL(t)
}

// Database makes a fresh database for this test, with the schema that migrate makes (nil: empty), and drops it with the
// test. It is a copy of a template that is migrated once in each test binary, so it costs some 50 ms. Returns its owner's
// URL; Functions makes of it that of the login which the functions have.
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
	if err := Exec(ctx, server, `CREATE DATABASE `+name+` TEMPLATE `+from); err != nil {
		t.Fatalf("making a database: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := Exec(ctx, server, `DROP DATABASE `+name+` WITH (FORCE)`); err != nil {
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
	templates.Lock()
	defer templates.Unlock()
	key := reflect.ValueOf(migrate).Pointer()
	if templates.made == nil {
		templates.made = map[uintptr]*template{}
	}
	if templates.made[key] == nil {
		templates.made[key] = &template{}
	}
	return templates.made[key]
}

func makeTemplate(ctx context.Context, server string, migrate Migrate) (string, error) {
	name := uniqueName("template_")
	if err := Exec(ctx, server, `CREATE DATABASE `+name+` TEMPLATE template0`); err != nil {
		return "", err
	}
	own, err := withDatabase(server, name)
	if err != nil {
		return name, err
	}
	if err := migrate(ctx, own); err != nil {
		return name, err
	}
	_, err = PutLogin(ctx, own)
	return name, err
}

func uniqueName(prefix string) string { return prefix + strings.ToLower(rand.Text()[:12]) }
