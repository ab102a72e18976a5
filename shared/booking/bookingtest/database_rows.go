package bookingtest

import (
	"time"

	"github.com/shopspring/decimal"

	"stayhold/shared/booking"
)

// Rows is a copy of everything that a Database keeps, each table by id (balances by
// user, keys by user, scope and key). Where a column is NULL the field is zero.
type Rows struct {
	Products    []ProductRow
	Bookings    []BookingRow
	Payments    []PaymentRow
	Attempts    []AttemptRow
	Outbox      []OutboxRow
	Balances    []BalanceRow
	Ledger      []LedgerRow
	Adjustments []AdjustmentRow
	Keys        []KeyRow
	SpentTokens []SpentTokenRow
	Events      []EventRow
}

// ProductRow is a row of product.
type ProductRow struct {
	ID             int64
	Name           string
	Price          decimal.Decimal
	RemainingStock int64
	TotalStock     int64
	SaleStartAt    time.Time
	CheckInAt      time.Time
	CheckOutAt     time.Time
	Status         string
	Version        int64
	CreatedAt      time.Time
	UpdatedAt      time.Time
}

// BookingRow is a row of booking.
type BookingRow struct {
	ID            int64
	UserID        int64
	ProductID     int64
	TotalAmount   decimal.Decimal
	Status        booking.Status
	HoldToken     string
	HoldExpiresAt time.Time
	CheckInAt     time.Time
	FailureCode   string
	FailureDetail string
	CreatedAt     time.Time
	UpdatedAt     time.Time
}

// PaymentRow is a row of payment.
type PaymentRow struct {
	ID            int64
	BookingID     int64
	PaymentMethod booking.Method
	Amount        decimal.Decimal
	Status        booking.PaymentStatus
	OrderID       string
	HoldExtended  bool
	CreatedAt     time.Time
	UpdatedAt     time.Time
}

// AttemptRow is a row of payment_attempt.
type AttemptRow struct {
	ID             int64
	PaymentID      int64
	BookingID      int64
	Kind           AttemptKind
	State          AttemptState
	OrderID        string
	IdempotencyKey string
	PaymentKey     string
	Amount         decimal.Decimal
	Owner          string
	LeaseUntil     time.Time
	SendableUntil  time.Time
	Tries          int
	NextTryAt      time.Time
	Reference      string
	CreatedAt      time.Time
	UpdatedAt      time.Time
}

// AttemptKind says which gateway call an attempt is the intent of.
type AttemptKind string

// The kinds of attempts.
const (
	ApproveAttempt AttemptKind = "APPROVE"
	CancelAttempt  AttemptKind = "CANCEL"
)

// AttemptState is where an attempt stands.
type AttemptState string

// The states of an attempt: the first five of a charge, the last two of a refund.
const (
	AttemptRequested AttemptState = "REQUESTED"
	AttemptUnknown   AttemptState = "UNKNOWN"
	AttemptApproved  AttemptState = "APPROVED"
	AttemptDeclined  AttemptState = "DECLINED"
	AttemptClosed    AttemptState = "CLOSED"
	AttemptPending   AttemptState = "PENDING"
	AttemptDone      AttemptState = "DONE"
)

// open says that a charge's answer is still awaited.
func (s AttemptState) open() bool { return s == AttemptRequested || s == AttemptUnknown }

// waiting says that somebody has to act on the attempt.
func (s AttemptState) waiting() bool { return s.open() || s == AttemptPending }

// OutboxRow is a row of outbox.
type OutboxRow struct {
	ID        int64
	BookingID int64
	Task      booking.Task
	CreatedAt time.Time
	SentAt    time.Time
}

// BalanceRow is a row of user_point.
type BalanceRow struct {
	UserID    int64
	Balance   decimal.Decimal
	CreatedAt time.Time
	UpdatedAt time.Time
}

// LedgerRow is a row of point_ledger.
type LedgerRow struct {
	ID        int64
	UserID    int64
	Delta     decimal.Decimal
	Kind      string // GRANT, DEBIT or CREDIT
	PaymentID int64
	Reason    string
	CreatedAt time.Time
}

// AdjustmentRow is a row of stock_adjustment.
type AdjustmentRow struct {
	ID        int64
	ProductID int64
	Delta     int64
	Reason    string
	CreatedAt time.Time
}

// KeyRow is a row of idempotency_key: a claim where Outcome is nil.
type KeyRow struct {
	UserID       int64
	Scope        string
	Key          string
	Fingerprint  string
	RequestID    string
	Outcome      *booking.Recalled
	ClaimedUntil time.Time
	CreatedAt    time.Time
}

// SpentTokenRow is a row of spent_token.
type SpentTokenRow struct {
	Token     string
	CreatedAt time.Time
}

// EventRow is a row of booking_event.
type EventRow struct {
	ID        int64
	BookingID int64
	At        time.Time
	Event     string
	Detail    string
}
