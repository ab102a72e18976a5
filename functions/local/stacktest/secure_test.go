package stacktest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stayhold/functions/local/harness"
	"stayhold/shared/hold/holdtest"
	"stayhold/shared/postgres/postgrestest"
	"stayhold/shared/servertest"
)

// The functions as they are deployed: Postgres and Redis over TLS, each by an authority of its own that a variable
// names. With either authority in the other's place they do not sell.
func TestSellsOverTLS(t *testing.T) {
	t.Parallel()
	database, gate := servertest.NewAuthority(t), servertest.NewAuthority(t)
	shown := database.Issue("localhost", "127.0.0.1")
	server, err := postgrestest.Start(t.Context(), postgrestest.Config{Dir: filepath.Join(t.TempDir(), "postgres"), Certificate: &shown})
	if err != nil {
		skipWithoutServers(t, err.Error())
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	redis := holdtest.Secure(t, gate.Issue("127.0.0.1"))
	vars := func(database, gate *servertest.Authority) []string {
		return []string{
			"DATABASE_URL=" + strings.Replace(server.URL(), "sslmode=disable", "sslmode=verify-full", 1), "DATABASE_CA=" + string(database.PEM),
			"REDIS_URL=" + redis.SecureURL(), "REDIS_CA=" + string(gate.PEM), "TLS_REQUIRED=true",
		}
	}
	s := ownStack(t, vars(database, gate)...)
	b := s.buyer(t)
	done := b.bought(t, s.product(t, 2), oneCard)
	b.get("/health").want(t, 200)
	b.cancel(done.BookingID).want(t, 200)
	b.refunded(t, done.BookingID, "CANCELLED", "100000.00")
	s.invoke("SweepFunction", `{}`).want(t, 200)
	var plain int
	err = postgrestest.Row(t.Context(), server.URL(), `SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
		WHERE NOT ssl AND application_name = 'stayhold'`, &plain)
	if err != nil || plain != 0 {
		t.Errorf("%d connections in plain text: %v", plain, err)
	}
	s.audited(t, 0)
	// Sweep and compensation go on without whom they do not reach, and log it.
	logs, err := filepath.Glob(filepath.Join(s.dir, "log", "*Function.log"))
	if err != nil || len(logs) != 10 {
		t.Fatalf("logs %v: %v", logs, err)
	}
	for _, path := range logs {
		if text, err := os.ReadFile(path); err != nil || strings.Contains(string(text), "certificate") {
			t.Errorf("%s: %v\n%s", filepath.Base(path), err, text)
		}
	}

	strange, err := begin(ownDir(t), append(vars(gate, gate), fmt.Sprintf("PORT=%d", harness.FreePorts()))...)
	if err != nil {
		t.Fatal(err)
	}
	strange.endsBadly(t, "certificate signed by unknown authority")
	// Nobody needs the gate to start: each call does.
	strange = ownStack(t, vars(database, database)...)
	if a := strange.buyer(t).get("/health").want(t, 503); !strings.Contains(string(a.body), `"database":"ok"`) {
		t.Error(a)
	}
}
