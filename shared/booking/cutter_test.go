package booking_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"stayhold/shared/booking"
)

// side says what goes wrong at a port call. A dead process has no further effect: a
// panic would still run its defers, so each of its later calls does nothing instead.
type side string

const (
	diesBefore side = "dies before"
	diesAfter  side = "dies after"
	losesReply side = "goes on without the reply of"
)

// cutter cuts one invocation at one of its port calls.
type cutter struct {
	at    int // which call, from 1; 0: none
	side  side
	calls []string
	dead  bool
}

var errDead = errors.New("the process is dead")

// What a process is told that lives on without a reply: of a transaction, and of
// anything else.
var (
	unknownCommit = booking.ErrCommitResultUnknown.Because(errors.New("cut"))
	noReply       = booking.ErrUnavailable.Because(errors.New("cut"))
)

func cut[T any](c *cutter, name string, doubt error, call func() (T, error)) (T, error) {
	var nothing T
	if c.dead {
		return nothing, errDead
	}
	c.calls = append(c.calls, name)
	if len(c.calls) != c.at {
		return call()
	}
	c.dead = c.side != losesReply
	if c.side != diesBefore {
		_, _ = call() // nobody hears the answer
	}
	if c.dead {
		return nothing, errDead
	}
	return nothing, doubt
}

func cutError(c *cutter, name string, doubt error, call func() error) error {
	_, err := cut(c, name, doubt, func() (struct{}, error) { return struct{}{}, call() })
	return err
}

func cutPair[A, B any](c *cutter, name string, doubt error, call func() (A, B, error)) (A, B, error) {
	type pair struct {
		first  A
		second B
	}
	p, err := cut(c, name, doubt, func() (p pair, err error) {
		p.first, p.second, err = call()
		return p, err
	})
	return p.first, p.second, err
}

// happened says that the invocation came to the call at which it was to be cut.
func (c *cutter) happened() bool { return c.at > 0 && len(c.calls) >= c.at }

func (c *cutter) String() string {
	if c == nil || !c.happened() {
		return "is not cut"
	}
	return fmt.Sprintf("%s %s (call %d)", c.side, c.calls[c.at-1], c.at)
}

// cut puts the cutter's boundaries around every port.
func (w *world) cut(c *cutter) {
	w.storePort = cutStore{w.storePort, c}
	w.gatePort = cutGate{w.gatePort, c}
	w.gateway = cutGateway{w.gateway, c}
	w.queuePort = cutQueue{w.queuePort, c}
}

type cutStore struct {
	booking.Store
	c *cutter
}

func (s cutStore) Open(ctx context.Context, o booking.Opening) (booking.Result, error) {
	return cut(s.c, "Open", unknownCommit, func() (booking.Result, error) { return s.Store.Open(ctx, o) })
}

func (s cutStore) Register(ctx context.Context, r booking.Registration) (booking.Result, error) {
	return cut(s.c, "Register", unknownCommit, func() (booking.Result, error) { return s.Store.Register(ctx, r) })
}

func (s cutStore) Complete(ctx context.Context, c booking.Completion) (booking.Result, error) {
	return cut(s.c, "Complete", unknownCommit, func() (booking.Result, error) { return s.Store.Complete(ctx, c) })
}

func (s cutStore) Surrender(ctx context.Context, q booking.Surrender) (booking.Result, error) {
	return cut(s.c, "Surrender", unknownCommit, func() (booking.Result, error) { return s.Store.Surrender(ctx, q) })
}

func (s cutStore) Cancel(ctx context.Context, q booking.Cancellation) (booking.Result, error) {
	return cut(s.c, "Cancel", unknownCommit, func() (booking.Result, error) { return s.Store.Cancel(ctx, q) })
}

func (s cutStore) Lapse(ctx context.Context, id int64, grace time.Duration) (booking.Result, error) {
	return cut(s.c, "Lapse", unknownCommit, func() (booking.Result, error) { return s.Store.Lapse(ctx, id, grace) })
}

func (s cutStore) Dead(ctx context.Context, id int64) (booking.Booking, error) {
	return cut(s.c, "Dead", noReply, func() (booking.Booking, error) { return s.Store.Dead(ctx, id) })
}

func (s cutStore) BeginApproval(ctx context.Context, r booking.ApprovalRequest) (*booking.Intent, booking.Result, error) {
	return cutPair(s.c, "BeginApproval", unknownCommit, func() (*booking.Intent, booking.Result, error) {
		return s.Store.BeginApproval(ctx, r)
	})
}

func (s cutStore) EndApproval(ctx context.Context, in booking.Intent, f booking.Finding) (booking.Result, error) {
	return cut(s.c, "EndApproval", unknownCommit, func() (booking.Result, error) { return s.Store.EndApproval(ctx, in, f) })
}

func (s cutStore) ClaimApproval(ctx context.Context, id int64, owner string, lease, session time.Duration) (booking.Intent, error) {
	return cut(s.c, "ClaimApproval", unknownCommit, func() (booking.Intent, error) {
		return s.Store.ClaimApproval(ctx, id, owner, lease, session)
	})
}

