package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/shopspring/decimal"

	"stayhold/shared/booking"
	"stayhold/shared/postgres"
)

// walker goes along one path once: a user whom nobody else is, on tables of that size.
type walker struct {
	store    *postgres.Store
	n, size  int64
	deadline time.Duration // of the hold, from now on
	booking  booking.Booking
	intent   *booking.Intent
	sending  []booking.Outgoing
}

// leap is what a path does to the database: what a request, a message or a part of a sweep does.
type leap func(ctx context.Context, v *walker) error

// path is a leap with those that have to come before. One that grows reads all that is held
// or sold of a product, or all that waits, and is held against nothing but its plan.
type path struct {
	name   string
	before []leap
	leap   leap
	grows  bool
}

// paths are what requests, messages and sweeps do. Requests bear a key each.
var paths = []path{
	{name: "reserve", leap: reserves},
	{name: "again", before: []leap{late, reserves, earns, registers, inTime}, leap: reserves},
	{name: "register", before: []leap{reserves, earns}, leap: registers},
	{name: "replace", before: []leap{reserves, earns, registersCard}, leap: registers},
	{name: "approve", before: []leap{reserves, earns, registers}, leap: both(intends, finds(booking.FoundApproved))},
	{name: "complete", before: approved, leap: completes},
	{name: "cancel", before: append(approved, completes), leap: cancels},
	{name: "surrender", before: approved, leap: surrenders},
	{name: "compensate", before: append(approved, completes, cancels), leap: refunds},
	{name: "resolve", before: []leap{reserves, earns, registers, intends, finds(booking.FoundUnknown)}, leap: resolves},
	{name: "lapse", before: []leap{late, reserves, earns, registers}, leap: lapses},
	{name: "send", before: append(approved, completes, cancels), leap: sends},
	{name: "repeat", before: []leap{reserves}, leap: repeats},
	{name: "booking", leap: asksForOne},
	{name: "bookings", leap: asksForAll},
	{name: "checkout", leap: looks},
	{name: "products", leap: browses},
	{name: "gate", leap: reconciles},
	{name: "sweep", leap: sweeps},
	{name: "free", leap: counts, grows: true},
	{name: "warm", leap: warms, grows: true},
	{name: "watch", leap: watches, grows: true},
}

var approved = []leap{reserves, earns, registers, intends, finds(booking.FoundApproved)}

func (v *walker) user() int64    { return 10*v.size + v.n }
func (v *walker) product() int64 { return 1 + v.n%growthProducts }

// somebody is one of those whose bookings fill the tables: user n has booking n.
func (v *walker) somebody() int64 { return 1 + v.n*7919%v.size }

func (v *walker) key(step string) *booking.IdempotencyKey {
	return &booking.IdempotencyKey{
		UserID: v.user(), Scope: "POST /bookings/" + step, Key: strconv.FormatInt(v.n, 10), Fingerprint: step, RequestID: strconv.FormatInt(v.n, 36),
	}
}

// became takes over what a step left.
func (v *walker) became(r booking.Result, err error) error {
	if err == nil {
		v.booking, v.sending = r.Booking, r.Sending
	}
	return err
}

// walk takes the path once, and says how long its leap was.
func (p path) walk(ctx context.Context, v *walker) (took time.Duration, err error) {
	for _, one := range p.before {
		if err := one(ctx, v); err != nil {
			return 0, fmt.Errorf("before %s: %w", p.name, err)
		}
	}
	began := time.Now()
	if err := p.leap(ctx, v); err != nil {
		return 0, fmt.Errorf("%s: %w", p.name, err)
	}
	return time.Since(began), nil
}

func both(first, second leap) leap {
	return func(ctx context.Context, v *walker) error {
		if err := first(ctx, v); err != nil {
			return err
		}
		return second(ctx, v)
	}
}

func late(_ context.Context, v *walker) error {
	v.deadline = -2 * time.Minute
	return nil
}

func inTime(_ context.Context, v *walker) error {
	v.deadline = time.Hour
	return nil
}

func reserves(ctx context.Context, v *walker) error {
	return v.became(v.store.Open(ctx, booking.Opening{
		Hold:     booking.Hold{UserID: v.user(), ProductID: v.product(), Token: fmt.Sprintf("growth-%d-%v", v.user(), v.deadline)},
		Deadline: time.Now().Add(v.deadline), MaxOpenHolds: maxOpenHolds, Key: v.key(fmt.Sprintf("reserve %v", v.deadline)),
	}))
}

func earns(ctx context.Context, v *walker) error {
	_, err := v.store.GrantPoints(ctx, v.user(), decimal.New(1000, 0), "growth")
	return err
}

func registers(ctx context.Context, v *walker) error {
	return v.register(ctx, "register", booking.Set{{Method: booking.Point, Amount: decimal.New(1000, 0)}, {Method: booking.Card, Amount: decimal.New(99000, 0)}})
}

func registersCard(ctx context.Context, v *walker) error {
	return v.register(ctx, "register card", booking.Set{{Method: booking.Card, Amount: decimal.New(100000, 0)}})
}

func (v *walker) register(ctx context.Context, key string, set booking.Set) error {
	return v.became(v.store.Register(ctx, booking.Registration{UserID: v.user(), BookingID: v.booking.ID, Set: set, Key: v.key(key)}))
}

func intends(ctx context.Context, v *walker) error {
	in, _, err := v.store.BeginApproval(ctx, booking.ApprovalRequest{
		UserID: v.user(), BookingID: v.booking.ID, PaymentKey: "ok-growth", Owner: strconv.FormatInt(v.n, 10),
		Lease: time.Minute, SendTime: time.Second, Window: time.Second, Limit: window, Key: v.key("pg-approve"),
	})
	if err == nil && in == nil {
		err = errors.New("nothing is to be charged")
	}
	v.intent = in
	return err
}

