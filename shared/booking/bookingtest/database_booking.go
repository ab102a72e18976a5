package bookingtest

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/shopspring/decimal"

	"stayhold/shared/booking"
)

// Open inserts a booking under a hold.
func (d *Database) Open(_ context.Context, o booking.Opening) (booking.Result, error) {
	defer d.begin()()
	if d.taken(o.Key) {
		return booking.Result{}, booking.ErrKeyTaken
	}
	p := d.onOffer(o.Hold.ProductID)
	if p == nil {
		return booking.Result{}, booking.ErrProductNotFound
	}
	b := d.openOf(o.Hold.UserID, p.ID)
	if b != nil {
		if err := d.standing(b, o.Hold.Token); err != nil {
			if b.HoldToken != o.Hold.Token {
				d.spend(o.Hold.Token)
			}
			return d.refuse(b, err)
		}
	}
	switch {
	case d.used(o.Hold.Token):
		return booking.Result{}, booking.ErrTokenSpent
	case p.RemainingStock == 0:
		d.spend(o.Hold.Token)
		return booking.Result{}, booking.ErrSoldOut
	case d.holds(o.Hold.UserID) >= o.MaxOpenHolds:
		d.spend(o.Hold.Token)
		return booking.Result{}, booking.ErrHoldLimit
	case o.Hold.UserID <= 0:
		return booking.Result{}, booking.ErrInternal
	}
	if b != nil {
		d.fence(b, booking.Failed, booking.ErrHoldExpired.Code, "the hold lapsed; its user reserved again")
	}
	b = &BookingRow{
		ID: next(&d.ids.booking), UserID: o.Hold.UserID, ProductID: p.ID, TotalAmount: p.Price, Status: booking.Init,
		HoldToken: o.Hold.Token, HoldExpiresAt: stored(o.Deadline), CheckInAt: p.CheckInAt,
		CreatedAt: d.moment, UpdatedAt: d.moment,
	}
	d.bookings = append(d.bookings, b)
	d.note(b.ID, "HELD", until(b.HoldExpiresAt))
	return d.remember(o.Key, booking.Result{Booking: d.view(b), Created: true}, nil)
}

// standing says why the user's open booking stands in the way of a new one: nil when
// its hold has lapsed, and no money moved or may have.
func (d *Database) standing(b *BookingRow, token string) error {
	if b.Status == booking.Confirmed {
		return booking.ErrAlreadyPurchased
	}
	charged := func(a *AttemptRow) bool {
		return a.BookingID == b.ID && a.Kind == ApproveAttempt && (a.State.open() || d.payment(a.PaymentID).Status == booking.PaymentSuccess)
	}
	if b.HoldToken == token || b.HoldExpiresAt.After(d.moment) || find(d.attempts, charged) != nil {
		return booking.ErrDuplicateReservation
	}
	return nil
}

// spend marks a token whose hold the caller is going to release.
func (d *Database) spend(token string) {
	if find(d.spent, func(s *SpentTokenRow) bool { return s.Token == token }) == nil {
		d.spent = append(d.spent, &SpentTokenRow{Token: token, CreatedAt: d.moment})
	}
}

func (d *Database) used(token string) bool {
	return find(d.bookings, func(b *BookingRow) bool { return b.HoldToken == token }) != nil ||
		find(d.spent, func(s *SpentTokenRow) bool { return s.Token == token }) != nil
}

// holds counts a user's live holds over all products.
func (d *Database) holds(userID int64) int {
	n := 0
	for _, b := range d.bookings {
		if b.UserID == userID && b.Status.Live() && b.HoldExpiresAt.After(d.moment) {
			n++
		}
	}
	return n
}

// Register replaces a booking's payment set.
func (d *Database) Register(_ context.Context, r booking.Registration) (booking.Result, error) {
	defer d.begin()()
	b := d.rowOf(r.UserID, r.BookingID)
	if b == nil {
		return booking.Result{}, booking.ErrBookingNotFound
	}
	if d.taken(r.Key) {
		return booking.Result{}, booking.ErrKeyTaken
	}
	charge := d.charge(b)
	if !b.Status.Live() || charge != nil && charge.Status == booking.PaymentSuccess {
		return d.refuse(b, wrongState(b))
	}
	if a := d.attempt(charge, ApproveAttempt); a != nil && a.State.open() {
		return d.refuse(b, booking.ErrPaymentInProgress)
	}
	set, err := kept(r.Set)
	if err != nil {
		return booking.Result{}, err
	}
	if d.registered(b, set) {
		return d.remember(r.Key, d.answer(b), nil)
	}
	points, refusal := d.judge(b, r.Set)
	if refusal != nil {
		return d.remember(r.Key, d.answer(b), refusal)
	}
	if !insertable(set) {
		return booking.Result{}, booking.ErrInternal
	}
	d.replace(b, set)
	becomes := booking.Init
	if points.Equal(b.TotalAmount) {
		becomes = booking.PaymentPending
	}
	if becomes != b.Status {
		d.note(b.ID, string(becomes), "")
	}
	b.Status, b.UpdatedAt = becomes, d.moment
	return d.remember(r.Key, booking.Result{Booking: d.view(b), Created: true}, nil)
}

