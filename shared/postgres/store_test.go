package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"stayhold/shared/booking"
	"stayhold/shared/postgres"
	"stayhold/shared/postgres/migrations"
	"stayhold/shared/postgres/postgrestest"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

func migrate(ctx context.Context, url string) error {
	_, err := migrations.Run(ctx, postgres.Options{URL: url})
	return err
}

// open opens the Store as the functions do, with no rights but theirs, on the database whose owner's URL is given.
func open(t *testing.T, url string, pooler bool) *postgres.Store {
	t.Helper()
	return openAs(t, postgrestest.Functions(url), pooler)
}

func openAs(t *testing.T, url string, pooler bool) *postgres.Store {
	t.Helper()
	store, err := postgres.Open(postgres.Options{URL: url, Pooler: pooler})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	return store
}

func product(t *testing.T, store *postgres.Store, stock int64) int64 {
	t.Helper()
	now := time.Now()
	id, err := store.PutProduct(t.Context(), booking.ProductDraft{
		Name: "Room", Price: decimal.NewFromInt(100), Stock: &stock, Status: "ACTIVE",
		SaleStartAt: now, CheckInAt: now.Add(time.Hour), CheckOutAt: now.Add(2 * time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func opening(user, product int64) booking.Opening {
	return booking.Opening{
		Hold:     booking.Hold{UserID: user, ProductID: product, Token: fmt.Sprintf("token-%d-%d", user, product)},
		Deadline: time.Now().Add(time.Minute), MaxOpenHolds: 5,
	}
}

func TestLostReplyIsUnknownAndNotRepeated(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t, migrate)
	direct := open(t, url, false)
	room := product(t, direct, 5)
	wire := postgrestest.Proxy(t, url)
	store := open(t, wire.URL(), false)
	if _, err := store.Open(t.Context(), opening(1, room)); err != nil {
		t.Fatal(err)
	}
	wire.LoseReply(1)
	_, err := store.Open(t.Context(), opening(2, room))
	if !errors.Is(err, booking.ErrCommitResultUnknown) {
		t.Errorf("lost reply: %v", err)
	}
	r, err := direct.Open(t.Context(), opening(2, room))
	if !errors.Is(err, booking.ErrDuplicateReservation) || r.Booking.HoldToken != "token-2-"+fmt.Sprint(room) {
		t.Errorf("the statement whose reply was lost: %v", err)
	}
	if _, err := store.Open(t.Context(), opening(3, room)); err != nil {
		t.Errorf("the next call: %v", err)
	}
}

func TestDatabaseAwayIsUnavailable(t *testing.T) {
	t.Parallel()
	wire := postgrestest.Proxy(t, postgrestest.Database(t, migrate))
	store := open(t, wire.URL(), false)
	wire.Refuse(true)
	if _, err := store.Open(t.Context(), opening(1, 1)); !errors.Is(err, booking.ErrUnavailable) {
		t.Errorf("a write: %v", err)
	}
	if err := store.Ping(t.Context()); !errors.Is(err, booking.ErrUnavailable) {
		t.Errorf("a ping: %v", err)
	}
	wire.Refuse(false)
	if err := store.Ping(t.Context()); err != nil {
		t.Errorf("once it is back: %v", err)
	}
}

// Parameters go as text in pooler mode: every statement has to take them so.
func TestEveryStatementServesAPooler(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t, migrate)
	store := open(t, url, true)
	room := product(t, store, 5)
	r, err := store.Open(t.Context(), opening(1, room))
	if err != nil {
		t.Fatal(err)
	}
	set := booking.Set{{Method: booking.Card, Amount: decimal.NewFromInt(100)}}
	key := booking.IdempotencyKey{UserID: 1, Scope: "s", Key: "k", Fingerprint: "f", RequestID: "r"}
	if _, err := store.Register(t.Context(), booking.Registration{UserID: 1, BookingID: r.Booking.ID, Set: set, Key: &key}); err != nil {
		t.Fatal(err)
	}
	in, _, err := store.BeginApproval(t.Context(), booking.ApprovalRequest{UserID: 1, BookingID: r.Booking.ID, PaymentKey: "k",
		Owner: "o", Lease: time.Minute, SendTime: time.Second, Window: time.Second, Limit: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.EndApproval(t.Context(), *in, booking.Finding{Code: booking.FoundApproved, Reference: "ref"}); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Complete(t.Context(), booking.Completion{UserID: 1, BookingID: r.Booking.ID, Held: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := store.GatePlaces(t.Context(), room); err != nil {
		t.Error(err)
	}
	if places, err := store.PlacesOf(t.Context(), room, []int64{1, 2}); err != nil || len(places) != 1 || !places[0].Confirmed {
		t.Errorf("places of two users: %v %v", places, err)
	}
	if _, err := store.FreeUnits(t.Context(), []int64{room}); err != nil {
		t.Error(err)
	}
	if _, err := store.Explain(t.Context(), r.Booking.ID); err != nil {
		t.Error(err)
	}
	if breaches, err := store.Breaches(t.Context(), 0); err != nil || len(breaches) != 0 {
		t.Errorf("audit: %v %v", breaches, err)
	}
	for name, list := range map[string]func() error{
		"lapsed":    func() error { _, err := store.LapsedBookings(t.Context(), time.Second, 10); return err },
		"approvals": func() error { _, err := store.DueApprovals(t.Context(), 10); return err },
		"refunds":   func() error { _, err := store.DueRefunds(t.Context(), 10); return err },
		"unsent":    func() error { _, err := store.Unsent(t.Context(), time.Second, 10); return err },
		"sent":      func() error { return store.MarkSent(t.Context(), 1, 2) },
		"on sale":   func() error { _, err := store.OnSale(t.Context(), 0, 10); return err },
		"purge":     func() error { _, err := store.Purge(t.Context(), 10); return err },
		"redrive":   func() error { _, err := store.Redrive(t.Context(), 0); return err },
		"points":    func() error { _, err := store.GrantPoints(t.Context(), 9, decimal.NewFromInt(5), "gift"); return err },
		"checkout":  func() error { _, err := store.Checkout(t.Context(), 1, room); return err },
		"recall":    func() error { _, err := store.Recall(t.Context(), key); return err },
		"bookings": func() error {
			_, err := store.BookingsOf(t.Context(), 1, booking.Confirmed, booking.Page{Limit: 5})
			return err
		},
	} {
		if err := list(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestPurgeIsBounded: a run deletes so many rows of each table and no more, the expired ones only. A message that was
// never sent is owed, however old it is.
func TestPurgeIsBounded(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t, migrate)
	store := open(t, url, false)
	r, err := store.Open(t.Context(), opening(1, product(t, store, 1)))
	if err != nil {
		t.Fatal(err)
	}
	for name, rows := range map[string]struct {
		number        int
		ofKey, ofRest string
	}{"old": {25, "24 hours 1 second", "7 days 1 second"}, "young": {5, "23 hours 59 minutes", "6 days 23 hours 59 minutes"}} {
		err := postgrestest.Exec(t.Context(), url, fmt.Sprintf(`
			WITH made AS (SELECT n, now() - interval '%s' AS key_at, now() - interval '%s' AS rest_at FROM generate_series(1, %d) AS n),
			spent AS (INSERT INTO spent_token (token, created_at) SELECT '%[4]s ' || n, rest_at FROM made),
			sent AS (INSERT INTO outbox (booking_id, task, created_at, sent_at)
				SELECT %[5]d, 'resolve', now() - interval '1 year', at FROM made, LATERAL (VALUES (rest_at), (NULL)) AS v(at))
			INSERT INTO idempotency_key (user_id, scope, key, fingerprint, request_id, outcome, created_at)
			SELECT n, 's', '%[4]s', 'f', 'r', '{}', key_at FROM made`, rows.ofKey, rows.ofRest, rows.number, name, r.Booking.ID))
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []int64{30, 30, 15, 0} {
		if n, err := store.Purge(t.Context(), 10); err != nil || n != want {
			t.Errorf("purged %d, want %d: %v", n, want, err)
		}
	}
	key := booking.IdempotencyKey{UserID: 5, Scope: "s", Key: "young", Fingerprint: "f"}
	if r, err := store.Recall(t.Context(), key); err != nil || r == nil {
		t.Errorf("a key of less than a day: %v %v", r, err)
	}
	var spent, sent, unsent int
	err = postgrestest.Row(t.Context(), url, `SELECT (SELECT count(*) FROM spent_token), count(sent_at), count(*) - count(sent_at) FROM outbox`, &spent, &sent, &unsent)
	if err != nil || spent != 5 || sent != 5 || unsent != 30 {
		t.Errorf("left are %d spent tokens, %d messages sent and %d unsent: %v", spent, sent, unsent, err)
	}
}

func TestConstraintsKeepMoneyAndStock(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t, migrate)
	store := open(t, url, false)
	room := product(t, store, 2)
	if _, err := store.GrantPoints(t.Context(), 7, decimal.NewFromInt(-1), "oops"); !errors.Is(err, booking.ErrInsufficientPoints) {
		t.Errorf("points below 0: %v", err)
	}
	if _, err := store.AdjustStock(t.Context(), room, -3, "oops"); !errors.Is(err, booking.ErrInvalidState) || !strings.Contains(err.Error(), "Fewer units") {
		t.Errorf("stock below 0: %v", err)
	}
	if _, err := store.AdjustStock(t.Context(), 999, 1, "oops"); !errors.Is(err, booking.ErrProductNotFound) {
		t.Errorf("stock of nothing: %v", err)
	}
	for _, sql := range []string{
		`UPDATE product SET price = 'NaN'`,
		`UPDATE product SET remaining_stock = -1`,
		`INSERT INTO user_point (user_id, balance) VALUES (1, 'NaN')`,
		`INSERT INTO user_point (user_id, balance) VALUES (1, -0.01)`,
	} {
		if err := postgrestest.Exec(t.Context(), url, sql); err == nil {
			t.Errorf("allowed: %s", sql)
		}
	}
	if _, err := store.AdjustStock(t.Context(), room, -2, "closed"); err != nil {
		t.Fatal(err)
	}
	if p, err := store.Product(t.Context(), room); err != nil || p.Status != "SOLD_OUT" {
		t.Errorf("status follows stock: %v %v", p.Status, err)
	}
	if _, err := store.AdjustStock(t.Context(), room, 1, "opened"); err != nil {
		t.Fatal(err)
	}
	if p, err := store.Product(t.Context(), room); err != nil || p.Status != "ACTIVE" {
		t.Errorf("status follows stock: %v %v", p.Status, err)
	}
}

func TestMigrationsRunTwiceAndAtOnce(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t, nil)
	done := make(chan error, 3)
	for range 3 {
		go func() { done <- migrate(context.Background(), url) }()
	}
	for range 3 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	report, err := migrations.Run(t.Context(), postgres.Options{URL: url})
	if err != nil || len(report.Applied) != 0 || report.Version != 5 {
		t.Errorf("again: %+v %v", report, err)
	}
}

// The driver hides a password in its own error, as far as the first @.
func TestBadURLShowsNoPassword(t *testing.T) {
	for _, url := range []string{"postgres://u:hunter2@[::1:x/db", "postgres://u:p@hunter2@[::1:x/db"} {
		_, err := postgres.Open(postgres.Options{URL: url})
		_, failed := postgres.Settings(postgres.Options{URL: url})
		for _, err := range []error{err, failed} {
			if err == nil || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("error: %v", err)
			}
		}
	}
}

// An expired key that is claimed anew while a purge waits for its row is not the expired one any more.
func TestPurgeLeavesAKeyThatIsTakenMeanwhile(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t, migrate)
	store := open(t, url, false)
	const insert = `INSERT INTO idempotency_key (user_id, scope, key, fingerprint, request_id, outcome, created_at)
		VALUES (5, 's', 'k', 'f', 'r', '{}', now() - interval '25 hours')`
	if err := postgrestest.Exec(t.Context(), url, insert); err != nil {
		t.Fatal(err)
	}
	release := postgrestest.Lock(t, url, `SELECT remember(ARRAY['5', 's', 'k', 'g', 'again'], '{}')`)
	purged := make(chan error, 1)
	go func() {
		_, err := store.Purge(t.Context(), 10)
		purged <- err
	}()
	postgrestest.AwaitWaiting(t, url, 1)
	release()
	if err := <-purged; err != nil {
		t.Fatal(err)
	}
	key := booking.IdempotencyKey{UserID: 5, Scope: "s", Key: "k", Fingerprint: "g"}
	if r, err := open(t, url, false).Recall(t.Context(), key); err != nil || r == nil || r.RequestID != "again" {
		t.Errorf("recalled %+v %v", r, err)
	}
}
