package postgres_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"stayhold/shared/postgres"
	"stayhold/shared/postgres/migrations"
	"stayhold/shared/postgres/postgrestest"
)

// surfaceFile has what a version of the program that is still at work relies on while the next one is migrated: each
// routine and each column, one a line.
const surfaceFile = "testdata/surface.txt"

// surfaceSQL lists them as they are, a name and what stands behind it.
const surfaceSQL = `
SELECT 'routine ' || p.proname || '(' || oidvectortypes(p.proargtypes) || ')',
    'gives ' || pg_get_function_result(p.oid) || CASE WHEN p.pronargdefaults > 0 THEN ', ' || p.pronargdefaults || ' arguments optional' ELSE '' END
FROM pg_proc AS p
WHERE p.pronamespace = 'public'::regnamespace
UNION ALL
SELECT 'column ' || c.relname || '.' || a.attname,
    format_type(a.atttypid, a.atttypmod) || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END
        || CASE WHEN a.atthasdef OR a.attidentity <> '' THEN ' with default' ELSE '' END
FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v') AND c.relname <> 'goose_db_version'
    AND a.attnum > 0 AND NOT a.attisdropped`

// migrated is a connection to a freshly migrated database.
func migrated(t *testing.T) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), postgrestest.Database(t, migrate))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func surfaceOf(t *testing.T, conn *pgx.Conn) map[string]string {
	t.Helper()
	rows, err := conn.Query(t.Context(), surfaceSQL)
	if err != nil {
		t.Fatal(err)
	}
	found, name, what := map[string]string{}, "", ""
	if _, err := pgx.ForEachRow(rows, []any{&name, &what}, func() error { found[name] = what; return nil }); err != nil {
		t.Fatal(err)
	}
	return found
}

func recordedSurface(t *testing.T) map[string]string {
	t.Helper()
	raw, err := os.ReadFile(surfaceFile)
	if err != nil {
		t.Fatal(err)
	}
	recorded := map[string]string{}
	for line := range strings.Lines(string(raw)) {
		name, what, _ := strings.Cut(strings.TrimSpace(line), ": ")
		recorded[name] = what
	}
	return recorded
}

// breaks are the lines that say what the version before cannot live with, and added the names that nobody has recorded.
func breaks(recorded, found map[string]string) (broken, added []string) {
	stem := func(name string) string { s, _, _ := strings.Cut(strings.ReplaceAll(name, ".", "("), "("); return s }
	known := map[string]bool{}
	for name, what := range recorded {
		known[stem(name)] = true
		switch now, there := found[name]; {
		case !there:
			broken = append(broken, name+" is gone, and the version before still uses it")
		case now != what:
			broken = append(broken, fmt.Sprintf("%s was %q and is %q, which the version before does not know", name, what, now))
		}
	}
	for name, what := range found {
		if _, there := recorded[name]; there {
			continue
		}
		added = append(added, name)
		switch old := known[stem(name)]; {
		case old && strings.HasPrefix(name, "routine"):
			broken = append(broken, name+" has other arguments than the one of that name: give it a name of its own")
		case old && strings.HasSuffix(what, " not null"):
			broken = append(broken, name+" is new and not null without a default: the version before does not fill it")
		}
	}
	slices.Sort(broken)
	slices.Sort(added)
	return broken, added
}

