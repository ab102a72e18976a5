package postgres_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"stayhold/shared/booking"
	"stayhold/shared/postgres"
	"stayhold/shared/postgres/postgrestest"
)

const (
	touchProduct = `UPDATE product SET updated_at = now() WHERE id = $1`
	adjustments  = `SELECT count(*) FROM stock_adjustment WHERE product_id = $1 AND reason <> 'first stock'`
)

// number reads one number beside the store.
func number(t *testing.T, url, sql string, args ...any) (n int64) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background()) //nolint:errcheck // nothing to lose
	if err := conn.QueryRow(t.Context(), sql, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// with is the URL with one more parameter of each session.
func with(t *testing.T, database, name, value string) string {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set(name, value)
	u.RawQuery = q.Encode()
	return u.String()
}

// paidWithPoints is a booking that complete can confirm.
func paidWithPoints(t *testing.T, store *postgres.Store, user, room int64) booking.Booking {
	t.Helper()
	if _, err := store.GrantPoints(t.Context(), user, decimal.NewFromInt(150), "test"); err != nil {
		t.Fatal(err)
	}
	r, err := store.Open(t.Context(), opening(user, room))
	if err != nil {
		t.Fatal(err)
	}
	set := booking.Set{{Method: booking.Point, Amount: decimal.NewFromInt(100)}}
	r, err = store.Register(t.Context(), booking.Registration{UserID: user, BookingID: r.Booking.ID, Set: set})
	if err != nil {
		t.Fatal(err)
	}
	return r.Booking
}

// TestDeadlockIsTriedAgain makes Postgres choose between a step, which locks booking,
// points and product in this order, and a session that locks two of them the other way
// round and never gives up its own statement for the step's sake.
func TestDeadlockIsTriedAgain(t *testing.T) {
	t.Parallel()
	complete := func(store *postgres.Store, b booking.Booking) error {
		_, err := store.Complete(t.Context(), booking.Completion{UserID: b.UserID, BookingID: b.ID, Held: time.Now().Add(time.Hour)})
		return err
	}
	cancel := func(store *postgres.Store, b booking.Booking) error {
		_, err := store.Cancel(t.Context(), booking.Cancellation{BookingID: b.ID})
		return err
	}
	lockBooking, lockPoints := `SELECT 1 FROM booking WHERE id = $1 FOR UPDATE`, `SELECT 1 FROM user_point WHERE user_id = $1 FOR UPDATE`
	for name, c := range map[string]struct {
		before, step func(*postgres.Store, booking.Booking) error
		lock         string
		of           func(booking.Booking) int64
		balance      int64
	}{
		"complete, booking": {nil, complete, lockBooking, func(b booking.Booking) int64 { return b.ID }, 50},
		"complete, points":  {nil, complete, lockPoints, func(b booking.Booking) int64 { return b.UserID }, 50},
		"cancel, booking":   {complete, cancel, lockBooking, func(b booking.Booking) int64 { return b.ID }, 150},
		"cancel, points":    {complete, cancel, lockPoints, func(b booking.Booking) int64 { return b.UserID }, 150},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := postgrestest.Database(t, migrate)
			store := open(t, url, false)
			room := product(t, store, 5)
			b := paidWithPoints(t, store, 7, room)
			if c.before != nil {
				if err := c.before(store, b); err != nil {
					t.Fatal(err)
				}
			}
			other := postgrestest.Session(t, url)
			for _, sql := range []string{`BEGIN`, `SET LOCAL deadlock_timeout = '1min'`} {
				if err := other(sql); err != nil {
					t.Fatal(err)
				}
			}
			if err := other(`SELECT 1 FROM product WHERE id = $1 FOR UPDATE`, room); err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() { done <- c.step(store, b) }()
			postgrestest.AwaitWaiting(t, url, 1)
			if err := other(c.lock, c.of(b)); err != nil {
				t.Fatal(err)
			}
			if err := other(`COMMIT`); err != nil {
				t.Fatal(err)
			}
			if err := <-done; err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if left, err := store.Points(t.Context(), 7); err != nil || !left.Equal(decimal.NewFromInt(c.balance)) {
				t.Errorf("%s points are left, %v", left, err)
			}
			if breaches, err := store.Breaches(t.Context(), 0); err != nil || len(breaches) > 0 {
				t.Errorf("audit: %v %v", breaches, err)
			}
		})
	}
}

