package api

import (
	"context"
	"errors"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/shopspring/decimal"

	"stayhold/shared/booking"
)

// Operations are what an operator may ask for; booking.Admin is one.
type Operations interface {
	PutProduct(ctx context.Context, d booking.ProductDraft) (int64, error)
	AdjustStock(ctx context.Context, productID, delta int64, reason string) (booking.Stock, error)
	GrantPoints(ctx context.Context, userID int64, amount decimal.Decimal, reason string) (decimal.Decimal, error)
	CancelBooking(ctx context.Context, bookingID int64, reason string) (booking.Result, error)
	Explain(ctx context.Context, bookingID int64) (booking.BookingStory, error)
	Audit(ctx context.Context, productID int64) ([]booking.Breach, error)
	Reconcile(ctx context.Context, productID int64) ([]booking.Reconciliation, error)
	Redrive(ctx context.Context, bookingID int64) ([]int64, error)
}

// Bounds of what an operator writes: lengths in characters, counts in units.
const (
	maxName   = 200
	maxReason = 200
	maxUnits  = 1_000_000_000
)

// action decodes the members of one admin action, and says how it is run.
type action func(f *faults, v *value) func(ctx context.Context, ops Operations, c *call) (any, error)

// actions are the admin actions by name.
var actions = map[string]action{
	"put-product":  putProduct,
	"adjust-stock": adjustStock,
	"grant-points": grantPoints,
	"cancel":       cancelBooking,
	"explain":      explain,
	"audit":        audit,
	"reconcile":    reconcile,
	"redrive":      redrive,
}

// Admin handles direct invokes of {"action":…}. Payloads are strict, like bodies; a
// refusal is a function error.
func (e *Edge) Admin(ops Operations) lambda.Handler {
	return handler(func(ctx context.Context, payload []byte) ([]byte, error) {
		return e.direct(ctx, "admin", func(ctx context.Context, c *call) (any, error) {
			run, err := decodeAction(c, payload)
			if err != nil {
				return nil, err
			}
			return run(ctx, ops, c)
		})
	})
}

// unless leaves to the log what an action was done in spite of.
func (c *call) unless(inSpite, err error) error {
	if errors.Is(err, inSpite) {
		c.deferred, err = err, nil
	}
	return err
}

func decodeAction(c *call, payload []byte) (func(context.Context, Operations, *call) (any, error), error) {
	if len(payload) > maxBody {
		return nil, booking.ErrPayloadTooLarge
	}
	v, err := parse(payload)
	if err != nil {
		return nil, err
	}
	f := &faults{}
	if v.kind != isObject {
		f.add(booking.ErrInvalidRequest, v.pointer(), wrongType)
		return nil, f.err()
	}
	name := fields{faults: f, object: v}.member("action", isString)
	if name == nil {
		return nil, f.err()
	}
	decode, known := actions[name.text]
	if !known {
		return nil, violated(booking.ErrInvalidRequest, name.pointer(), wrongValue)
	}
	c.route = name.text
	run := decode(f, v)
	return run, f.err()
}

func putProduct(f *faults, v *value) func(context.Context, Operations, *call) (any, error) {
	draft := booking.ProductDraft{}
	if product := f.open(v, "action", "product").member("product", isObject); product != nil {
		draft = f.draft(product)
	}
	return func(ctx context.Context, ops Operations, c *call) (any, error) {
		id, err := ops.PutProduct(ctx, draft)
		return map[string]int64{"productId": id}, c.unless(booking.ErrGateBehind, err)
	}
}

// draft reads a product. Stock belongs to a new one; later it moves by adjust-stock.
func (f *faults) draft(v *value) booking.ProductDraft {
	p := f.open(v, "productId", "name", "price", "stock", "saleStartAt", "checkInAt", "checkOutAt", "status")
	draft := booking.ProductDraft{
		ID: p.optionalID("productId"), Name: p.text("name", maxName), Price: p.amount("price", false),
		SaleStartAt: p.instant("saleStartAt"), CheckInAt: p.instant("checkInAt"), CheckOutAt: p.instant("checkOutAt"),
	}
	switch isNew := p.optional("productId") == nil; {
	case isNew:
		stock := p.integer("stock", 0, maxUnits)
		draft.Stock = &stock
	case p.optional("stock") != nil:
		p.refuse("stock", notAllowed)
	}
	if status := p.member("status", isString); status != nil {
		if status.text != "ACTIVE" && status.text != "INACTIVE" {
			p.refuse("status", wrongValue)
		}
		draft.Status = status.text
	}
	p.inOrder(draft)
	return draft
}

