package booking

import (
	"context"
	"errors"
	"time"

	"github.com/shopspring/decimal"
)

// Store is the database. Every method is one transaction that locks the booking row
// first, or one guarded statement that amounts to it; every time is compared with the
// database's clock. Next to the errors that each method names, any method may return
// an error that wraps ErrUnavailable (certainly nothing happened) or
// ErrCommitResultUnknown (it may have happened), or ErrInternal.
type Store interface {
	Recaller
	Bookings
	Approvals
	Refunds
	Outbox
	GateSource
	Backlog
	Reader
	Administration
	Accounts
}

// IdempotencyKey is a request's Idempotency-Key in its scope.
type IdempotencyKey struct {
	UserID      int64
	Scope       string // method and path with its ids: "POST /bookings/12/cancel"
	Key         string
	Fingerprint string // of the decoded body: equal exactly for equal values
	RequestID   string // of the request that asks
}

// Result is the booking as a step left it.
type Result struct {
	Booking Booking
	Created bool       // the call made the booking, or its payment set
	Pending bool       // the gateway's answer is not known yet
	Sending []Outgoing // outbox rows that the step's own transaction wrote

	// Deferred is what went wrong after the commit, for the log: the rows command it
	// still, and message or sweep will do it.
	Deferred error
}

// Outgoing is an outbox row that has not been sent.
type Outgoing struct {
	ID int64
	Message
}

// Recalled is a stored outcome: the result and the error of the first request.
type Recalled struct {
	Result    Result
	Err       error
	RequestID string // of the first request
}

// Recaller finds what a request with the same Idempotency-Key was answered. Nil: the
// key is free. ErrIdempotencyKeyReused: another body. ErrIdempotencyInProgress: the
// first request's claim still runs.
type Recaller interface {
	Recall(ctx context.Context, key IdempotencyKey) (*Recalled, error)
}

// Conditions between steps and store that no caller ever sees.
var (
	// ErrKeyTaken: another request with this Idempotency-Key came first; the transaction
	// was rolled back. Recall says what it was answered.
	ErrKeyTaken = errors.New("idempotency key taken")
	// ErrTokenSpent: the hold token belongs to a booking that has ended.
	ErrTokenSpent = errors.New("hold token spent")
	// ErrHoldShort: the hold has lapsed, or ends before complete can; nothing was written.
	ErrHoldShort = errors.New("hold too short")
	// ErrLeftToSweep: the gateway gave no clear answer; the rows keep the work, and the
	// sweep will try again. It wraps what the log should have.
	ErrLeftToSweep = errors.New("left to the sweep")
	// ErrRefundStuck: as ErrLeftToSweep, which it comes with, but the buyer's money has
	// been kept from him for long, and somebody should look at the gateway.
	ErrRefundStuck = errors.New("refund stuck")
	// ErrNothingDue: no row commands this any more, or another owner's lease runs.
	ErrNothingDue = errors.New("nothing due")
)

// Opening asks for a new booking under a hold that the gate gave.
type Opening struct {
	Hold         Hold
	Deadline     time.Time // the gate's
	MaxOpenHolds int
	Key          *IdempotencyKey
}

// Registration asks for a payment set.
type Registration struct {
	UserID    int64
	BookingID int64
	Set       Set
	Key       *IdempotencyKey
}

// Completion asks to confirm a booking.
type Completion struct {
	UserID    int64
	BookingID int64
	MinLeft   time.Duration // how long the hold must still last
	Held      time.Time     // when set, the gate has ensured the hold until then: no lapse check, and the deadline is recorded
	Key       *IdempotencyKey
}

// Surrender asks to fence a booking that complete cannot confirm.
type Surrender struct {
	BookingID int64
	Cause     *Error // HOLD_EXPIRED, INSUFFICIENT_POINTS or SOLD_OUT
	Key       *IdempotencyKey
}

