package booking

import (
	"context"
	"errors"
	"time"
)

// Hold names one user's place on one product in the gate. Token tells this hold from
// any earlier or later one of the same user: 32 lower-case hexadecimal digits.
type Hold struct {
	ProductID int64
	UserID    int64
	Token     string
}

// Placement is the gate's answer to Place.
type Placement struct {
	Code      PlaceCode
	Token     string    // NEW: the caller's; DUPLICATE: the one that holds already
	BookingID int64     // PURCHASED: the confirmed booking, as Confirm, Seed or Correct named it
	Deadline  time.Time // NEW, DUPLICATE: when the hold lapses; NOT_OPEN: when the sale opens; SOLD_OUT: when the earliest live hold lapses, zero if none does
}

// PlaceCode says what became of a Place.
type PlaceCode string

// The answers to Place: the first that applies, in this order.
const (
	PlaceCold      PlaceCode = "COLD"      // the gate has no facts of the product: warm it and ask again
	PlaceInactive  PlaceCode = "INACTIVE"  // the product is not for sale
	PlaceDuplicate PlaceCode = "DUPLICATE" // the user has a live hold
	PlacePurchased PlaceCode = "PURCHASED" // the user's place is confirmed
	PlaceNotOpen   PlaceCode = "NOT_OPEN"
	PlaceClosed    PlaceCode = "CLOSED"
	PlaceSoldOut   PlaceCode = "SOLD_OUT"
	PlaceNew       PlaceCode = "NEW" // the user holds a unit now
)

// EnsureCode says what became of an Ensure.
type EnsureCode string

// The answers to Ensure.
const (
	EnsureOK    EnsureCode = "OK"    // held (or confirmed) under this token, at least until the deadline asked for
	EnsureOther EnsureCode = "OTHER" // another live token stands in the user's place; nothing changed
	EnsureLost  EnsureCode = "LOST"  // the hold has lapsed and no unit is free
	EnsureCold  EnsureCode = "COLD"  // nothing is known; the warm mark was deleted
)

// Facts is what the gate knows of a product. Version rises with every change; an
// older one never replaces a newer one.
type Facts struct {
	ProductID   int64
	Version     int64
	Stock       int64 // total_stock: every unit that exists, sold ones too
	SaleStartAt time.Time
	CheckInAt   time.Time // the sale closes here
	Active      bool
}

// Place is one user's place as the database sees it: a hold with a deadline, or
// confirmed.
type Place struct {
	UserID    int64
	Token     string
	BookingID int64     // kept by the gate for confirmed places only
	Deadline  time.Time // of a hold
	Confirmed bool
}

// Occupancy is what the gate holds of one product.
type Occupancy struct {
	Cold      bool
	Facts     Facts
	Available int64 // stock − live holds − confirmed, never below 0
	Held      int64 // live holds
	Confirmed int64
}

// Correction is one user's place as reconcile wants it: empty when neither Confirmed
// nor a Deadline is set.
type Correction struct {
	Place
	Remove bool // the gate's confirmed place is not in the database
}

// ErrGateDamaged says that a gate has what no step writes: somebody else has written into
// its keys. It comes within ErrUnavailable.
var ErrGateDamaged = errors.New("the gate has what no step writes")

// Gate is the Redis side that admits buyers. Every call is one atomic script on
// Redis TIME, idempotent by token: it may run twice. An error means that the answer
// is not known; it wraps ErrUnavailable, and the call may have happened.
//
// Each call on a user's place also deletes that user's reconcile mark, even when it
// does nothing else; on a cold gate Ensure, Confirm and Release delete the warm mark.
type Gate interface {
	// Place admits the user and holds one unit for ttl, or says why not. Where the unit
	// may be held all the same, the error is ErrCommitResultUnknown.
	Place(ctx context.Context, h Hold, ttl time.Duration) (Placement, error)
	// Ensure makes the hold last at least until the deadline (it never gets shorter),
	// taking a free unit again if it has lapsed.
	Ensure(ctx context.Context, h Hold, deadline time.Time) (EnsureCode, error)
	// Confirm makes the place permanent, if it is held under the token, and keeps the
	// booking's id beside the token, so that a PURCHASED answer can name it.
	Confirm(ctx context.Context, h Hold, bookingID int64) error
	// Release empties the place, if its token is the hold's (held or confirmed).
	Release(ctx context.Context, h Hold) error
	// Occupancies reads several products, in the order asked, without warming any.
	Occupancies(ctx context.Context, productIDs ...int64) ([]Occupancy, error)

	// MarkWarm announces that the caller is about to read the database for a cold
	// gate. False: the gate is warm by now, or another caller's mark is younger than
	// its time to live.
	MarkWarm(ctx context.Context, productID int64, nonce string) (bool, error)
	// UnmarkWarm takes the caller's own mark back.
	UnmarkWarm(ctx context.Context, productID int64, nonce string) error
	// Seed fills the gate if it is still cold and the mark is still the caller's, all at
	// once for whoever looks: the gate is cold until every place stands.
	Seed(ctx context.Context, nonce string, facts Facts, places []Place) (bool, error)
	// PutFacts writes the facts if they are newer than the gate's. A cold gate stays
	// cold.
	PutFacts(ctx context.Context, facts Facts) (changed bool, err error)

	// Places pages through the places of a product, expired ones left out. Cursor 0
	// begins; next 0 ends. A place may come twice.
	Places(ctx context.Context, productID int64, cursor uint64) (places []Place, next uint64, err error)
	// PlacesOf reads the places of some users, expired ones left out.
	PlacesOf(ctx context.Context, productID int64, userIDs []int64) ([]Place, error)
	// LongHolds lists holds that last longer than the time from now, the longest first
	// and not more than a page of them.
	LongHolds(ctx context.Context, productID int64, longer time.Duration) ([]Place, error)
	// MarkUsers leaves a reconcile mark for each user.
	MarkUsers(ctx context.Context, productID int64, nonce string, userIDs []int64) error
	// Correct applies each correction whose user's mark still bears the nonce: a
	// confirmed place is written; Remove deletes a confirmed place with that token; a
	// hold is written only into an empty place and while a unit is free. It returns the
	// users whose place changed.
	Correct(ctx context.Context, productID int64, nonce string, corrections []Correction) (changed []int64, err error)
}