func finds(code booking.FindingCode) leap {
	return func(ctx context.Context, v *walker) error {
		return v.became(v.store.EndApproval(ctx, *v.intent, booking.Finding{Code: code, Reference: "growth"}))
	}
}

func completes(ctx context.Context, v *walker) error {
	return v.became(v.store.Complete(ctx, booking.Completion{UserID: v.user(), BookingID: v.booking.ID, MinLeft: minLeft, Key: v.key("complete")}))
}

func cancels(ctx context.Context, v *walker) error {
	return v.became(v.store.Cancel(ctx, booking.Cancellation{UserID: v.user(), BookingID: v.booking.ID, Key: v.key("cancel")}))
}

func surrenders(ctx context.Context, v *walker) error {
	err := v.became(v.store.Surrender(ctx, booking.Surrender{BookingID: v.booking.ID, Cause: booking.ErrSoldOut, Key: v.key("complete")}))
	if errors.Is(err, booking.ErrSoldOut) {
		return nil
	}
	return fmt.Errorf("surrendered: %w", err)
}

func refunds(ctx context.Context, v *walker) error {
	if _, err := v.store.Dead(ctx, v.booking.ID); err != nil {
		return err
	}
	if _, err := v.store.ClaimApproval(ctx, v.booking.ID, "growth", time.Minute, time.Minute); !errors.Is(err, booking.ErrNothingDue) {
		return fmt.Errorf("a charge that was found: %w", err)
	}
	in, err := v.store.ClaimRefund(ctx, v.booking.ID, "growth", time.Minute)
	if err != nil {
		return err
	}
	return v.store.EndRefund(ctx, in, true, "growth")
}

func resolves(ctx context.Context, v *walker) error {
	in, err := v.store.ClaimApproval(ctx, v.booking.ID, "growth", time.Minute, time.Minute)
	if err != nil {
		return err
	}
	return v.became(v.store.EndApproval(ctx, in, booking.Finding{Code: booking.FoundApproved, ByLookup: true, Reference: "growth"}))
}

func lapses(ctx context.Context, v *walker) error {
	return v.became(v.store.Lapse(ctx, v.booking.ID, time.Minute))
}

// sends is what a sweep does with a message that its step could not hand over.
func sends(ctx context.Context, v *walker) error {
	if _, err := v.store.Unsent(ctx, 0, sweepBatch); err != nil {
		return err
	}
	if len(v.sending) == 0 {
		return errors.New("nothing is to be sent")
	}
	return v.store.MarkSent(ctx, v.sending[0].ID)
}

func repeats(ctx context.Context, v *walker) error {
	recalled, err := v.store.Recall(ctx, *v.key(fmt.Sprintf("reserve %v", v.deadline)))
	if err == nil && recalled == nil {
		err = errors.New("the key is not known")
	}
	return err
}

func asksForOne(ctx context.Context, v *walker) error {
	_, err := v.store.Booking(ctx, v.somebody(), v.somebody())
	return err
}

func asksForAll(ctx context.Context, v *walker) error {
	_, err := v.store.BookingsOf(ctx, v.somebody(), "", booking.Page{Limit: 20})
	return err
}

func looks(ctx context.Context, v *walker) error {
	_, err := v.store.Checkout(ctx, v.somebody(), v.product())
	return err
}

// browses asks for products as buyers see them, and for points.
func browses(ctx context.Context, v *walker) error {
	if _, err := v.store.Products(ctx, booking.Page{Limit: 20}); err != nil {
		return err
	}
	if _, err := v.store.Product(ctx, v.product()); err != nil {
		return err
	}
	_, err := v.store.Points(ctx, v.somebody())
	return err
}

// counts what a page of products with cold gates has left.
func counts(ctx context.Context, v *walker) error {
	ids := make([]int64, 20)
	for i := range ids {
		ids[i] = 1 + int64(i)
	}
	_, err := v.store.FreeUnits(ctx, ids)
	return err
}

// warms reads what a gate that has lost everything is filled from.
func warms(ctx context.Context, v *walker) error {
	_, _, err := v.store.GatePlaces(ctx, v.product())
	return err
}

// fewRows are in the smallest tables too.
const fewRows = 5

// reconciles reads what a gate is held against: a page of the open bookings, and those of some users.
func reconciles(ctx context.Context, v *walker) error {
	if _, err := v.store.OpenPlaces(ctx, v.product(), 0, fewRows); err != nil {
		return err
	}
	_, err := v.store.PlacesOf(ctx, v.product(), []int64{v.somebody(), v.somebody() + growthProducts})
	return err
}

// sweeps is every look of a sweep that finds little.
func sweeps(ctx context.Context, v *walker) error {
	if _, err := v.store.LapsedBookings(ctx, time.Minute, sweepBatch); err != nil {
		return err
	}
	if _, err := v.store.DueApprovals(ctx, sweepBatch); err != nil {
		return err
	}
	if _, err := v.store.DueRefunds(ctx, sweepBatch); err != nil {
		return err
	}
	if _, err := v.store.Unsent(ctx, time.Minute, sweepBatch); err != nil {
		return err
	}
	if _, err := v.store.OnSale(ctx, 0, sweepBatch); err != nil {
		return err
	}
	_, err := v.store.Purge(ctx, fewRows)
	return err
}

// watches tells how old all is that waits.
func watches(ctx context.Context, v *walker) error {
	_, err := v.store.Outstanding(ctx)
	return err
}
