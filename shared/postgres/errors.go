package postgres

import (
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"stayhold/shared/booking"
)

// byConstraint maps what a named constraint refuses.
var byConstraint = map[string]error{
	"user_point_not_negative":  booking.ErrInsufficientPoints,
	"product_stock_in_bounds":  booking.ErrInvalidState.Saying("Fewer units would remain than are sold."),
	"stock_adjustment_product": booking.ErrProductNotFound,
	"booking_hold_token_once":  booking.ErrTokenSpent,
	"idempotency_key_pkey":     booking.ErrKeyTaken,
	"product_dates_in_order":   booking.ErrInvalidRequest,
	"product_price_positive":   booking.ErrInvalidAmount,
	"user_point_user_positive": booking.ErrInvalidRequest,
	"booking_one_open":         booking.ErrDuplicateReservation,
	"point_ledger_delta_moves": booking.ErrInvalidAmount,
	"product_status_known":     booking.ErrInvalidRequest,
	"payment_one_live_charge":  booking.ErrPaymentInProgress,
}

// byState maps the states that the routines raise themselves.
var byState = map[string]error{
	"SH001": booking.ErrInsufficientPoints,
	"SH002": booking.ErrSoldOut,
	"SH010": booking.ErrKeyTaken,
	"22003": booking.ErrInvalidRequest, // numeric_value_out_of_range
}

// givenUp says that Postgres reports the transaction as rolled back through no fault of
// its own: for another one's sake (deadlock, serialization), or because the server ends
// the connection, or takes no writes on it.
func givenUp(err error) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return false
	}
	switch pg.Code {
	case "40P01", "40001", "57P01", "57P02", readOnlyState:
		return true
	}
	return false
}

const readOnlyState = "25006"

// readOnly says that the server takes no writes on this connection: it is a standby, or
// was a primary until a failover.
func readOnly(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == readOnlyState
}

// domainError is the one place where a driver's error becomes the domain's. What
// Postgres reports has been rolled back, but for a connection that broke (class 08, as a
// pooler reports a server that died in mid-statement); anything else that goes wrong once a
// statement is on its way is what the caller calls lost.
func domainError(err error, lost *booking.Error) error {
	if err == nil {
		return nil
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) && !strings.HasPrefix(pg.Code, "08") {
		if known, ok := byConstraint[pg.ConstraintName]; ok {
			return known
		}
		if known, ok := byState[pg.Code]; ok {
			return known
		}
		if transient(pg.Code) {
			return booking.ErrUnavailable.Because(err)
		}
		return booking.ErrInternal.Because(err)
	}
	if errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	return lost.Because(err)
}

// transient lists the states after which the same request may well succeed: conflicts,
// resources, operator intervention and a server that takes no writes.
func transient(code string) bool {
	for _, class := range []string{"40", "53", "57", "55P03", readOnlyState} {
		if strings.HasPrefix(code, class) {
			return true
		}
	}
	return false
}
