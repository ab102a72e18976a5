package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"

	"stayhold/shared/booking"
)

const (
	maxKey = 255
	// recallTries bounds how often a request that lost its key to another one asks what
	// that one was answered, before the caller is told to come back.
	recallTries = 3
)

// key reads the Idempotency-Key: "" when there is none. The quoted and the bare
// spelling of a key are one key. ErrInvalidIdempotencyKey.
func (e event) key() (string, error) {
	text, given := e.header(idempotencyKey)
	if !given {
		return "", nil
	}
	if strings.HasPrefix(text, `"`) {
		if len(text) < 2 || !strings.HasSuffix(text, `"`) {
			return "", booking.ErrInvalidIdempotencyKey
		}
		text = text[1 : len(text)-1]
		if strings.ContainsAny(text, `"\`) {
			return "", booking.ErrInvalidIdempotencyKey
		}
	}
	if len(text) == 0 || len(text) > maxKey {
		return "", booking.ErrInvalidIdempotencyKey
	}
	for _, c := range []byte(text) {
		if c <= ' ' || c > '~' || c == ',' {
			return "", booking.ErrInvalidIdempotencyKey
		}
	}
	return text, nil
}

// fingerprint is the SHA-256 of a decoded body: equal for equal values, however they
// were spelled.
func fingerprint(canonical any) (string, error) {
	text, err := json.Marshal(canonical)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}

// outcome is what a request comes to: of its own step, or of an earlier request's.
type outcome struct {
	booking.Recalled
	replayed bool
}

// once runs the step unless a request with the same key has been answered. A step that
// finds its key taken has written nothing.
func (e *Edge) once(ctx context.Context, key *booking.IdempotencyKey, step func() (booking.Result, error)) outcome {
	if key == nil {
		result, err := step()
		return outcome{Recalled: booking.Recalled{Result: result, Err: err}}
	}
	for range recallTries {
		stored, err := e.recaller.Recall(ctx, *key)
		if err != nil {
			return outcome{Recalled: booking.Recalled{Err: err}}
		}
		if stored != nil {
			return outcome{Recalled: *stored, replayed: true}
		}
		result, err := step()
		if !errors.Is(err, booking.ErrKeyTaken) {
			return outcome{Recalled: booking.Recalled{Result: result, Err: err}}
		}
	}
	return outcome{Recalled: booking.Recalled{Err: booking.ErrIdempotencyInProgress}}
}
