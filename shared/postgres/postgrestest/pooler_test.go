package postgrestest

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// Two clients on one connection, each transaction whole, and no statement kept by name: that is transaction mode.
func TestPoolerSharesAConnectionByTransaction(t *testing.T) {
	t.Parallel()
	pooler, err := StartPooler(t.Context(), PoolerConfig{Dir: filepath.Join(t.TempDir(), "pooler"), DatabaseURL: URL(t), Size: 1})
	if errors.Is(err, ErrPoolerMissing) && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pooler.Stop)
	open := func(mode pgx.QueryExecMode) *pgx.Conn {
		config, err := pgx.ParseConfig(pooler.URL())
		if err != nil {
			t.Fatal(err)
		}
		config.DefaultQueryExecMode = mode
		conn, err := pgx.ConnectConfig(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close(t.Context()) })
		return conn
	}
	backend := func(conn *pgx.Conn) (pid int) {
		if err := conn.QueryRow(t.Context(), `SELECT pg_backend_pid()`).Scan(&pid); err != nil {
			t.Fatal(err)
		}
		return pid
	}
	one, other := open(pgx.QueryExecModeExec), open(pgx.QueryExecModeExec)
	if a, b := backend(one), backend(other); a != b {
		t.Errorf("two clients are on backends %d and %d, not on one", a, b)
	}
	if _, err := one.Exec(t.Context(), `SET search_path = elsewhere`); err != nil {
		t.Fatal(err)
	}
	var path string
	if err := other.QueryRow(t.Context(), `SHOW search_path`).Scan(&path); err != nil {
		t.Fatal(err)
	}
	if path != "elsewhere" {
		t.Errorf("a session's setting stayed with its client: search_path is %s", path)
	}
	if _, err := other.Exec(t.Context(), `RESET search_path`); err != nil {
		t.Fatal(err)
	}
	named := open(pgx.QueryExecModeCacheStatement)
	if _, err := named.Prepare(t.Context(), "kept", `SELECT 1`); err != nil {
		t.Fatal(err)
	}
	again := open(pgx.QueryExecModeCacheStatement)
	if _, err := again.Prepare(t.Context(), "kept", `SELECT 1`); err == nil || !strings.Contains(err.Error(), "already exists") {
		t.Errorf("the same name from two clients: %v", err)
	}
}

func TestPoolerSaysWhyItDoesNotStart(t *testing.T) {
	t.Parallel()
	if _, err := findPooler(); err != nil && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	_, err := StartPooler(t.Context(), PoolerConfig{Dir: t.TempDir(), DatabaseURL: "postgres://u:w@127.0.0.1:1/no%20name", Size: 1})
	if err == nil || !strings.HasPrefix(err.Error(), "pgbouncer: ") || strings.Contains(err.Error(), "\n") {
		t.Errorf("a database with a space in its name: %v", err)
	}
}