// TestConflictIsTriedAgainWithinBounds has a trigger fail an adjustment so many times. A
// sequence counts the tries, since no rollback takes its numbers back.
func TestConflictIsTriedAgainWithinBounds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		code         string
		fails, tries int64
		want         error
	}{
		{"40001", 1, 2, nil}, {"40001", 2, 3, nil}, {"40001", 3, 3, booking.ErrUnavailable},
		{"40P01", 2, 3, nil}, {"40P01", 3, 3, booking.ErrUnavailable},
		{"55P03", 1, 1, booking.ErrUnavailable}, {"57014", 1, 1, booking.ErrUnavailable}, {"53200", 1, 1, booking.ErrUnavailable},
		{"XX000", 1, 1, booking.ErrInternal},
	} {
		t.Run(fmt.Sprintf("%s, %d times", c.code, c.fails), func(t *testing.T) {
			t.Parallel()
			url := postgrestest.Database(t, migrate)
			store := open(t, url, false)
			room := product(t, store, 5)
			for _, sql := range []string{
				`CREATE SEQUENCE tries`,
				fmt.Sprintf(`CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
					IF nextval('tries') <= %d THEN RAISE EXCEPTION 'on purpose' USING ERRCODE = '%s'; END IF;
					RETURN NEW; END $$`, c.fails, c.code),
				`CREATE TRIGGER fail BEFORE UPDATE ON product FOR EACH ROW EXECUTE FUNCTION fail()`,
			} {
				if err := postgrestest.Exec(t.Context(), url, sql); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := store.AdjustStock(t.Context(), room, 1, "raised"); !errors.Is(err, c.want) {
				t.Errorf("adjusted: %v, want %v", err, c.want)
			}
			if n := number(t, url, `SELECT last_value FROM tries`); n != c.tries {
				t.Errorf("%d tries, want %d", n, c.tries)
			}
			done := int64(0)
			if c.want == nil {
				done = 1
			}
			if n := number(t, url, adjustments, room); n != done {
				t.Errorf("%d adjustments, want %d", n, done)
			}
		})
	}
}

// TestAnAdjustmentThatWaits meets, in its wait for a row, what Postgres itself may do to
// it there.
func TestAnAdjustmentThatWaits(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		parameter, value string
		meanwhile        string // while it waits
		want             error
		done             int64
	}{
		"could not serialize": {"default_transaction_isolation", "serializable", "", nil, 1},
		"lock timeout":        {"lock_timeout", "200", "", booking.ErrUnavailable, 0},
		"statement timeout":   {"statement_timeout", "200", "", booking.ErrUnavailable, 0},
		"connection ended by an operator": {"", "", `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock'`, nil, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := postgrestest.Database(t, migrate)
			room := product(t, open(t, url, false), 5)
			own := url
			if c.parameter != "" {
				own = with(t, url, c.parameter, c.value)
			}
			store := open(t, own, false)
			release := postgrestest.Lock(t, url, touchProduct, room)
			done := make(chan error, 1)
			go func() {
				_, err := store.AdjustStock(t.Context(), room, 1, "raised")
				done <- err
			}()
			var err error
			if c.want == nil {
				postgrestest.AwaitWaiting(t, url, 1)
				if c.meanwhile != "" {
					if err := postgrestest.Exec(t.Context(), url, c.meanwhile); err != nil {
						t.Fatal(err)
					}
				}
				release()
				err = <-done
			} else {
				err = <-done
				release()
			}
			if !errors.Is(err, c.want) {
				t.Errorf("adjusted: %v, want %v", err, c.want)
			}
			if n := number(t, url, adjustments, room); n != c.done {
				t.Errorf("%d adjustments, want %d", n, c.done)
			}
		})
	}
}

func TestTooManyConnectionsIsUnavailable(t *testing.T) {
	t.Parallel()
	database := postgrestest.Database(t, migrate)
	role := "crowded_" + rand.Text()
	if err := postgrestest.Exec(t.Context(), database, fmt.Sprintf(`CREATE ROLE %q LOGIN PASSWORD 'x' CONNECTION LIMIT 0`, role)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := postgrestest.Exec(context.Background(), database, fmt.Sprintf(`DROP ROLE %q`, role)); err != nil {
			t.Error(err)
		}
	})
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(role, "x")
	_, err = openAs(t, u.String(), false).AdjustStock(t.Context(), 1, 1, "raised")
	if !errors.Is(err, booking.ErrUnavailable) {
		t.Errorf("adjusted: %v", err)
	}
	var refused interface{ SQLState() string }
	if !errors.As(err, &refused) || refused.SQLState() != "53300" {
		t.Errorf("refused by %v, not for want of connections", err)
	}
}
