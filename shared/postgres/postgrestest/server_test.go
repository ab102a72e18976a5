package postgrestest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"stayhold/shared/servertest"
)

func TestMain(m *testing.M) {
	servertest.Parent(func(dir string) (servertest.Process, error) { return Start(context.Background(), Config{Dir: dir}) })
	Main(m)
}

// startIn starts a server for one test and stops it with the test.
func startIn(t *testing.T, cfg Config) *Server {
	t.Helper()
	srv, err := Start(t.Context(), cfg)
	if err != nil {
		shared.Fail(t, err)
	}
	t.Cleanup(srv.Stop)
	return srv
}

func query(t *testing.T, url, sql string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	var out string
	if err := conn.QueryRow(t.Context(), sql).Scan(&out); err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	return out
}

func statement(t *testing.T, url, sql string) {
	t.Helper()
	if err := Exec(t.Context(), url, sql); err != nil {
		t.Fatal(err)
	}
}

// A test's temp folder is open to its owner only, so as root this also proves that the server's user gets there.
func TestStartKeepsDataOverStopAndKill(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "closed", "postgres")
	if err := os.Mkdir(filepath.Dir(dir), 0o700); err != nil {
		t.Fatal(err)
	}
	srv := startIn(t, Config{Dir: dir, Fsync: true})
	for setting, want := range map[string]string{"fsync": "on", "synchronous_commit": "on", "max_connections": "200", "listen_addresses": "127.0.0.1", "server_encoding": "UTF8"} {
		if got := query(t, srv.URL(), "SHOW "+setting); got != want {
			t.Errorf("%s is %q, want %q", setting, got, want)
		}
	}
	statement(t, srv.URL(), `CREATE TABLE kept (n text)`)
	statement(t, srv.URL(), `INSERT INTO kept VALUES ('one')`)
	begin := time.Now()
	srv.Stop()
	if took := time.Since(begin); took > 4*time.Second {
		t.Errorf("Stop took %v", took)
	}
	<-srv.Done()

	srv = startIn(t, Config{Dir: dir, Fsync: true})
	statement(t, srv.URL(), `INSERT INTO kept VALUES ('two')`)
	if err := syscall.Kill(srv.Pid(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-srv.Done()
	again := startIn(t, Config{Dir: dir, Fsync: true, Port: srv.Port()})
	if again.URL() != srv.URL() {
		t.Errorf("the URL changed over a restart on the same port")
	}
	if got := query(t, again.URL(), `SELECT string_agg(n, ' ' ORDER BY n) FROM kept`); got != "one two" {
		t.Errorf("after kill -9 the table has %q", got)
	}
}

func TestStartNamesWhatIsInTheWay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	srv := startIn(t, Config{Dir: dir})
	if _, err := Start(t.Context(), Config{Dir: dir}); err == nil || !strings.Contains(err.Error(), "in use by process "+strconv.Itoa(os.Getpid())) {
		t.Errorf("a second server on the same folder: %v", err)
	}
	if _, err := Start(t.Context(), Config{Dir: t.TempDir(), Port: srv.Port()}); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("port %d is taken", srv.Port())) {
		t.Errorf("a second server on the same port: %v", err)
	}
	wrong := strings.Replace(srv.URL(), "stayhold:", "stayhold:x", 1)
	if conn, err := pgx.Connect(t.Context(), wrong); err == nil {
		_ = conn.Close(t.Context())
		t.Error("the server takes a wrong password")
	}
}

func TestStartOverStrangersPid(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	srv := startIn(t, Config{Dir: dir})
	if err := syscall.Kill(srv.Pid(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-srv.Done()
	data := filepath.Join(dir, "data")
	who, err := servertest.AccountFor(data, "postgres", "nobody")
	if err != nil {
		t.Fatal(err)
	}
	stranger := who.Command("/", "sleep", "60")
	if err := stranger.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = stranger.Process.Kill()
		_ = stranger.Wait()
	}()
	pidFile := filepath.Join(data, "postmaster.pid")
	old, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(old), "\n")
	if err := os.WriteFile(pidFile, fmt.Appendf(nil, "%d\n%s", stranger.Process.Pid, rest), 0o600); err != nil {
		t.Fatal(err)
	}
	startIn(t, Config{Dir: dir})
	if !servertest.Alive(stranger.Process.Pid) {
		t.Error("the stranger was killed")
	}
}

func TestServerDoesNotOutliveItsParent(t *testing.T) {
	t.Parallel()
	URL(t) // skips without Postgres
	dir := t.TempDir()
	orphan := servertest.Orphan(t, dir)
	startIn(t, Config{Dir: dir})
	if servertest.Alive(orphan) {
		t.Error("the orphan still runs")
	}
}

// Where the kernel knows no death signal an orphan lives on until the next start on its folder.
func TestStartStopsAnOrphan(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	srv := startIn(t, Config{Dir: dir})
	data := filepath.Join(dir, "data")
	if !isPostmaster(srv.Pid(), data) || isPostmaster(os.Getpid(), data) {
		t.Fatal("a postmaster is not told from another process")
	}
	if err := clearStale(data); err != nil {
		t.Fatal(err)
	}
	<-srv.Done()
}

func TestLeftoversAreRemoved(t *testing.T) { servertest.CheckLeftovers(t, &shared) }

func migrateKept(ctx context.Context, url string) error {
	if strings.Contains(url, "/test_") {
		return errors.New("called for a test's own database")
	}
	return Exec(ctx, url, `CREATE TABLE kept (n text)`)
}

func TestDatabaseIsFreshAndMigrated(t *testing.T) {
	t.Parallel()
	for i := range 4 {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			t.Parallel()
			url := Database(t, migrateKept)
			statement(t, url, `INSERT INTO kept VALUES ('x')`)
			if got := query(t, url, `SELECT count(*)::text FROM kept`); got != "1" {
				t.Errorf("the database of this test has %s rows", got)
			}
		})
	}
	if got := query(t, Database(t, nil), `SELECT count(*)::text FROM pg_class WHERE relname = 'kept'`); got != "0" {
		t.Error("an empty database has the schema")
	}
}
