package postgres_test

import (
	"context"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"stayhold/shared/postgres"
	"stayhold/shared/postgres/migrations"
	"stayhold/shared/postgres/postgrestest"
)

// as is a database's URL for another login; without a password where it is empty.
func as(t *testing.T, database, name, password string) string {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(name, password)
	if password == "" {
		u.User = url.User(name)
	}
	return u.String()
}

// managed is a server whose owner is what a managed database's is: no superuser, and one who may make roles.
func managed(t *testing.T) (owner string) {
	t.Helper()
	postgrestest.URL(t) // skips where there is no Postgres
	srv, err := postgrestest.Start(t.Context(), postgrestest.Config{Dir: filepath.Join(t.TempDir(), "postgres")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Stop)
	for _, sql := range []string{`CREATE ROLE chief LOGIN CREATEROLE CREATEDB PASSWORD 'chief'`, `ALTER DATABASE stayhold OWNER TO chief`} {
		if err := postgrestest.Exec(t.Context(), srv.URL(), sql); err != nil {
			t.Fatal(err)
		}
	}
	return as(t, srv.URL(), "chief", "chief")
}

// TestTheFunctionsAreLetIn deploys, changes the password, and deploys many times at once.
func TestTheFunctionsAreLetIn(t *testing.T) {
	t.Parallel()
	owner := managed(t)
	if err := migrate(t.Context(), owner); err != nil {
		t.Fatal(err)
	}
	const name = `front "desk"`
	letIn := func(login, password string) error {
		return migrations.LetIn(t.Context(), postgres.Options{URL: owner}, login, password)
	}
	for _, password := range []string{"first", `it's "$$" second`} {
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				if err := letIn(name, password); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		b := sold(t, openAs(t, as(t, owner, name, password), false))
		if got := settingsOf(t, as(t, owner, name, password)); got != "25s, off" {
			t.Errorf("its settings: %s", got)
		}
		if code := codeOf(undone(t, connect(t, as(t, owner, name, password)), `DELETE FROM booking WHERE id = $1`, b.ID)); code != forbidden {
			t.Errorf("delete: %q", code)
		}
	}
	if conn, err := pgx.Connect(t.Context(), as(t, owner, name, "first")); err == nil {
		t.Error("the old password opens it still")
		_ = conn.Close(t.Context())
	}
	// Where one login serves both, it is not locked out.
	if err := letIn("chief", "other"); err != nil {
		t.Error(err)
	}
	if got := settingsOf(t, owner); got != "0, on" {
		t.Errorf("the owner's settings: %s", got)
	}
}

// settingsOf is how long a login's statements may take, and whether they may read a table whole where an index serves.
func settingsOf(t *testing.T, url string) (settings string) {
	t.Helper()
	const sql = `SELECT current_setting('statement_timeout') || ', ' || current_setting('enable_seqscan')`
	if err := connect(t, url).QueryRow(t.Context(), sql).Scan(&settings); err != nil {
		t.Fatal(err)
	}
	return settings
}

// TestEachConnectionAsksForItsPassword signs in as with IAM: no password stands in the URL, and what was good for one
// connection is not good for the next.
func TestEachConnectionAsksForItsPassword(t *testing.T) {
	t.Parallel()
	owner := managed(t)
	asked := []string{}
	token := func(_ context.Context, endpoint, user string) (string, error) {
		asked = append(asked, user+" at "+endpoint)
		return "chief", nil
	}
	o := postgres.Options{URL: as(t, owner, "chief", ""), Token: token}
	if _, err := migrations.Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	migrating := len(asked)
	store, err := postgres.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	for range 2 {
		for range 2 {
			if err := store.Ping(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if err := postgrestest.Exec(t.Context(), owner, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'stayhold'`); err != nil {
			t.Fatal(err)
		}
	}
	u, _ := url.Parse(owner)
	if migrating < 1 || len(asked) != migrating+2 {
		t.Errorf("asked %d times for the migration, %d in all", migrating, len(asked))
	}
	if asked[migrating] != "chief at "+u.Host {
		t.Errorf("asked for %s", asked[migrating])
	}
	wrong := postgres.Options{URL: o.URL, Token: func(context.Context, string, string) (string, error) { return "hush", nil }}
	refused, err := postgres.Open(wrong)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(refused.Close)
	if err := refused.Ping(t.Context()); err == nil || strings.Contains(err.Error(), "hush") {
		t.Errorf("with the wrong one: %v", err)
	}
}
