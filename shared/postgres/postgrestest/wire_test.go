package postgrestest

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

func wired(t *testing.T) (*Wire, *pgx.Conn) {
	t.Helper()
	w := Proxy(t, Database(t, migrateKept))
	return w, dial(t, w)
}

func dial(t *testing.T, w *Wire) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), w.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func exec1(t *testing.T, conn *pgx.Conn, sql string, args ...any) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

func rows(t *testing.T, conn *pgx.Conn) int {
	t.Helper()
	var n int
	if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM kept`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestWireCountsRoundTrips(t *testing.T) {
	t.Parallel()
	w, conn := wired(t)
	insert := `INSERT INTO kept VALUES ($1)`
	for _, step := range []struct {
		name string
		want int
		do   func()
	}{
		{"nothing", 0, func() {}},
		{"simple", 1, func() { exec1(t, conn, `SELECT 1`) }},
		{"cold statement", 2, func() { exec1(t, conn, insert, "a") }},
		{"warm statement", 1, func() { exec1(t, conn, insert, "b") }},
		{"exec mode", 1, func() { exec1(t, conn, `SELECT $1::int`, pgx.QueryExecModeExec, "1") }},
		{"batch", 1, func() {
			b := &pgx.Batch{}
			for range 50 {
				b.Queue(insert, "c")
			}
			if err := conn.SendBatch(t.Context(), b).Close(); err != nil {
				t.Fatal(err)
			}
		}},
		{"transaction", 3, func() {
			tx, err := conn.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tx.Exec(t.Context(), insert, "d"); err != nil {
				t.Fatal(err)
			}
			if err := tx.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
		}},
		{"failing", 1, func() {
			if _, err := conn.Exec(t.Context(), `SELECT 1/0`); err == nil {
				t.Fatal("no error")
			}
		}},
	} {
		w.Reset()
		step.do()
		if w.Trips() != step.want || w.Connections() != 0 {
			t.Errorf("%s: %d trips on %d new connections, want %d: %q", step.name, w.Trips(), w.Connections(), step.want, w.Trace())
		}
	}
	w.Reset()
	dial(t, w)
	if w.Connections() != 1 || w.Trips() != 0 {
		t.Errorf("connecting: %d connections, %d trips", w.Connections(), w.Trips())
	}
}

func TestWireLosesAnswers(t *testing.T) {
	t.Parallel()
	w, conn := wired(t)
	exec1(t, conn, `INSERT INTO kept VALUES ('first')`)
	w.LoseReply(2)
	exec1(t, conn, `INSERT INTO kept VALUES ('second')`)
	if _, err := conn.Exec(t.Context(), `INSERT INTO kept VALUES ('third')`); err == nil {
		t.Error("the lost answer arrived")
	}
	if got := rows(t, dial(t, w)); got != 3 {
		t.Errorf("%d rows after a lost answer, want 3", got)
	}
}

func TestWireLosesRequests(t *testing.T) {
	t.Parallel()
	w, conn := wired(t)
	w.LoseRequest(1)
	if _, err := conn.Exec(t.Context(), `INSERT INTO kept VALUES ('lost')`); err == nil {
		t.Error("the lost request was answered")
	}
	if got := rows(t, dial(t, w)); got != 0 {
		t.Errorf("%d rows after a lost request, want 0", got)
	}
}

func TestWireCutsRefusesAndDelays(t *testing.T) {
	t.Parallel()
	w, conn := wired(t)
	w.Cut()
	if _, err := conn.Exec(t.Context(), `SELECT 1`); err == nil {
		t.Error("a cut connection answers")
	}
	w.Refuse(true)
	if _, err := pgx.Connect(t.Context(), w.URL()); err == nil {
		t.Error("a refused connection stands")
	}
	w.Reset()
	conn = dial(t, w)
	w.Delay(30 * time.Millisecond)
	begin := time.Now()
	exec1(t, conn, `SELECT 1`)
	if took := time.Since(begin); took < 30*time.Millisecond {
		t.Errorf("a delayed answer took %v", took)
	}
}
