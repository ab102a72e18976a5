package bookingtest

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/shopspring/decimal"

	"stayhold/shared/booking"
)

// Database is a booking.Store in memory. Each method does what its routine in
// shared/postgres/migrations/routines does, under one lock: it checks everything and
// then writes.
type Database struct {
	mu     sync.Mutex
	now    func() time.Time
	moment time.Time // of the call under way

	products    []*ProductRow
	bookings    []*BookingRow
	payments    []*PaymentRow
	attempts    []*AttemptRow
	outbox      []*OutboxRow
	balances    []*BalanceRow
	ledger      []*LedgerRow
	adjustments []*AdjustmentRow
	keys        []*KeyRow
	spent       []*SpentTokenRow
	events      []*EventRow

	// The last identity that each table gave; none is given twice.
	ids struct{ product, booking, payment, attempt, message, entry, adjustment, event int64 }
}

var _ booking.Store = (*Database)(nil)

// NewDatabase makes an empty database whose clock is now.
func NewDatabase(now func() time.Time) *Database { return &Database{now: now} }

// begin starts a call; what it returns ends the call.
func (d *Database) begin() (end func()) {
	d.mu.Lock()
	d.moment = stored(d.now())
	return d.mu.Unlock
}

// Rows copies all rows.
func (d *Database) Rows() Rows {
	defer d.begin()()
	rows := Rows{
		Products: copied(d.products), Bookings: copied(d.bookings), Payments: copied(d.payments),
		Attempts: copied(d.attempts), Outbox: copied(d.outbox), Balances: copied(d.balances),
		Ledger: copied(d.ledger), Adjustments: copied(d.adjustments), Keys: copied(d.keys),
		SpentTokens: copied(d.spent), Events: copied(d.events),
	}
	slices.SortFunc(rows.Balances, func(a, b BalanceRow) int { return cmp.Compare(a.UserID, b.UserID) })
	slices.SortFunc(rows.Keys, func(a, b KeyRow) int {
		return cmp.Or(cmp.Compare(a.UserID, b.UserID), cmp.Compare(a.Scope, b.Scope), cmp.Compare(a.Key, b.Key))
	})
	return rows
}

func copied[T any](rows []*T) []T {
	list := make([]T, len(rows))
	for i, r := range rows {
		list[i] = *r
	}
	return list
}

// next gives the next identity of a table.
func next(last *int64) int64 {
	*last++
	return *last
}

// find gives the first row that fits, or nil.
func find[T any](rows []*T, fits func(*T) bool) *T {
	for _, r := range rows {
		if fits(r) {
			return r
		}
	}
	return nil
}

func (d *Database) product(id int64) *ProductRow {
	return find(d.products, func(p *ProductRow) bool { return p.ID == id })
}

func (d *Database) row(bookingID int64) *BookingRow {
	return find(d.bookings, func(b *BookingRow) bool { return b.ID == bookingID })
}

// rowOf gives a booking that belongs to the user.
func (d *Database) rowOf(userID, bookingID int64) *BookingRow {
	if b := d.row(bookingID); b != nil && b.UserID == userID {
		return b
	}
	return nil
}

func (d *Database) balance(userID int64) *BalanceRow {
	return find(d.balances, func(u *BalanceRow) bool { return u.UserID == userID })
}

// attempt gives the attempt of a kind that a payment has; no payment has none.
func (d *Database) attempt(p *PaymentRow, kind AttemptKind) *AttemptRow {
	if p == nil {
		return nil
	}
	return find(d.attempts, func(a *AttemptRow) bool { return a.PaymentID == p.ID && a.Kind == kind })
}

// charge gives the gateway payment of the booking's live set, or nil.
func (d *Database) charge(b *BookingRow) *PaymentRow {
	return find(d.payments, func(p *PaymentRow) bool {
		return p.BookingID == b.ID && p.PaymentMethod != booking.Point && live(p)
	})
}

// points gives the booking's payment by points that has a status, or nil.
func (d *Database) points(b *BookingRow, status booking.PaymentStatus) *PaymentRow {
	return find(d.payments, func(p *PaymentRow) bool {
		return p.BookingID == b.ID && p.PaymentMethod == booking.Point && p.Status == status
	})
}

func live(p *PaymentRow) bool {
	return p.Status == booking.PaymentReady || p.Status == booking.PaymentSuccess
}

func open(s booking.Status) bool { return s.Live() || s == booking.Confirmed }

// turn writes a payment's status.
func (d *Database) turn(p *PaymentRow, to booking.PaymentStatus) {
	p.Status, p.UpdatedAt = to, d.moment
}

func (d *Database) note(bookingID int64, event, detail string) {
	d.events = append(d.events, &EventRow{
		ID: next(&d.ids.event), BookingID: bookingID, At: d.moment, Event: event, Detail: cut(detail),
	})
}

// promise writes an outbox row and gives it as the step's to send.
func (d *Database) promise(bookingID int64, task booking.Task) []booking.Outgoing {
	m := &OutboxRow{ID: next(&d.ids.message), BookingID: bookingID, Task: task, CreatedAt: d.moment}
	d.outbox = append(d.outbox, m)
	return []booking.Outgoing{m.domain()}
}

func (m *OutboxRow) domain() booking.Outgoing {
	return booking.Outgoing{ID: m.ID, Message: booking.Message{Task: m.Task, BookingID: m.BookingID}}
}

// setStock writes a product's stock; its status follows.
func (d *Database) setStock(p *ProductRow, remaining int64) {
	p.RemainingStock, p.UpdatedAt = remaining, d.moment
	follow(p)
}

func follow(p *ProductRow) {
	switch {
	case p.Status == inactive:
	case p.RemainingStock == 0:
		p.Status = soldOut
	default:
		p.Status = active
	}
}

// The states of a product.
const (
	active   = "ACTIVE"
	soldOut  = "SOLD_OUT"
	inactive = "INACTIVE"
)

// stored is a time as its column keeps it.
func stored(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// after gives the moment so much later; durations reach the database in milliseconds.
func (d *Database) after(t time.Time, span time.Duration) time.Time {
	return t.Add(span.Truncate(time.Millisecond))
}

// until is a time in a line of the timeline.
func until(t time.Time) string { return "until " + t.Format("2006-01-02T15:04:05.000Z") }

// moneyLimit is the first amount that numeric(15,2) cannot keep.
var moneyLimit = decimal.New(1, 13)

// money is an amount as its column keeps it. It is refused where it does not fit.
func money(amount decimal.Decimal) (decimal.Decimal, error) {
	amount = amount.Round(2)
	if amount.Abs().GreaterThanOrEqual(moneyLimit) {
		return amount, booking.ErrInvalidRequest
	}
	return amount, nil
}

func text(amount decimal.Decimal) string { return amount.StringFixed(2) }

// lineLimit is the length of a line for a person, in characters.
const lineLimit = 500

func cut(line string) string {
	if len(line) <= lineLimit {
		return line
	}
	runes := []rune(line)
	return string(runes[:min(lineLimit, len(runes))])
}

// joined puts a separator between the parts that are not empty.
func joined(separator string, parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(p string) bool { return p == "" }), separator)
}

// reference is the gateway's own reference in a line of the timeline.
func reference(ref string) string {
	if ref == "" {
		return ""
	}
	return "reference " + ref
}
