package booking

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"time"
)

// Reserve admits a buyer: the gate holds one unit, then the database has a booking
// for it.
//
// Died between the two: the hold stands without a booking, the user's next reserve
// is answered DUPLICATE by the gate and adopts it, or it lapses. A doubtful answer of
// either side releases nothing.
type Reserve struct {
	Store        Store
	Gate         Gate
	HoldTTL      time.Duration
	MaxOpenHolds int
}

// ReserveCommand asks for one unit of a product.
type ReserveCommand struct {
	UserID    int64
	ProductID int64
	Key       *IdempotencyKey
}

// tokenTries bounds how often a reserve begins again because the gate still bears the
// token of a booking that has just ended.
const tokenTries = 3

// Run answers with the new booking. Errors: those of a refusing gate, and of Open.
func (s Reserve) Run(ctx context.Context, cmd ReserveCommand) (Result, error) {
	for range tokenTries {
		placed, hold, err := s.place(ctx, cmd)
		if err != nil {
			return Result{}, err
		}
		result, err := s.Store.Open(ctx, Opening{
			Hold: hold, Deadline: placed.Deadline, MaxOpenHolds: s.MaxOpenHolds, Key: cmd.Key,
		})
		if err == nil {
			return result, nil
		}
		if err := s.giveBack(ctx, hold, placed, result, err); err != nil {
			return Result{}, err
		}
		if !errors.Is(err, ErrTokenSpent) {
			return result, inTheWay(err, result.Booking)
		}
	}
	return Result{}, ErrUnavailable.Because(ErrTokenSpent)
}

// place asks the gate until it is warm, and turns its refusals into errors. The hold
// bears the token that the gate has, which on DUPLICATE is not the caller's.
func (s Reserve) place(ctx context.Context, cmd ReserveCommand) (Placement, Hold, error) {
	hold := Hold{ProductID: cmd.ProductID, UserID: cmd.UserID, Token: newToken()}
	placed, err := whenWarm(ctx, s.Gate, s.Store, cmd.ProductID, func() (Placement, bool, error) {
		p, err := s.Gate.Place(ctx, hold, s.HoldTTL)
		return p, p.Code == PlaceCold, err
	})
	if err != nil {
		return placed, hold, err
	}
	switch placed.Code {
	case PlaceNew, PlaceDuplicate:
		hold.Token = placed.Token
		return placed, hold, nil
	case PlacePurchased:
		return placed, hold, ErrAlreadyPurchased.With("bookingId", placed.BookingID)
	case PlaceNotOpen:
		return placed, hold, ErrSaleNotOpen.With("saleStartAt", placed.Deadline)
	case PlaceClosed:
		return placed, hold, ErrSaleClosed
	case PlaceInactive:
		return placed, hold, ErrProductNotFound
	case PlaceSoldOut:
		if placed.Deadline.IsZero() {
			return placed, hold, ErrSoldOut
		}
		return placed, hold, ErrSoldOut.With("earliestReleaseAt", placed.Deadline)
	default:
		return placed, hold, ErrInternal.Because(errors.New("gate answered " + string(placed.Code)))
	}
}

// giveBack frees the place when it is certain that no booking uses its token, or ever
// will: the refusal has spent it. A booking that has it keeps it; so does every doubt,
// and a request that lost its Idempotency-Key to another one.
func (s Reserve) giveBack(ctx context.Context, hold Hold, placed Placement, result Result, why error) error {
	switch {
	case errors.Is(why, ErrAlreadyPurchased) && result.Booking.HoldToken == hold.Token:
		// Complete died between its commit and the gate: the place is this booking's.
		return s.Gate.Confirm(ctx, hold, result.Booking.ID)
	case errors.Is(why, ErrDuplicateReservation) && result.Booking.HoldToken == hold.Token:
		return nil
	case errors.Is(why, ErrProductNotFound) && placed.Code != PlaceNew:
		return nil // the hold may be that of the user's open booking, which goes on
	case errors.Is(why, ErrDuplicateReservation), errors.Is(why, ErrAlreadyPurchased),
		errors.Is(why, ErrTokenSpent), errors.Is(why, ErrHoldLimit),
		errors.Is(why, ErrProductNotFound), errors.Is(why, ErrSoldOut):
		return s.Gate.Release(ctx, hold)
	default:
		return nil
	}
}

// inTheWay adds to a conflict what its user needs to go on with the booking he has.
func inTheWay(err error, b Booking) error {
	switch {
	case errors.Is(err, ErrDuplicateReservation):
		return ErrDuplicateReservation.With("bookingId", b.ID).
			With("holdExpiresAt", b.HoldExpiresAt).
			With("remainMillis", b.Remain().Milliseconds()).
			With("nextActions", b.NextActions())
	case errors.Is(err, ErrAlreadyPurchased):
		return ErrAlreadyPurchased.With("bookingId", b.ID)
	default:
		return err
	}
}

// newToken makes a hold token, a lease owner or a nonce: 128 random bits.
func newToken() string {
	var b [16]byte
	rand.Read(b[:]) //nolint:errcheck // crypto/rand.Read never fails: it ends the program first
	return hex.EncodeToString(b[:])
}
