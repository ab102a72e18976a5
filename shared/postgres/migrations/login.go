package migrations

import (
	"context"
	"database/sql"
	"fmt"

	"stayhold/shared/postgres"
)

// group is whose rights the functions have; routines/7_rights.sql makes and fills it.
const group = "stayhold_app"

// letInSQL finds name and password in settings of its transaction: a role's statements
// take no parameters, and a text that failed would stand in the server's log with them.
const letInSQL = `DO $$
DECLARE
    name text := current_setting('stayhold.login');
    word text := current_setting('stayhold.password');
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
        EXECUTE format('CREATE ROLE %I LOGIN PASSWORD %L', name, word);
    ELSIF name <> current_user THEN
        EXECUTE format('ALTER ROLE %I LOGIN PASSWORD %L', name, word);
    END IF;
    IF name <> current_user THEN
        EXECUTE format('ALTER ROLE %I SET statement_timeout = %L', name, '25s');
        EXECUTE format('ALTER ROLE %I SET enable_seqscan = off', name);
        IF NOT pg_has_role(name, '` + group + `', 'MEMBER') THEN
            EXECUTE format('GRANT ` + group + ` TO %I', name);
        END IF;
    END IF;
END $$`

// LetIn makes the login with which the functions reach the database, or gives the one
// that is there its password, and puts it into the functions' group. Its statements end
// after 25 s: who has asked for longer than an API waits is not there any more. They
// look by indexes from the first row on: a session keeps the plan that it made when a
// table was empty. The owner's own login stays as it is. Run comes first; several may run at once.
func LetIn(ctx context.Context, o postgres.Options, name, password string) error {
	db, err := open(o)
	if err != nil {
		return err
	}
	defer db.Close() //nolint:errcheck // everything is committed, or failed, by then
	return alone(ctx, db, func(ctx context.Context, tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `SELECT set_config('stayhold.login', $1, true), set_config('stayhold.password', $2, true)`, name, password); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, letInSQL); err != nil {
			return fmt.Errorf("the functions' login: %w", err)
		}
		return nil
	})
}
