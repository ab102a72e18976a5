package booking_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"stayhold/shared/booking"
)

// cutter makes the process of one invocation die at one of its port calls: before the
// call, or after it with the reply lost. From there on every call of that invocation
// does nothing; a panic would still run what a dead process does not.
type cutter struct {
	at    int  // which call, from 1; 0: none
	after bool // the call happens, its reply is lost
	calls []string
	dead  bool
}

var errDead = errors.New("the process is dead")

func cut[T any](c *cutter, name string, call func() (T, error)) (T, error) {
	var nothing T
	if c.dead {
		return nothing, errDead
	}
	c.calls = append(c.calls, name)
	here := len(c.calls) == c.at
	if here && !c.after {
		c.dead = true
		return nothing, errDead
	}
	value, err := call()
	if here {
		c.dead = true
		return nothing, errDead
	}
	return value, err
}

func cutError(c *cutter, name string, call func() error) error {
	_, err := cut(c, name, func() (struct{}, error) { return struct{}{}, call() })
	return err
}

// where names the boundary at which the cutter cuts.
func (c *cutter) where() string {
	if c.at == 0 || c.at > len(c.calls) {
		return "nowhere"
	}
	side := "before"
	if c.after {
		side = "after"
	}
	return fmt.Sprintf("%s %s (call %d)", side, c.calls[c.at-1], c.at)
}

// cutStore puts a boundary at every transaction of the steps.
type cutStore struct {
	booking.Store
	c *cutter
}

func (s cutStore) Open(ctx context.Context, o booking.Opening) (booking.Result, error) {
	return cut(s.c, "Open", func() (booking.Result, error) { return s.Store.Open(ctx, o) })
}

func (s cutStore) Register(ctx context.Context, r booking.Registration) (booking.Result, error) {
	return cut(s.c, "Register", func() (booking.Result, error) { return s.Store.Register(ctx, r) })
}

func (s cutStore) Complete(ctx context.Context, c booking.Completion) (r booking.Result, err error) {
	// With ErrHoldShort the step needs the result beside the error.
	failed := cutError(s.c, "Complete", func() error {
		r, err = s.Store.Complete(ctx, c)
		return nil
	})
	if failed != nil {
		return booking.Result{}, failed
	}
	return r, err
}

func (s cutStore) Surrender(ctx context.Context, q booking.Surrender) (r booking.Result, err error) {
	failed := cutError(s.c, "Surrender", func() error {
		r, err = s.Store.Surrender(ctx, q)
		return nil
	})
	if failed != nil {
		return booking.Result{}, failed
	}
	return r, err
}

func (s cutStore) Cancel(ctx context.Context, q booking.Cancellation) (booking.Result, error) {
	return cut(s.c, "Cancel", func() (booking.Result, error) { return s.Store.Cancel(ctx, q) })
}

func (s cutStore) Lapse(ctx context.Context, id int64, grace time.Duration) (booking.Result, error) {
	return cut(s.c, "Lapse", func() (booking.Result, error) { return s.Store.Lapse(ctx, id, grace) })
}

func (s cutStore) Dead(ctx context.Context, id int64) (booking.Booking, error) {
	return cut(s.c, "Dead", func() (booking.Booking, error) { return s.Store.Dead(ctx, id) })
}

func (s cutStore) BeginApproval(ctx context.Context, r booking.ApprovalRequest) (*booking.Intent, booking.Result, error) {
	var result booking.Result
	in, err := cut(s.c, "BeginApproval", func() (in *booking.Intent, err error) {
		in, result, err = s.Store.BeginApproval(ctx, r)
		return in, err
	})
	return in, result, err
}

func (s cutStore) EndApproval(ctx context.Context, in booking.Intent, f booking.Finding) (r booking.Result, err error) {
	failed := cutError(s.c, "EndApproval", func() error {
		r, err = s.Store.EndApproval(ctx, in, f)
		return nil
	})
	if failed != nil {
		return booking.Result{}, failed
	}
	return r, err
}