// Cancellation asks to end a booking for its user.
type Cancellation struct {
	UserID    int64 // 0: an administrator, who may cancel anybody's at any time
	BookingID int64
	Reason    string
	Key       *IdempotencyKey
}

// Bookings are the transactions that move a booking.
type Bookings interface {
	// Open inserts the booking, ending the user's own lapsed one first. Errors:
	// ErrDuplicateReservation and ErrAlreadyPurchased (the result bears the booking that
	// stands in the way), ErrTokenSpent, ErrHoldLimit, ErrProductNotFound, ErrSoldOut,
	// ErrKeyTaken.
	Open(ctx context.Context, o Opening) (Result, error)
	// Register replaces the payment set. Errors: ErrBookingNotFound, ErrInvalidState,
	// ErrPaymentInProgress, ErrMethodCombination, ErrAmountMismatch,
	// ErrInsufficientPoints, ErrKeyTaken.
	Register(ctx context.Context, r Registration) (Result, error)
	// Complete confirms: points, stock and booking. Errors: ErrBookingNotFound,
	// ErrHoldExpired, ErrInvalidState, ErrPaymentIncomplete, ErrPaymentInProgress,
	// ErrHoldShort, ErrInsufficientPoints and ErrSoldOut (rolled back), ErrKeyTaken.
	// With ErrHoldShort the result bears the booking.
	Complete(ctx context.Context, c Completion) (Result, error)
	// Surrender fences a booking to FAILED if it is still PAYMENT_PENDING, and gives the
	// booking as it stands. The error is the cause with its compensation member when
	// this call, or an earlier one, failed the booking.
	Surrender(ctx context.Context, s Surrender) (Result, error)
	// Cancel fences a booking to CANCELLED; from CONFIRMED stock and points go back as
	// well. Errors: ErrBookingNotFound, ErrInvalidState, ErrKeyTaken.
	Cancel(ctx context.Context, c Cancellation) (Result, error)
	// Lapse fences a live booking whose deadline plus grace is past, to FAILED by
	// HOLD_EXPIRED. ErrNothingDue: it is not, any more.
	Lapse(ctx context.Context, bookingID int64, grace time.Duration) (Result, error)
	// Dead gives the booking, for a release that a message asks for. ErrNothingDue: it
	// is missing, or not dead.
	Dead(ctx context.Context, bookingID int64) (Booking, error)
}

// ApprovalRequest asks for the intent to charge.
type ApprovalRequest struct {
	UserID     int64
	BookingID  int64
	PaymentKey string
	Owner      string
	Lease      time.Duration
	SendTime   time.Duration // what one gateway call may take
	Window     time.Duration // what must be left of the hold
	Limit      time.Duration // how long after its creation a hold may be made to last
	Key        *IdempotencyKey
}

// Intent is a committed payment_attempt of kind APPROVE, leased to its owner.
type Intent struct {
	AttemptID int64
	BookingID int64
	Owner     string
	First     bool // nothing was ever sent for this payment
	Charge    Charge
	Hold      Hold
	Deadline  time.Time     // the recorded one, by the database's clock
	HoldLeft  time.Duration // until Deadline, when this was read: not positive when lapsed
	Over      bool          // the gateway's session was over when the claim was made
	Key       *IdempotencyKey
}

// Finding is what an owner found out of an attempt.
type Finding struct {
	Code        FindingCode
	ByLookup    bool // believed from any owner
	DeclineCode string
	Reference   string
	Amount      decimal.Decimal // with FoundMismatched: what was taken
	Cause       error           // what kept the gateway from a clear answer, for the log
}

// FindingCode names the result transactions of approve and resolve.
type FindingCode string

