package booking

import (
	"context"
	"errors"
	"time"
)

// A caller that finds the gate cold and another caller warming it looks again after
// warmPause, at most warmTries times; by then a dead warmer's mark has lapsed.
const (
	warmPause = 25 * time.Millisecond
	warmTries = 160
)

// askTries bounds how often a gate that was warm goes cold again under one request.
const askTries = 3

// whenWarm calls ask until it no longer finds the gate cold. It asks once for each
// warming: some calls delete the warm mark of a cold gate, and a caller that went on
// asking would keep everybody from seeding it.
func whenWarm[T any](ctx context.Context, gate Gate, store GateSource, productID int64, ask func() (T, bool, error)) (T, error) {
	for range askTries {
		answer, cold, err := ask()
		if err != nil || !cold {
			return answer, err
		}
		if err := warm(ctx, gate, store, productID); err != nil {
			return answer, err
		}
	}
	var none T
	return none, ErrUnavailable.Because(errCold)
}

var errCold = errors.New("the gate stays cold")

// warm returns once the gate is warm: of many callers one reads the database and the
// others wait for him.
func warm(ctx context.Context, gate Gate, store GateSource, productID int64) error {
	for range warmTries {
		seeded, err := seed(ctx, gate, store, productID)
		if err != nil || seeded {
			return err
		}
		occupied, err := gate.Occupancies(ctx, productID)
		if err != nil || !occupied[0].Cold {
			return err
		}
		select {
		case <-ctx.Done():
			return ErrUnavailable.Because(ctx.Err())
		case <-time.After(warmPause):
		}
	}
	return ErrUnavailable.Because(errCold)
}

// seed leaves a mark, reads the database, and seeds the gate if it is still cold and
// the mark still there. Whoever changes a place of the cold gate in between deletes
// the mark, so that no snapshot older than his change is ever seeded.
func seed(ctx context.Context, gate Gate, store GateSource, productID int64) (bool, error) {
	nonce := newToken()
	mine, err := gate.MarkWarm(ctx, productID, nonce)
	if err != nil || !mine {
		return false, err
	}
	facts, places, err := store.GatePlaces(ctx, productID)
	if err != nil {
		// Nobody has to wait for a mark that will not be followed by a seed.
		return false, errors.Join(err, gate.UnmarkWarm(ctx, productID, nonce))
	}
	return gate.Seed(ctx, nonce, facts, places)
}
