package booking

import (
	"context"
	"errors"
	"time"
)

// Complete turns a paid booking into a sale: points, stock and booking in one
// transaction, and the gate's place made permanent after it.
//
// Died after the commit: the place lapses, the next buyer is admitted, and the
// database's stock refuses him at his complete; reconcile heals the gate. Died after
// the hold or the points turned out to be gone: nothing was written, and the client's
// repeat or the sweep ends the booking.
type Complete struct {
	Store  Store
	Gate   Gate
	Queue  Queue
	Window time.Duration // PAYMENT_WINDOW: how long a re-taken hold lasts
}

// CompleteCommand asks to confirm a booking.
type CompleteCommand struct {
	UserID    int64
	BookingID int64
	Key       *IdempotencyKey
}

// completeTime is what complete's transaction may take: a hold with less left is
// ensured first.
const completeTime = 5 * time.Second

// Run answers with the CONFIRMED booking. Errors: those of the Store's Complete and
// Surrender, and ErrUnavailable when the gate cannot say whether the unit is held.
func (s Complete) Run(ctx context.Context, cmd CompleteCommand) (Result, error) {
	ask := Completion{UserID: cmd.UserID, BookingID: cmd.BookingID, MinLeft: completeTime, Key: cmd.Key}
	result, err := s.confirm(ctx, ask)
	if errors.Is(err, ErrHoldShort) {
		ask.Held = result.Booking.ReadAt.Add(max(s.Window, 2*completeTime))
		if err = s.ensure(ctx, result.Booking, ask.Held); err == nil {
			result, err = s.confirm(ctx, ask)
		}
	}
	switch {
	case err == nil:
		result.Deferred = s.Gate.Confirm(ctx, result.Booking.Hold(), result.Booking.ID)
		return result, nil
	case errors.Is(err, errHoldLost):
		return s.surrender(ctx, cmd, ErrHoldExpired)
	case result.Booking.Status.Dead():
		result.Deferred = s.Gate.Release(ctx, result.Booking.Hold())
		return result, err
	case errors.Is(err, ErrInsufficientPoints):
		return s.surrender(ctx, cmd, ErrInsufficientPoints)
	case errors.Is(err, ErrSoldOut):
		return s.surrender(ctx, cmd, ErrSoldOut)
	default:
		return result, err
	}
}

// Recall finds what a complete under the key was answered. The sale is told to the gate
// once more: the process that made it may have died before it could, and its hold may
// lapse long before reconcile comes.
func (s Complete) Recall(ctx context.Context, key IdempotencyKey) (*Recalled, error) {
	r, err := s.Store.Recall(ctx, key)
	if r != nil && r.Err == nil && r.Result.Booking.Status == Confirmed {
		r.Result.Deferred = s.Gate.Confirm(ctx, r.Result.Booking.Hold(), r.Result.Booking.ID)
	}
	return r, err
}

// confirm gives the transaction no more time than the hold was found to have.
func (s Complete) confirm(ctx context.Context, ask Completion) (Result, error) {
	ctx, cancel := context.WithTimeout(ctx, completeTime)
	defer cancel()
	return s.Store.Complete(ctx, ask)
}

var errHoldLost = errors.New("hold lost")

// ensure makes the gate hold the unit until the deadline, taking a free one again
// where the hold has lapsed.
func (s Complete) ensure(ctx context.Context, b Booking, deadline time.Time) error {
	code, err := whenWarm(ctx, s.Gate, s.Store, b.ProductID, func() (EnsureCode, bool, error) {
		c, err := s.Gate.Ensure(ctx, b.Hold(), deadline)
		return c, c == EnsureCold, err
	})
	switch {
	case err != nil:
		return err
	case code == EnsureLost:
		return errHoldLost
	case code != EnsureOK:
		return ErrUnavailable.Because(errors.New("gate answered " + string(code)))
	}
	return nil
}

// surrender fences the booking, unless another complete has confirmed it meanwhile.
func (s Complete) surrender(ctx context.Context, cmd CompleteCommand, cause *Error) (Result, error) {
	result, err := s.Store.Surrender(ctx, Surrender{BookingID: cmd.BookingID, Cause: cause, Key: cmd.Key})
	if result.Booking.Status == Confirmed {
		result.Deferred = s.Gate.Confirm(ctx, result.Booking.Hold(), result.Booking.ID)
		return result, err
	}
	result.Deferred = finish(ctx, s.Gate, s.Queue, s.Store, result)
	return result, err
}
