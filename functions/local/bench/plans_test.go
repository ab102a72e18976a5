package main

import (
	"strings"
	"testing"
	"time"

	"stayhold/shared/postgres"
	"stayhold/shared/postgres/postgrestest"
)

// An index that is gone is missed: its statement reads too much, or reads it all, and is named.
func TestAnIndexThatIsMissing(t *testing.T) {
	const size = 20_000
	said := &serverLog{}
	l, err := openLabWith(t.Context(), "../../..", t.TempDir(), postgrestest.Config{Log: said})
	skipWithoutServers(t, err)
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	if err := postgrestest.Bulk(t.Context(), l.database, growthProducts, size); err != nil {
		t.Fatal(err)
	}
	n := int64(0)
	next := func(store *postgres.Store) *walker {
		n++
		return &walker{store: store, n: n, size: size, deadline: time.Hour}
	}
	for index, statement := range map[string]string{
		"booking_event_by_booking": "reads all of booking_event: SELECT booking_json",
		"outbox_sent":              "purge: reads all of outbox: WITH keys",
	} {
		var again string
		if err := postgrestest.Row(t.Context(), l.database, `SELECT pg_get_indexdef('`+index+`'::regclass)`, &again); err != nil {
			t.Fatal(err)
		}
		if err := postgrestest.Exec(t.Context(), l.database, `DROP INDEX `+index); err != nil {
			t.Fatal(err)
		}
		if _, err := l.explain(t.Context(), said, next); err == nil || !strings.Contains(err.Error(), statement) {
			t.Errorf("without %s: %.600v", index, err)
		}
		if err := postgrestest.Exec(t.Context(), l.database, again); err != nil {
			t.Fatal(err)
		}
	}
}
