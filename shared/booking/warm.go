package booking

import (
	"context"
	"errors"
	"time"
)

// A caller that finds the gate cold and another caller warming it asks again after
// warmPause, at most warmTries times; by then a dead warmer's mark has lapsed.
const (
	warmPause = 25 * time.Millisecond
	warmTries = 160
)

// whenWarm calls ask until it no longer finds the gate cold, warming it from the
// database where nobody else does: of many callers at a cold gate one reads.
func whenWarm[T any](ctx context.Context, gate Gate, store GateSource, productID int64, ask func() (T, bool, error)) (T, error) {
	for range warmTries {
		answer, cold, err := ask()
		if err != nil || !cold {
			return answer, err
		}
		seeded, err := warm(ctx, gate, store, productID)
		if err != nil {
			return answer, err
		}
		if seeded {
			continue
		}
		select {
		case <-ctx.Done():
			return answer, ErrUnavailable.Because(ctx.Err())
		case <-time.After(warmPause):
		}
	}
	var none T
	return none, ErrUnavailable.Because(errors.New("the gate stays cold"))
}

// warm leaves a mark, reads the database, and seeds the gate if it is still cold and
// the mark still there. Whoever changes a place of the cold gate in between deletes
// the mark, so that no snapshot older than his change is ever seeded.
func warm(ctx context.Context, gate Gate, store GateSource, productID int64) (bool, error) {
	nonce := newToken()
	mine, err := gate.MarkWarm(ctx, productID, nonce)
	if err != nil || !mine {
		return false, err
	}
	facts, places, err := store.GatePlaces(ctx, productID, nil)
	if err != nil {
		return false, err
	}
	return gate.Seed(ctx, nonce, facts, places)
}
