package postgres_test

import (
	"testing"
	"time"

	"stayhold/shared/postgres/postgrestest"
)

// A sale begins on tables of which the planner knows nothing yet, and what it has planned then a connection keeps: no
// call may read all that its product has sold.
func TestNobodyReadsAWholeSaleToFindHisOwnBooking(t *testing.T) {
	t.Parallel()
	const users = 100
	url := postgrestest.Database(t, migrate)
	store := open(t, url, false)
	room := product(t, store, users)
	for user := int64(1); user <= users; user++ {
		if _, err := store.Open(t.Context(), opening(user, room)); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Checkout(t.Context(), user, room); err != nil {
			t.Fatal(err)
		}
	}
	store.Close() // a session tells what it has read when it ends
	var calls, read int64
	for deadline := time.Now().Add(time.Minute); calls < users; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d calls are known", calls)
		}
		err := postgrestest.Row(t.Context(), url, `
SELECT sum(idx_scan) FILTER (WHERE indexrelname = 'booking_hold_token_once')::bigint,
    sum(idx_tup_read) FILTER (WHERE indexrelname <> 'booking_pkey')::bigint
FROM pg_stat_user_indexes WHERE relname = 'booking'`, &calls, &read)
		if err != nil {
			t.Fatal(err)
		}
	}
	if read > 5*users {
		t.Errorf("%d entries of indexes were read for %d users", read, users)
	}
}