func (s cutStore) ClaimRefund(ctx context.Context, id int64, owner string, lease time.Duration) (booking.RefundIntent, error) {
	return cut(s.c, "ClaimRefund", unknownCommit, func() (booking.RefundIntent, error) { return s.Store.ClaimRefund(ctx, id, owner, lease) })
}

func (s cutStore) EndRefund(ctx context.Context, in booking.RefundIntent, back bool, reference string) error {
	return cutError(s.c, "EndRefund", unknownCommit, func() error { return s.Store.EndRefund(ctx, in, back, reference) })
}

func (s cutStore) Unsent(ctx context.Context, age time.Duration, limit int) ([]booking.Outgoing, error) {
	return cut(s.c, "Unsent", noReply, func() ([]booking.Outgoing, error) { return s.Store.Unsent(ctx, age, limit) })
}

func (s cutStore) MarkSent(ctx context.Context, ids ...int64) error {
	return cutError(s.c, "MarkSent", unknownCommit, func() error { return s.Store.MarkSent(ctx, ids...) })
}

func (s cutStore) ProductFacts(ctx context.Context, product int64) (booking.Facts, error) {
	return cut(s.c, "ProductFacts", noReply, func() (booking.Facts, error) { return s.Store.ProductFacts(ctx, product) })
}

func (s cutStore) GatePlaces(ctx context.Context, product int64, users []int64) (booking.Facts, []booking.Place, error) {
	return cutPair(s.c, "GatePlaces", noReply, func() (booking.Facts, []booking.Place, error) {
		return s.Store.GatePlaces(ctx, product, users)
	})
}

func (s cutStore) OnSale(ctx context.Context, after int64, limit int) ([]int64, error) {
	return cut(s.c, "OnSale", noReply, func() ([]int64, error) { return s.Store.OnSale(ctx, after, limit) })
}

func (s cutStore) LapsedBookings(ctx context.Context, grace time.Duration, limit int) ([]int64, error) {
	return cut(s.c, "LapsedBookings", noReply, func() ([]int64, error) { return s.Store.LapsedBookings(ctx, grace, limit) })
}

func (s cutStore) DueApprovals(ctx context.Context, limit int) ([]int64, error) {
	return cut(s.c, "DueApprovals", noReply, func() ([]int64, error) { return s.Store.DueApprovals(ctx, limit) })
}

func (s cutStore) DueRefunds(ctx context.Context, limit int) ([]int64, error) {
	return cut(s.c, "DueRefunds", noReply, func() ([]int64, error) { return s.Store.DueRefunds(ctx, limit) })
}

func (s cutStore) Purge(ctx context.Context, limit int) (int64, error) {
	return cut(s.c, "Purge", unknownCommit, func() (int64, error) { return s.Store.Purge(ctx, limit) })
}

func (s cutStore) PutProduct(ctx context.Context, d booking.ProductDraft) (int64, error) {
	return cut(s.c, "PutProduct", unknownCommit, func() (int64, error) { return s.Store.PutProduct(ctx, d) })
}

func (s cutStore) AdjustStock(ctx context.Context, product, delta int64, reason string) (booking.Stock, error) {
	return cut(s.c, "AdjustStock", unknownCommit, func() (booking.Stock, error) { return s.Store.AdjustStock(ctx, product, delta, reason) })
}

func (s cutStore) GrantPoints(ctx context.Context, user int64, sum decimal.Decimal, reason string) (decimal.Decimal, error) {
	return cut(s.c, "GrantPoints", unknownCommit, func() (decimal.Decimal, error) { return s.Store.GrantPoints(ctx, user, sum, reason) })
}

func (s cutStore) Redrive(ctx context.Context, id int64) ([]int64, error) {
	return cut(s.c, "Redrive", unknownCommit, func() ([]int64, error) { return s.Store.Redrive(ctx, id) })
}

type cutGate struct {
	booking.Gate
	c *cutter
}

func (g cutGate) Place(ctx context.Context, h booking.Hold, ttl time.Duration) (booking.Placement, error) {
	return cut(g.c, "Place", noReply, func() (booking.Placement, error) { return g.Gate.Place(ctx, h, ttl) })
}

func (g cutGate) Ensure(ctx context.Context, h booking.Hold, deadline time.Time) (booking.EnsureCode, error) {
	return cut(g.c, "Ensure", noReply, func() (booking.EnsureCode, error) { return g.Gate.Ensure(ctx, h, deadline) })
}

func (g cutGate) Confirm(ctx context.Context, h booking.Hold, id int64) error {
	return cutError(g.c, "Confirm", noReply, func() error { return g.Gate.Confirm(ctx, h, id) })
}

func (g cutGate) Release(ctx context.Context, h booking.Hold) error {
	return cutError(g.c, "Release", noReply, func() error { return g.Gate.Release(ctx, h) })
}