// inOrder holds the dates against each other, where they could be read.
func (f fields) inOrder(d booking.ProductDraft) {
	if !d.SaleStartAt.IsZero() && !d.CheckInAt.IsZero() && d.SaleStartAt.After(d.CheckInAt) {
		f.refuse("saleStartAt", outOfRange)
	}
	if !d.CheckInAt.IsZero() && !d.CheckOutAt.IsZero() && !d.CheckOutAt.After(d.CheckInAt) {
		f.refuse("checkOutAt", outOfRange)
	}
}

func adjustStock(f *faults, v *value) func(context.Context, Operations, *call) (any, error) {
	m := f.open(v, "action", "productId", "delta", "reason")
	productID, delta, reason := m.id("productId"), m.integer("delta", -maxUnits, maxUnits), m.text("reason", maxReason)
	if given := m.optional("delta"); given != nil && given.kind == isNumber && delta == 0 {
		m.refuse("delta", outOfRange)
	}
	return func(ctx context.Context, ops Operations, c *call) (any, error) {
		stock, err := ops.AdjustStock(ctx, productID, delta, reason)
		return struct {
			ProductID int64 `json:"productId"`
			Total     int64 `json:"totalStock"`
			Remaining int64 `json:"remainingStock"`
		}{productID, stock.Total, stock.Remaining}, c.unless(booking.ErrGateBehind, err)
	}
}

func grantPoints(f *faults, v *value) func(context.Context, Operations, *call) (any, error) {
	m := f.open(v, "action", "userId", "amount", "reason")
	userID, amount, reason := m.id("userId"), m.amount("amount", true), m.text("reason", maxReason)
	return func(ctx context.Context, ops Operations, c *call) (any, error) {
		c.userID = userID
		balance, err := ops.GrantPoints(ctx, userID, amount, reason)
		return struct {
			UserID  int64  `json:"userId"`
			Balance string `json:"balance"`
		}{userID, money(balance)}, err
	}
}

func cancelBooking(f *faults, v *value) func(context.Context, Operations, *call) (any, error) {
	m := f.open(v, "action", "bookingId", "reason")
	bookingID, reason := m.id("bookingId"), m.text("reason", maxReason)
	return func(ctx context.Context, ops Operations, c *call) (any, error) {
		c.bookingID = bookingID
		result, err := ops.CancelBooking(ctx, bookingID, reason)
		c.deferred = result.Deferred
		return renderBooking(result.Booking), err
	}
}

func explain(f *faults, v *value) func(context.Context, Operations, *call) (any, error) {
	bookingID := f.open(v, "action", "bookingId").id("bookingId")
	return func(ctx context.Context, ops Operations, c *call) (any, error) {
		c.bookingID = bookingID
		story, err := ops.Explain(ctx, bookingID)
		if err != nil {
			return nil, err
		}
		return c.renderExplanation(story), nil
	}
}

func audit(f *faults, v *value) func(context.Context, Operations, *call) (any, error) {
	productID := f.open(v, "action", "productId").optionalID("productId")
	return func(ctx context.Context, ops Operations, c *call) (any, error) {
		breaches, err := ops.Audit(ctx, productID)
		err = c.unless(booking.ErrNoLedger, err) // without it the rest of the audit stands
		list := make([]breachJSON, len(breaches))
		for i, b := range breaches {
			list[i] = breachJSON{b.Invariant, b.Detail, append([]int64{}, b.BookingIDs...)}
		}
		if err == nil && productID == 0 {
			c.gauges = []gauge{{metric{"AuditViolations", "Count"}, int64(len(list))}}
		}
		return map[string]any{"violations": list}, err
	}
}

func reconcile(f *faults, v *value) func(context.Context, Operations, *call) (any, error) {
	productID := f.open(v, "action", "productId").optionalID("productId")
	return func(ctx context.Context, ops Operations, _ *call) (any, error) {
		list, err := ops.Reconcile(ctx, productID)
		return map[string]any{"products": append([]booking.Reconciliation{}, list...)}, err
	}
}

func redrive(f *faults, v *value) func(context.Context, Operations, *call) (any, error) {
	bookingID := f.open(v, "action", "bookingId").optionalID("bookingId")
	return func(ctx context.Context, ops Operations, c *call) (any, error) {
		c.bookingID = bookingID
		ids, err := ops.Redrive(ctx, bookingID)
		return map[string]any{"bookingIds": append([]int64{}, ids...)}, err
	}
}
