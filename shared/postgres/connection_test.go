package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"stayhold/shared/booking"
	"stayhold/shared/postgres/postgrestest"
)

// TestSerializationFailureIsTriedAgain has Postgres give a transaction up: as often as
// is bearable, and for ever. A sequence counts, since it is never rolled back.
func TestSerializationFailureIsTriedAgain(t *testing.T) {
	t.Parallel()
	for state, times := range map[string]map[int]error{
		"40001": {2: nil, 3: booking.ErrUnavailable},
		"40P01": {2: nil, 3: booking.ErrUnavailable},
		"53300": {0: nil, 1: booking.ErrUnavailable}, // not tried again: it is the server that is full
	} {
		for n, want := range times {
			t.Run(fmt.Sprintf("%s %d times", state, n), func(t *testing.T) {
				t.Parallel()
				url := postgrestest.Database(t, migrate)
				store := open(t, url, false)
				room := product(t, store, 5)
				for _, sql := range []string{
					`CREATE SEQUENCE tried`,
					fmt.Sprintf(`CREATE FUNCTION gives_up() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
						IF nextval('tried') <= %d THEN
							RAISE EXCEPTION 'given up' USING ERRCODE = '%s';
						END IF;
						RETURN NEW;
					END $$`, n, state),
					`CREATE TRIGGER gives_up BEFORE INSERT ON booking FOR EACH ROW EXECUTE FUNCTION gives_up()`,
				} {
					if err := postgrestest.Exec(t.Context(), url, sql); err != nil {
						t.Fatal(err)
					}
				}
				if _, err := store.Open(t.Context(), opening(1, room)); !errors.Is(err, want) {
					t.Errorf("open: %v", err)
				}
			})
		}
	}
}

// TestIdleConnectionIsNotAsked waits past the second after which the pool's default
// asks a connection whether it is still there: most calls of a function come later.
func TestIdleConnectionIsNotAsked(t *testing.T) {
	t.Parallel()
	wire := postgrestest.Proxy(t, postgrestest.Database(t, migrate))
	store := open(t, wire.URL(), false)
	ask := func() {
		t.Helper()
		if _, err := store.Points(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
	}
	ask()
	idle := time.NewTimer(1200 * time.Millisecond)
	defer idle.Stop()
	<-idle.C
	wire.Reset()
	ask()
	if n := wire.Trips(); n != 1 || wire.Connections() != 0 {
		t.Errorf("%d round trips and %d new connections after a pause: %v", n, wire.Connections(), wire.Trace())
	}
}

// TestOneConnectionPerStore lets a store be asked many things at once, each of which takes a while.
func TestOneConnectionPerStore(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t, migrate)
	for _, pooler := range []bool{false, true} {
		wire := postgrestest.Proxy(t, url)
		store := open(t, wire.URL(), pooler)
		store.Connect(t.Context())
		wire.Delay(5 * time.Millisecond)
		done := make(chan error)
		const calls = 16
		for user := range int64(calls) {
			go func() {
				_, err := store.Points(t.Context(), user)
				done <- err
			}()
		}
		for range calls {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if n := wire.Connections(); n != 1 {
			t.Errorf("pooler %v: %d connections", pooler, n)
		}
	}
}

// TestConnectionThatDiedWithoutAWord is a function that was frozen while a firewall
// forgot its connection: nothing has been sent yet, so nothing is in doubt.
func TestConnectionThatDiedWithoutAWord(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t, migrate)
	room := product(t, open(t, url, false), 5)
	wire := postgrestest.Proxy(t, url)
	store := open(t, wire.URL(), false)
	for user := int64(1); user <= 3; user++ {
		if _, err := store.Open(t.Context(), opening(user, room)); err != nil {
			t.Errorf("open: %v", err)
		}
		wire.Cut()
	}
}

// TestPoolerModeLeavesNothingInItsSession asks inside the store's own session what
// would pin it, or be missing from the next one: and shows that it would be seen. What
// a routine sets is its own, for as long as it runs.
func TestPoolerModeLeavesNothingInItsSession(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t, migrate)
	for _, sql := range []string{
		`CREATE FUNCTION leaves_nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			IF EXISTS (SELECT FROM pg_prepared_statements) OR EXISTS (SELECT FROM pg_settings WHERE source = 'session' AND name NOT IN ('search_path', 'enable_seqscan', 'plan_cache_mode'))
				OR EXISTS (SELECT FROM pg_class WHERE relpersistence = 't') THEN
				RAISE EXCEPTION 'something is left in the session';
			END IF;
			RETURN NULL;
		END $$`,
		`CREATE TRIGGER leaves_nothing AFTER INSERT ON point_ledger FOR EACH STATEMENT EXECUTE FUNCTION leaves_nothing()`,
	} {
		if err := postgrestest.Exec(t.Context(), url, sql); err != nil {
			t.Fatal(err)
		}
	}
	for pooler, want := range map[bool]error{true: nil, false: booking.ErrInternal} {
		store := open(t, url, pooler)
		var err error
		for range 2 {
			_, failed := store.GrantPoints(t.Context(), 1, decimal.NewFromInt(5), "gift")
			err = errors.Join(err, failed)
		}
		if !errors.Is(err, want) {
			t.Errorf("pooler %v: %v", pooler, err)
		}
	}
}

// TestMigrationBesideTraffic replaces the routines again and again under calls that
// run, as a deployment does.
func TestMigrationBesideTraffic(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t, migrate)
	store := open(t, url, false)
	room := product(t, store, 5)
	migrated := make(chan error, 1)
	go func() {
		var err error
		for range 5 {
			// The newest file is run again, as on a database that does not have it.
			again := postgrestest.Exec(context.Background(), url, `DELETE FROM goose_db_version WHERE version_id = (SELECT max(version_id) FROM goose_db_version)`)
			err = errors.Join(err, again, migrate(context.Background(), url))
		}
		migrated <- err
	}()
	served := 0
	for user := int64(1); ; user++ {
		select {
		case err := <-migrated:
			if err != nil || served == 0 {
				t.Errorf("%d bookings were served meanwhile: %v", served, err)
			}
			return
		default:
		}
		r, err := store.Open(t.Context(), opening(user, room))
		if err == nil {
			_, err = store.Cancel(t.Context(), booking.Cancellation{UserID: user, BookingID: r.Booking.ID})
		}
		if err != nil {
			t.Fatalf("booking %d beside a migration: %v", user, err)
		}
		served++
	}
}