// The findings. Which of them is believed from whom is decided in end_approval.
const (
	FoundApproved   FindingCode = "APPROVED"   // charged
	FoundDeclined   FindingCode = "DECLINED"   // refused for good
	FoundUnknown    FindingCode = "UNKNOWN"    // no clear answer
	FoundMismatched FindingCode = "MISMATCHED" // another amount was taken
	FoundNotSent    FindingCode = "NOT_SENT"   // nothing was sent, or it was turned away at the door
	FoundHoldLost   FindingCode = "HOLD_LOST"  // the unit was gone before anything was sent
	FoundClosed     FindingCode = "CLOSED"     // never charged, and the session is over
)

// Approvals are the transactions around a charge.
type Approvals interface {
	// BeginApproval commits the intent. A nil intent: nothing is to be charged, and the
	// result is the answer. Errors: ErrBookingNotFound, ErrHoldExpired, ErrInvalidState,
	// ErrPaymentIncomplete, ErrPaymentInProgress, ErrInvalidRequest (a payment key is
	// needed), ErrKeyTaken.
	BeginApproval(ctx context.Context, r ApprovalRequest) (*Intent, Result, error)
	// EndApproval records the finding. The error is what a buyer is told:
	// ErrPaymentDeclined, ErrHoldExpired, ErrUnavailable (not sent), ErrInvalidState
	// (the booking has ended meanwhile; money goes back).
	EndApproval(ctx context.Context, in Intent, f Finding) (Result, error)
	// ClaimApproval takes an attempt that is UNKNOWN and due, or whose lease has lapsed,
	// and judges whether its gateway session is over. ErrNothingDue otherwise.
	ClaimApproval(ctx context.Context, bookingID int64, owner string, lease, session time.Duration) (Intent, error)
}

// RefundIntent is a leased payment_attempt of kind CANCEL.
type RefundIntent struct {
	AttemptID int64
	BookingID int64
	Owner     string
	Stuck     bool // it has failed so often that the buyer is shown RefundStuck
	Charge    Charge
}

// Refunds are the transactions around giving gateway money back.
type Refunds interface {
	// ClaimRefund takes one cancel row of the booking that is pending and due, or whose
	// lease has lapsed. ErrNothingDue: there is none (left).
	ClaimRefund(ctx context.Context, bookingID int64, owner string, lease time.Duration) (RefundIntent, error)
	// EndRefund records that the money is back, or that it has to be tried again later.
	EndRefund(ctx context.Context, in RefundIntent, back bool, reference string) error
}

// Outbox is what was promised to the queue.
type Outbox interface {
	// Unsent lists messages that were written before the age and not sent.
	Unsent(ctx context.Context, age time.Duration, limit int) ([]Outgoing, error)
	// MarkSent records that the queue has them.
	MarkSent(ctx context.Context, ids ...int64) error
}

// GateSource is what the gate is warmed and reconciled from.
type GateSource interface {
	// ProductFacts reads the facts. ErrProductNotFound.
	ProductFacts(ctx context.Context, productID int64) (Facts, error)
	// GatePlaces reads the facts first, and then the places of all users.
	// ErrProductNotFound.
	GatePlaces(ctx context.Context, productID int64) (Facts, []Place, error)
	// PlacesOf reads the places of some users.
	PlacesOf(ctx context.Context, productID int64, userIDs []int64) ([]Place, error)
	// OpenPlaces pages through the places of all users, by booking id after the cursor.
	OpenPlaces(ctx context.Context, productID, after int64, limit int) ([]Place, error)
	// OnSale lists the products whose gate may matter, by id after the cursor.
	OnSale(ctx context.Context, after int64, limit int) ([]int64, error)
}

// Backlog is the work that nobody else will finish, oldest first. LapsedBookings,
// DueApprovals and DueRefunds list ids of bookings, at most limit of them.
type Backlog interface {
	LapsedBookings(ctx context.Context, grace time.Duration, limit int) ([]int64, error)
	DueApprovals(ctx context.Context, limit int) ([]int64, error)
	DueRefunds(ctx context.Context, limit int) ([]int64, error)
	// Purge deletes what nobody will ask for again: idempotency keys after 24 hours, sent
	// outbox rows and spent tokens after 7 days; at most limit of each kind. It returns
	// how many rows went in all.
	Purge(ctx context.Context, limit int) (int64, error)
}