func (s cutStore) ClaimApproval(ctx context.Context, id int64, owner string, lease, session time.Duration) (booking.Intent, error) {
	return cut(s.c, "ClaimApproval", func() (booking.Intent, error) { return s.Store.ClaimApproval(ctx, id, owner, lease, session) })
}

func (s cutStore) ClaimRefund(ctx context.Context, id int64, owner string, lease time.Duration) (booking.RefundIntent, error) {
	return cut(s.c, "ClaimRefund", func() (booking.RefundIntent, error) { return s.Store.ClaimRefund(ctx, id, owner, lease) })
}

func (s cutStore) EndRefund(ctx context.Context, in booking.RefundIntent, back bool, reference string) error {
	return cutError(s.c, "EndRefund", func() error { return s.Store.EndRefund(ctx, in, back, reference) })
}

func (s cutStore) MarkSent(ctx context.Context, ids ...int64) error {
	return cutError(s.c, "MarkSent", func() error { return s.Store.MarkSent(ctx, ids...) })
}

func (s cutStore) GatePlaces(ctx context.Context, product int64, users []int64) (f booking.Facts, p []booking.Place, err error) {
	p, err = cut(s.c, "GatePlaces", func() ([]booking.Place, error) {
		f, p, err = s.Store.GatePlaces(ctx, product, users)
		return p, err
	})
	return f, p, err
}

// cutGate puts a boundary at every script of the steps.
type cutGate struct {
	booking.Gate
	c *cutter
}

func (g cutGate) Place(ctx context.Context, h booking.Hold, ttl time.Duration) (booking.Placement, error) {
	return cut(g.c, "Place", func() (booking.Placement, error) { return g.Gate.Place(ctx, h, ttl) })
}

func (g cutGate) Ensure(ctx context.Context, h booking.Hold, deadline time.Time) (booking.EnsureCode, error) {
	return cut(g.c, "Ensure", func() (booking.EnsureCode, error) { return g.Gate.Ensure(ctx, h, deadline) })
}

func (g cutGate) Confirm(ctx context.Context, h booking.Hold, id int64) error {
	return cutError(g.c, "Confirm", func() error { return g.Gate.Confirm(ctx, h, id) })
}

func (g cutGate) Release(ctx context.Context, h booking.Hold) error {
	return cutError(g.c, "Release", func() error { return g.Gate.Release(ctx, h) })
}

func (g cutGate) MarkWarm(ctx context.Context, product int64, nonce string) (bool, error) {
	return cut(g.c, "MarkWarm", func() (bool, error) { return g.Gate.MarkWarm(ctx, product, nonce) })
}

func (g cutGate) Seed(ctx context.Context, nonce string, f booking.Facts, p []booking.Place) (bool, error) {
	return cut(g.c, "Seed", func() (bool, error) { return g.Gate.Seed(ctx, nonce, f, p) })
}

// cutGateway puts a boundary at every call outside. A dead caller hears nothing.
type cutGateway struct {
	booking.Gateway
	c *cutter
}

func (g cutGateway) answer(name string, call func() booking.Answer) booking.Answer {
	a, err := cut(g.c, name, func() (booking.Answer, error) { return call(), nil })
	if err != nil {
		return booking.Answer{Verdict: booking.VerdictUnknown, Cause: err}
	}
	return a
}

func (g cutGateway) Confirm(ctx context.Context, c booking.Charge) booking.Answer {
	return g.answer("gateway Confirm", func() booking.Answer { return g.Gateway.Confirm(ctx, c) })
}

func (g cutGateway) Lookup(ctx context.Context, c booking.Charge) booking.Answer {
	return g.answer("gateway Lookup", func() booking.Answer { return g.Gateway.Lookup(ctx, c) })
}

func (g cutGateway) Cancel(ctx context.Context, c booking.Charge, reason string) booking.Answer {
	return g.answer("gateway Cancel", func() booking.Answer { return g.Gateway.Cancel(ctx, c, reason) })
}

// cutQueue puts a boundary at every send.
type cutQueue struct {
	booking.Queue
	c *cutter
}

func (q cutQueue) Send(ctx context.Context, m ...booking.Message) error {
	return cutError(q.c, "Send", func() error { return q.Queue.Send(ctx, m...) })
}
