package bookingtest

import (
	"context"
	"time"

	"stayhold/shared/booking"
)

type boundGate struct {
	booking.Gate
	b *boundary
}

func (g boundGate) Place(ctx context.Context, h booking.Hold, ttl time.Duration) (booking.Placement, error) {
	return cross(ctx, g.b, "Place", errUnknown, func() (booking.Placement, error) { return g.Gate.Place(ctx, h, ttl) })
}

func (g boundGate) Ensure(ctx context.Context, h booking.Hold, deadline time.Time) (booking.EnsureCode, error) {
	return cross(ctx, g.b, "Ensure", errNoReply, func() (booking.EnsureCode, error) { return g.Gate.Ensure(ctx, h, deadline) })
}

func (g boundGate) Confirm(ctx context.Context, h booking.Hold, bookingID int64) error {
	return crossError(ctx, g.b, "Confirm", errNoReply, func() error { return g.Gate.Confirm(ctx, h, bookingID) })
}

func (g boundGate) Release(ctx context.Context, h booking.Hold) error {
	return crossError(ctx, g.b, "Release", errNoReply, func() error { return g.Gate.Release(ctx, h) })
}

func (g boundGate) Occupancies(ctx context.Context, productIDs ...int64) ([]booking.Occupancy, error) {
	return cross(ctx, g.b, "Occupancies", errNoReply, func() ([]booking.Occupancy, error) { return g.Gate.Occupancies(ctx, productIDs...) })
}

func (g boundGate) MarkWarm(ctx context.Context, productID int64, nonce string) (bool, error) {
	return cross(ctx, g.b, "MarkWarm", errNoReply, func() (bool, error) { return g.Gate.MarkWarm(ctx, productID, nonce) })
}

func (g boundGate) UnmarkWarm(ctx context.Context, productID int64, nonce string) error {
	return crossError(ctx, g.b, "UnmarkWarm", errNoReply, func() error { return g.Gate.UnmarkWarm(ctx, productID, nonce) })
}

func (g boundGate) Seed(ctx context.Context, nonce string, facts booking.Facts, places []booking.Place) (bool, error) {
	return cross(ctx, g.b, "Seed", errNoReply, func() (bool, error) { return g.Gate.Seed(ctx, nonce, facts, places) })
}

func (g boundGate) PutFacts(ctx context.Context, facts booking.Facts) (bool, error) {
	return cross(ctx, g.b, "PutFacts", errNoReply, func() (bool, error) { return g.Gate.PutFacts(ctx, facts) })
}

func (g boundGate) Places(ctx context.Context, productID int64, cursor uint64) ([]booking.Place, uint64, error) {
	return crossPair(ctx, g.b, "Places", errNoReply, func() ([]booking.Place, uint64, error) {
		return g.Gate.Places(ctx, productID, cursor)
	})
}

func (g boundGate) PlacesOf(ctx context.Context, productID int64, userIDs []int64) ([]booking.Place, error) {
	return cross(ctx, g.b, "PlacesOf", errNoReply, func() ([]booking.Place, error) { return g.Gate.PlacesOf(ctx, productID, userIDs) })
}

func (g boundGate) MarkUsers(ctx context.Context, productID int64, nonce string, userIDs []int64) error {
	return crossError(ctx, g.b, "MarkUsers", errNoReply, func() error { return g.Gate.MarkUsers(ctx, productID, nonce, userIDs) })
}

func (g boundGate) Correct(ctx context.Context, productID int64, nonce string, corrections []booking.Correction) ([]int64, error) {
	return cross(ctx, g.b, "Correct", errNoReply, func() ([]int64, error) { return g.Gate.Correct(ctx, productID, nonce, corrections) })
}

type boundGateway struct {
	booking.Gateway
	b *boundary
}

// answer turns whatever keeps the caller from an answer into UNKNOWN, as the client
// does.
func (g boundGateway) answer(ctx context.Context, name string, call func() booking.Answer) booking.Answer {
	a, err := cross(ctx, g.b, name, errNoReply, func() (booking.Answer, error) { return call(), nil })
	if err != nil {
		return booking.Answer{Verdict: booking.VerdictUnknown, Cause: err}
	}
	return a
}

func (g boundGateway) Confirm(ctx context.Context, c booking.Charge) booking.Answer {
	return g.answer(ctx, "gateway Confirm", func() booking.Answer { return g.Gateway.Confirm(ctx, c) })
}

func (g boundGateway) Lookup(ctx context.Context, c booking.Charge) booking.Answer {
	return g.answer(ctx, "gateway Lookup", func() booking.Answer { return g.Gateway.Lookup(ctx, c) })
}

func (g boundGateway) Cancel(ctx context.Context, c booking.Charge, reason string) booking.Answer {
	return g.answer(ctx, "gateway Cancel", func() booking.Answer { return g.Gateway.Cancel(ctx, c, reason) })
}

type boundQueue struct {
	booking.Queue
	b *boundary
}

func (q boundQueue) Send(ctx context.Context, messages ...booking.Message) error {
	return crossError(ctx, q.b, "Send", errNoReply, func() error { return q.Queue.Send(ctx, messages...) })
}