// TestTheVersionBeforeIsServed holds a freshly migrated database against what is recorded. RECORD=1 records what is new.
// What no version uses any more that is at work somewhere is taken out of the file by hand, with what changed.
func TestTheVersionBeforeIsServed(t *testing.T) {
	t.Parallel()
	recorded, found := recordedSurface(t), surfaceOf(t, migrated(t))
	broken, added := breaks(recorded, found)
	for _, line := range broken {
		t.Errorf("%s (once no version at work uses it, edit %s)", line, surfaceFile)
	}
	if len(broken) > 0 || len(added) == 0 {
		return
	}
	if os.Getenv("RECORD") == "" {
		t.Fatalf("not recorded: %s\nRECORD=1 go test -run %s ./shared/postgres records it, from when on it has to stay", strings.Join(added, "; "), t.Name())
	}
	var lines strings.Builder
	for _, name := range slices.Sorted(maps.Keys(found)) {
		fmt.Fprintf(&lines, "%s: %s\n", name, found[name])
	}
	if err := os.WriteFile(surfaceFile, []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestWhatTheVersionBeforeCannotLiveWith makes one change after the other to a database, and undoes it.
func TestWhatTheVersionBeforeCannotLiveWith(t *testing.T) {
	t.Parallel()
	conn := migrated(t)
	recorded := surfaceOf(t, conn)
	for change, want := range map[string]struct {
		broken string // the words of the one line; "": nothing is broken
		added  int
	}{
		`ALTER FUNCTION lapse_booking RENAME TO lapse_booking_2`:                     {"routine lapse_booking(bigint, bigint) is gone", 1},
		`ALTER TABLE booking DROP COLUMN failure_detail CASCADE`:                     {"column booking.failure_detail is gone", 0},
		`ALTER TABLE booking RENAME COLUMN failure_detail TO why`:                    {"column booking.failure_detail is gone", 1},
		`ALTER TABLE outbox ALTER COLUMN task TYPE char(40)`:                         {"column outbox.task was", 0},
		`ALTER TABLE booking ALTER COLUMN failure_code SET NOT NULL`:                 {"column booking.failure_code was", 0},
		`ALTER TABLE product ALTER COLUMN name DROP NOT NULL`:                        {"column product.name was", 0},
		`ALTER TABLE booking ALTER COLUMN status DROP DEFAULT`:                       {"column booking.status was", 0},
		`ALTER TABLE product ADD COLUMN stars int NOT NULL`:                          {"column product.stars is new and not null", 1},
		`ALTER TABLE product ADD COLUMN stars int NOT NULL DEFAULT 3`:                {"", 1},
		`ALTER TABLE product ADD COLUMN stars int`:                                   {"", 1},
		`CREATE TABLE review (id bigint NOT NULL)`:                                   {"", 1},
		`CREATE FUNCTION review(bigint) RETURNS int LANGUAGE sql AS 'SELECT 1'`:      {"", 1},
		`CREATE FUNCTION lapse_booking(text) RETURNS int LANGUAGE sql AS 'SELECT 1'`: {"routine lapse_booking(text) has other arguments", 1},
	} {
		for _, sql := range []string{`BEGIN`, change} {
			if _, err := conn.Exec(t.Context(), sql); err != nil {
				t.Fatalf("%s: %v", sql, err)
			}
		}
		broken, added := breaks(recorded, surfaceOf(t, conn))
		if _, err := conn.Exec(t.Context(), `ROLLBACK`); err != nil {
			t.Fatal(err)
		}
		if len(added) != want.added || want.broken == "" && len(broken) > 0 ||
			want.broken != "" && (len(broken) != 1 || !strings.HasPrefix(broken[0], want.broken)) {
			t.Errorf("%s: breaks %q and adds %q, want %q and %d", change, broken, added, want.broken, want.added)
		}
	}
}

// TestGoingBackKeepsTheSchema migrates as the version before would, on a schema that a later one has brought further.
func TestGoingBackKeepsTheSchema(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t, migrate)
	later := number(t, url, `INSERT INTO goose_db_version (version_id, is_applied) SELECT max(version_id) + 1, true FROM goose_db_version RETURNING version_id`)
	done, err := migrations.Run(t.Context(), postgres.Options{URL: url})
	if err != nil || len(done.Applied) != 0 || done.Version != later {
		t.Errorf("applied %v, version %d, want %d: %v", done.Applied, done.Version, later, err)
	}
	sold(t, open(t, url, false))
}
