package postgres_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/shopspring/decimal"

	"stayhold/shared/booking"
	"stayhold/shared/postgres"
	"stayhold/shared/postgres/postgrestest"
)

// sold brings a booking of 40 points and 60 by card to CONFIRMED.
func sold(t *testing.T, store *postgres.Store) booking.Booking {
	t.Helper()
	ctx := t.Context()
	if _, err := store.GrantPoints(ctx, 1, decimal.NewFromInt(40), "gift"); err != nil {
		t.Fatal(err)
	}
	r, err := store.Open(ctx, opening(1, product(t, store, 5)))
	if err != nil {
		t.Fatal(err)
	}
	set := booking.Set{{Method: booking.Point, Amount: decimal.NewFromInt(40)}, {Method: booking.Card, Amount: decimal.NewFromInt(60)}}
	if _, err := store.Register(ctx, booking.Registration{UserID: 1, BookingID: r.Booking.ID, Set: set}); err != nil {
		t.Fatal(err)
	}
	in, _, err := store.BeginApproval(ctx, booking.ApprovalRequest{UserID: 1, BookingID: r.Booking.ID, PaymentKey: "k",
		Owner: "o", Lease: time.Minute, SendTime: time.Second, Window: time.Second, Limit: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.EndApproval(ctx, *in, booking.Finding{Code: booking.FoundApproved, Reference: "ref"}); err != nil {
		t.Fatal(err)
	}
	r, err = store.Complete(ctx, booking.Completion{UserID: 1, BookingID: r.Booking.ID, MinLeft: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return r.Booking
}

// TestNoMoneyIsNaN goes through every column that can bear a NaN, those that come
// later too.
func TestNoMoneyIsNaN(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t, migrate)
	sold(t, open(t, url, false))
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context()) //nolint:errcheck // the test is over
	rows, err := conn.Query(t.Context(), `SELECT table_name::text, column_name::text FROM information_schema.columns
		WHERE table_schema = 'public' AND data_type IN ('numeric', 'real', 'double precision')`)
	if err != nil {
		t.Fatal(err)
	}
	columns, err := pgx.CollectRows(rows, pgx.RowToStructByPos[struct{ Table, Column string }])
	if err != nil || len(columns) < 6 {
		t.Fatalf("the columns of money: %v %v", columns, err)
	}
	for _, c := range columns {
		_, err := conn.Exec(t.Context(), fmt.Sprintf(`UPDATE %s SET %s = 'NaN'`, c.Table, c.Column))
		var refused *pgconn.PgError
		if !errors.As(err, &refused) || refused.Code != "23514" {
			t.Errorf("%s.%s takes NaN: %v", c.Table, c.Column, err)
		}
	}
}

func TestOneCommandToRefundPerPayment(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t, migrate)
	store := open(t, url, false)
	b := sold(t, store)
	if _, err := store.Cancel(t.Context(), booking.Cancellation{UserID: 1, BookingID: b.ID}); err != nil {
		t.Fatal(err)
	}
	if err := postgrestest.Exec(t.Context(), url, `SELECT command_refund(id, amount) FROM payment`); err != nil {
		t.Fatal(err)
	}
	e, err := store.Explain(t.Context(), b.ID)
	if err != nil {
		t.Fatal(err)
	}
	commands := 0
	for _, a := range e.Attempts {
		if a["kind"] == "CANCEL" {
			commands++
		}
	}
	if commands != 1 {
		t.Errorf("%d commands to refund one payment: %v", commands, e.Attempts)
	}
}

// TestCommitsWaitForTheDisk asks in the store's own transactions: what is acknowledged
// before it is on disk is gone after a kill -9 of the server.
func TestCommitsWaitForTheDisk(t *testing.T) {
	t.Parallel()
	url := postgrestest.Database(t, migrate)
	for _, sql := range []string{
		`CREATE FUNCTION waits() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			IF current_setting('synchronous_commit') <> 'on' THEN
				RAISE EXCEPTION 'commits do not wait for the disk';
			END IF;
			RETURN NULL;
		END $$`,
		`CREATE TRIGGER waits AFTER INSERT OR UPDATE ON booking FOR EACH STATEMENT EXECUTE FUNCTION waits()`,
	} {
		if err := postgrestest.Exec(t.Context(), url, sql); err != nil {
			t.Fatal(err)
		}
	}
	sold(t, open(t, url, false))
}