// kept is a payment set as its columns keep it.
func kept(set booking.Set) (booking.Set, error) {
	list := slices.Clone(set)
	for i := range list {
		var err error
		if list[i].Amount, err = money(list[i].Amount); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// registered says that the booking's unpaid payments are this very set.
func (d *Database) registered(b *BookingRow, set booking.Set) bool {
	var ready booking.Set
	for _, p := range d.payments {
		if p.BookingID == b.ID && p.Status == booking.PaymentReady {
			ready = append(ready, booking.Part{Method: p.PaymentMethod, Amount: p.Amount})
		}
	}
	byMethod := func(a, b booking.Part) int { return strings.Compare(string(a.Method), string(b.Method)) }
	slices.SortFunc(ready, byMethod)
	return len(ready) > 0 && slices.EqualFunc(ready, slices.SortedFunc(slices.Values(set), byMethod),
		func(a, b booking.Part) bool { return a.Method == b.Method && a.Amount.Equal(b.Amount) })
}

// judge says why the set cannot be registered, and how much of it is points.
func (d *Database) judge(b *BookingRow, set booking.Set) (points decimal.Decimal, refusal error) {
	charges := 0
	for _, part := range set {
		if part.Method == booking.Point {
			points = points.Add(part.Amount)
		} else {
			charges++
		}
	}
	if charges > 1 {
		return points, booking.ErrMethodCombination
	}
	if len(set) > 0 && !set.Sum().Equal(b.TotalAmount) {
		return points, booking.ErrAmountMismatch
	}
	if points.IsPositive() {
		if u := d.balance(b.UserID); u == nil || u.Balance.LessThan(points) {
			return points, booking.ErrInsufficientPoints
		}
	}
	return points, nil
}

// insertable holds a set against the constraints of payment.
func insertable(set booking.Set) bool {
	for _, part := range set {
		if !slices.Contains(booking.Methods, part.Method) || !part.Amount.IsPositive() {
			return false
		}
	}
	return set.CheckMethods() == nil
}

func (d *Database) replace(b *BookingRow, set booking.Set) {
	for _, p := range d.payments {
		if p.BookingID == b.ID && p.Status == booking.PaymentReady {
			d.turn(p, booking.PaymentCancelled)
		}
	}
	for _, part := range set {
		p := &PaymentRow{
			ID: next(&d.ids.payment), BookingID: b.ID, PaymentMethod: part.Method, Amount: part.Amount,
			Status: booking.PaymentReady, CreatedAt: d.moment, UpdatedAt: d.moment,
		}
		if part.Method != booking.Point {
			p.OrderID = fmt.Sprintf("sh-%032x", p.ID)
		}
		d.payments = append(d.payments, p)
		d.note(b.ID, "REGISTERED", string(part.Method)+" "+text(part.Amount))
	}
}

// Complete confirms a paid booking.
func (d *Database) Complete(_ context.Context, c booking.Completion) (booking.Result, error) {
	defer d.begin()()
	b := d.rowOf(c.UserID, c.BookingID)
	if b == nil {
		return booking.Result{}, booking.ErrBookingNotFound
	}
	if d.taken(c.Key) {
		return booking.Result{}, booking.ErrKeyTaken
	}
	if b.Status == booking.Confirmed {
		return d.remember(c.Key, d.answer(b), nil)
	}
	if !b.Status.Live() {
		return d.rememberLapse(c.Key, b)
	}
	charge := d.charge(b)
	if a := d.attempt(charge, ApproveAttempt); a != nil && a.State.open() {
		return d.refuse(b, booking.ErrPaymentInProgress)
	}
	if b.Status != booking.PaymentPending || charge != nil && charge.Status == booking.PaymentReady ||
		d.attempt(charge, CancelAttempt) != nil {
		return d.refuse(b, booking.ErrPaymentIncomplete)
	}
	if c.Held.IsZero() && b.HoldExpiresAt.Before(d.after(d.moment, c.MinLeft)) {
		return d.refuse(b, booking.ErrHoldShort)
	}
	return d.confirm(b, c)
}

// confirm looks for points, payments and stock, in the order in which the database
// would miss them, and takes them.
func (d *Database) confirm(b *BookingRow, c booking.Completion) (booking.Result, error) {
	points := d.points(b, booking.PaymentReady)
	account := d.balance(b.UserID)
	if points != nil && (account == nil || account.Balance.LessThan(points.Amount)) {
		return booking.Result{}, booking.ErrInsufficientPoints
	}
	sum := decimal.Zero
	for _, p := range d.payments {
		if p.BookingID == b.ID && (p.Status == booking.PaymentSuccess || p == points) {
			sum = sum.Add(p.Amount)
		}
	}
	if !sum.Equal(b.TotalAmount) {
		return booking.Result{}, booking.ErrInternal.Because(fmt.Errorf("booking %d: the paid amounts are not its total", b.ID))
	}
	product := d.product(b.ProductID)
	if product.RemainingStock == 0 {
		return booking.Result{}, booking.ErrSoldOut
	}
	if points != nil {
		account.Balance, account.UpdatedAt = account.Balance.Sub(points.Amount), d.moment
		d.enter("DEBIT", points, points.Amount.Neg(), b, "booking "+strconv.FormatInt(b.ID, 10))
		d.turn(points, booking.PaymentSuccess)
		d.note(b.ID, "POINTS_DEBITED", text(points.Amount))
	}
	b.Status, b.UpdatedAt = booking.Confirmed, d.moment
	if !c.Held.IsZero() {
		b.HoldExpiresAt = stored(c.Held)
	}
	d.note(b.ID, "CONFIRMED", "")
	d.setStock(product, product.RemainingStock-1)
	return d.remember(c.Key, d.answer(b), nil)
}

// enter writes a payment's line of the point ledger.
func (d *Database) enter(kind string, p *PaymentRow, delta decimal.Decimal, b *BookingRow, reason string) {
	d.ledger = append(d.ledger, &LedgerRow{
		ID: next(&d.ids.entry), UserID: b.UserID, Delta: delta, Kind: kind, PaymentID: p.ID, Reason: reason, CreatedAt: d.moment,
	})
}