func (g cutGate) Occupancies(ctx context.Context, products ...int64) ([]booking.Occupancy, error) {
	return cut(g.c, "Occupancies", noReply, func() ([]booking.Occupancy, error) { return g.Gate.Occupancies(ctx, products...) })
}

func (g cutGate) MarkWarm(ctx context.Context, product int64, nonce string) (bool, error) {
	return cut(g.c, "MarkWarm", noReply, func() (bool, error) { return g.Gate.MarkWarm(ctx, product, nonce) })
}

func (g cutGate) UnmarkWarm(ctx context.Context, product int64, nonce string) error {
	return cutError(g.c, "UnmarkWarm", noReply, func() error { return g.Gate.UnmarkWarm(ctx, product, nonce) })
}

func (g cutGate) Seed(ctx context.Context, nonce string, f booking.Facts, p []booking.Place) (bool, error) {
	return cut(g.c, "Seed", noReply, func() (bool, error) { return g.Gate.Seed(ctx, nonce, f, p) })
}

func (g cutGate) PutFacts(ctx context.Context, f booking.Facts) (bool, error) {
	return cut(g.c, "PutFacts", noReply, func() (bool, error) { return g.Gate.PutFacts(ctx, f) })
}

func (g cutGate) Places(ctx context.Context, product int64, cursor uint64) ([]booking.Place, uint64, error) {
	return cutPair(g.c, "Places", noReply, func() ([]booking.Place, uint64, error) { return g.Gate.Places(ctx, product, cursor) })
}

func (g cutGate) MarkUsers(ctx context.Context, product int64, nonce string, users []int64) error {
	return cutError(g.c, "MarkUsers", noReply, func() error { return g.Gate.MarkUsers(ctx, product, nonce, users) })
}

func (g cutGate) Correct(ctx context.Context, product int64, nonce string, list []booking.Correction) ([]int64, error) {
	return cut(g.c, "Correct", noReply, func() ([]int64, error) { return g.Gate.Correct(ctx, product, nonce, list) })
}

type cutGateway struct {
	booking.Gateway
	c *cutter
}

func (g cutGateway) answer(name string, call func() booking.Answer) booking.Answer {
	a, err := cut(g.c, "gateway "+name, noReply, func() (booking.Answer, error) { return call(), nil })
	if err != nil {
		return booking.Answer{Verdict: booking.VerdictUnknown, Cause: err}
	}
	return a
}

func (g cutGateway) Confirm(ctx context.Context, c booking.Charge) booking.Answer {
	return g.answer("Confirm", func() booking.Answer { return g.Gateway.Confirm(ctx, c) })
}

func (g cutGateway) Lookup(ctx context.Context, c booking.Charge) booking.Answer {
	return g.answer("Lookup", func() booking.Answer { return g.Gateway.Lookup(ctx, c) })
}

func (g cutGateway) Cancel(ctx context.Context, c booking.Charge, reason string) booking.Answer {
	return g.answer("Cancel", func() booking.Answer { return g.Gateway.Cancel(ctx, c, reason) })
}

type cutQueue struct {
	booking.Queue
	c *cutter
}

func (q cutQueue) Send(ctx context.Context, m ...booking.Message) error {
	return cutError(q.c, "Send", noReply, func() error { return q.Queue.Send(ctx, m...) })
}

// TestEveryPortMethodIsABoundary calls each method of the ports on a process that is
// dead. One that got past the cutter would meet a port that is not there. Left out is
// what only reads for a person: a death there leaves nothing behind.
func TestEveryPortMethodIsABoundary(t *testing.T) {
	dead := &cutter{dead: true}
	reads := []string{"Explain", "Breaches"}
	for _, only := range []reflect.Type{reflect.TypeFor[booking.Reader](), reflect.TypeFor[booking.Recaller]()} {
		for i := range only.NumMethod() {
			reads = append(reads, only.Method(i).Name)
		}
	}
	for port, of := range map[any]reflect.Type{
		cutStore{nil, dead}:   reflect.TypeFor[booking.Store](),
		cutGate{nil, dead}:    reflect.TypeFor[booking.Gate](),
		cutGateway{nil, dead}: reflect.TypeFor[booking.Gateway](),
		cutQueue{nil, dead}:   reflect.TypeFor[booking.Queue](),
	} {
		for i := range of.NumMethod() {
			name := of.Method(i).Name
			if slices.Contains(reads, name) {
				continue
			}
			method := reflect.ValueOf(port).MethodByName(name)
			arguments, wanted := []reflect.Value{reflect.ValueOf(t.Context())}, method.Type().NumIn()
			if method.Type().IsVariadic() {
				wanted--
			}
			for at := 1; at < wanted; at++ {
				arguments = append(arguments, reflect.Zero(method.Type().In(at)))
			}
			func() {
				defer func() {
					if recover() != nil {
						t.Errorf("%v.%s is no boundary", of, name)
					}
				}()
				method.Call(arguments)
			}()
		}
	}
}