// Page asks for a part of a list; Cursor is the last id of the page before, 0 for
// none.
type Page struct {
	Limit  int
	Cursor int64
}

// Product is a stay for sale.
type Product struct {
	ID          int64
	Name        string
	Price       decimal.Decimal
	Status      string
	Total       int64
	Remaining   int64
	SaleStartAt time.Time
	CheckInAt   time.Time
	CheckOutAt  time.Time
	Available   int64 // the gate's; see Query
}

// CheckoutView is what a buyer sees before he reserves.
type CheckoutView struct {
	Product    Product
	Points     decimal.Decimal
	Booking    *Booking // the user's open one
	Reservable bool
	ReadAt     time.Time
}

// Reader reads for buyers; an INACTIVE product is not found.
type Reader interface {
	// Booking reads the user's booking (userID 0: anybody's, for operators) with its
	// timeline. ErrBookingNotFound.
	Booking(ctx context.Context, userID, bookingID int64) (Booking, error)
	// BookingsOf lists the user's bookings, the newest first; status "" means all.
	BookingsOf(ctx context.Context, userID int64, status Status, page Page) ([]Booking, error)
	// Product and Checkout: ErrProductNotFound.
	Product(ctx context.Context, productID int64) (Product, error)
	Products(ctx context.Context, page Page) ([]Product, error)
	// FreeUnits derives what a cold gate would have: total stock less confirmed less
	// live holds, in the order asked.
	FreeUnits(ctx context.Context, productIDs []int64) ([]int64, error)
	Checkout(ctx context.Context, userID, productID int64) (CheckoutView, error)
	Points(ctx context.Context, userID int64) (decimal.Decimal, error)
	Ping(ctx context.Context) error
}

// ProductDraft is a product as an administrator writes it. ID 0 makes a new one.
type ProductDraft struct {
	ID          int64
	Name        string
	Price       decimal.Decimal
	Stock       *int64
	SaleStartAt time.Time
	CheckInAt   time.Time
	CheckOutAt  time.Time
	Status      string
}

// Stock is what is left of a product.
type Stock struct {
	ProductID int64
	Total     int64
	Remaining int64
}

// Breach is an invariant that does not hold, as audit reports it.
type Breach struct {
	Invariant  string
	Detail     string
	BookingIDs []int64
}

// Explanation is everything that the database knows of a booking.
type Explanation struct {
	Booking  Booking
	Attempts []map[string]any // rows of payment_attempt by column, without the owner
	Outbox   []map[string]any // rows of outbox by column
}

// Administration is the operator's side of the database.
type Administration interface {
	// PutProduct inserts or changes a product. ErrProductNotFound.
	PutProduct(ctx context.Context, d ProductDraft) (int64, error)
	// AdjustStock moves total and remaining stock by delta. ErrProductNotFound,
	// ErrInvalidState when less than what is confirmed would remain.
	AdjustStock(ctx context.Context, productID, delta int64, reason string) (Stock, error)
	// GrantPoints moves a balance by a signed amount. ErrInsufficientPoints below 0.
	GrantPoints(ctx context.Context, userID int64, amount decimal.Decimal, reason string) (decimal.Decimal, error)
	// Explain reads a booking with its attempts and messages. ErrBookingNotFound.
	Explain(ctx context.Context, bookingID int64) (Explanation, error)
	// Breaches holds each database invariant against all rows, or one product's. Each
	// breach says what is wrong and what to do; there are at most 100 of each kind.
	Breaches(ctx context.Context, productID int64) ([]Breach, error)
	// Redrive makes every waiting attempt and message of a booking (0: of all) due now,
	// and returns the bookings, sorted.
	Redrive(ctx context.Context, bookingID int64) ([]int64, error)
}
