package postgres_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"stayhold/shared/booking"
	"stayhold/shared/postgres/postgrestest"
)

// readOnly has new sessions of a database refuse every write, as a primary does that was demoted. Open ones stay as they
// were opened.
func readOnly(t *testing.T, database string, on bool) {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	change := map[bool]string{true: `SET default_transaction_read_only = on`, false: `RESET default_transaction_read_only`}[on]
	writable := with(t, database, "default_transaction_read_only", "off")
	if err := postgrestest.Exec(t.Context(), writable, `ALTER DATABASE `+strings.TrimPrefix(u.Path, "/")+` `+change); err != nil {
		t.Fatal(err)
	}
}

// TestReadOnlyConnectionIsGivenUp opens a connection while the server takes no writes: who keeps it is refused for ever.
func TestReadOnlyConnectionIsGivenUp(t *testing.T) {
	t.Parallel()
	database := postgrestest.Database(t, migrate)
	room := product(t, open(t, database, false), 5)
	for _, pooler := range []bool{false, true} {
		wire := postgrestest.Proxy(t, database)
		store := open(t, wire.URL(), pooler)
		readOnly(t, database, true)
		if err := store.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		readOnly(t, database, false)
		for range 2 {
			if _, err := store.AdjustStock(t.Context(), room, 1, "raised"); err != nil {
				t.Errorf("pooler %v: on the connection from before: %v", pooler, err)
			}
		}
		if n := wire.Connections(); n != 2 {
			t.Errorf("pooler %v: %d connections, want the one that was given up and another", pooler, n)
		}
	}
	if n := number(t, database, adjustments, room); n != 4 {
		t.Errorf("%d adjustments, want 4", n)
	}
}

// TestReadOnlyServerIsUnavailable counts how often a call comes to a server that goes on taking no writes.
func TestReadOnlyServerIsUnavailable(t *testing.T) {
	t.Parallel()
	database := postgrestest.Database(t, migrate)
	room := product(t, open(t, database, false), 5)
	readOnly(t, database, true)
	wire := postgrestest.Proxy(t, database)
	store := open(t, wire.URL(), false)
	if _, err := store.AdjustStock(t.Context(), room, 1, "raised"); !errors.Is(err, booking.ErrUnavailable) {
		t.Errorf("a write: %v", err)
	}
	if n := wire.Connections(); n != 3 {
		t.Errorf("%d connections for one call, want 3", n)
	}
	if _, err := store.Product(t.Context(), room); err != nil {
		t.Errorf("a read: %v", err)
	}
}

// TestStandbyIsNotAsked has the address lead to a standby before its promotion. It would answer, with what may be old.
func TestStandbyIsNotAsked(t *testing.T) {
	t.Parallel()
	pair := postgrestest.NewPair(t)
	if err := migrate(t.Context(), pair.URL()); err != nil {
		t.Fatal(err)
	}
	store := open(t, pair.URL(), false)
	room := product(t, store, 5)
	if err := pair.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Product(t.Context(), room); !errors.Is(err, booking.ErrUnavailable) {
		t.Errorf("a read from the standby: %v", err)
	}
	if _, err := store.AdjustStock(t.Context(), room, 1, "raised"); !errors.Is(err, booking.ErrUnavailable) {
		t.Errorf("a write to the standby: %v", err)
	}
	if err := pair.Promote(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p, err := store.AdjustStock(t.Context(), room, 1, "raised"); err != nil || p.Total != 6 {
		t.Errorf("once it is the primary: %+v %v", p, err)
	}
}
