// Package migrations brings the database to this program's version: the schema by
// numbered files that only go forward, and the routines by replacing them. It is a
// package of its own so that no serving function links it.
package migrations

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"sort"
	"time"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"stayhold/shared/postgres"
)

//go:embed *.sql
var schema embed.FS

//go:embed routines/*.sql
var routines embed.FS

// Report says what a migration did: the files that it applied, in order, and the
// version that stands.
type Report struct {
	Applied []string
	Version int64
}

// Run brings the schema to this program's version, forward only, and then puts
// every routine in place as this program has it. Several may run at once: one works
// and the others wait. Died half way: each file is a transaction, or can be run again,
// and the next run goes on.
func Run(ctx context.Context, o postgres.Options) (Report, error) {
	done := Report{Applied: []string{}}
	db, err := open(o)
	if err != nil {
		return done, err
	}
	defer db.Close() //nolint:errcheck // everything is committed, or failed, by then
	locker, err := lock.NewPostgresSessionLocker()
	if err != nil {
		return done, err
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, schema, goose.WithSessionLocker(locker))
	if err != nil {
		return done, err
	}
	results, err := provider.Up(ctx)
	for _, r := range results {
		done.Applied = append(done.Applied, path.Base(r.Source.Path))
	}
	if err != nil {
		return done, fmt.Errorf("migrate: %w", err)
	}
	if err := alone(ctx, db, putRoutines); err != nil {
		return done, err
	}
	done.Version, err = provider.GetDBVersion(ctx)
	return done, err
}

// open opens the owner's connections.
func open(o postgres.Options) (*sql.DB, error) {
	config, err := postgres.Settings(o)
	if err != nil {
		return nil, err
	}
	return stdlib.OpenDB(*config, stdlib.OptionBeforeConnect(o.SignIn)), nil
}

// alone runs what changes roles or routines in one transaction, which no other migration
// is at meanwhile: two that change one role or routine at once fail.
func alone(ctx context.Context, db *sql.DB, run func(context.Context, *sql.Tx) error) error {
	const lock = 0x57A7
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit it does nothing
	if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock($1)`, lock); err != nil {
		return err
	}
	if err := run(ctx, tx); err != nil {
		return err
	}
	return tx.Commit()
}

// putRoutines replaces all routines at once, so that no call ever meets half of them. A
// routine whose arguments change gets a new name: the previous version of the program
// goes on calling the old one.
func putRoutines(ctx context.Context, tx *sql.Tx) error {
	files, err := fs.Glob(routines, "routines/*.sql")
	if err != nil {
		return err
	}
	sort.Strings(files)
	for _, name := range files {
		text, err := routines.ReadFile(name)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, string(text)); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}
