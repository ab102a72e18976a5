// Package api is the Lambda edge. It turns events (HTTP payload 2.0, SQS batches,
// direct invokes) into calls of steps, and what a step returns into answers: decoding,
// identity, Idempotency-Key, status codes, logs and metrics. A step comes as a
// function value, so that a handler runs without any store.
//
// Invariants: an event that is not as expected gets an answer with a code and never
// ends the process; the user is the token's and never the body's; nothing of a body is
// believed that was not checked by a strict decoder; an answer is rendered from the
// step's result alone, never from the clock, so that a replay is equal to the byte;
// only this package knows status codes; inner text goes to the log, once.
//
// When a step fails half way, panics, or the time is nearly up, the caller gets a 500
// or 503 and may repeat the request. Nothing is kept between invocations but the
// mark that the first one is over, and the buffers that lines are put together in.
package api

import (
	"context"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"stayhold/shared/booking"
)

// answerTime is what the edge keeps of the invocation's time, so that a step that uses
// up its deadline is still answered.
const answerTime = 500 * time.Millisecond

// Options configure an Edge.
type Options struct {
	UserIDClaim string           // the claim that bears the user's id; empty: sub
	Recaller    booking.Recaller // finds stored outcomes; needed by the POST handlers
	Namespace   string           // of the metrics; empty: Stayhold
	LogLevel    slog.Level
	Log         io.Writer // of log and metrics; nil: stderr
}

// Edge makes the handlers of one process and writes their log and metrics. It is safe
// for concurrent use.
type Edge struct {
	claim     string
	recaller  booking.Recaller
	namespace string
	log       *slog.Logger
	lines     io.Writer // where log and metrics go
	watched   string    // what every line of metrics says of itself
	warm      atomic.Bool
}

// New returns an Edge.
func New(o Options) *Edge {
	if o.UserIDClaim == "" {
		o.UserIDClaim = "sub"
	}
	if o.Namespace == "" {
		o.Namespace = "Stayhold"
	}
	log, lines := newLog(o.Log, o.LogLevel)
	return &Edge{
		claim: o.UserIDClaim, recaller: o.Recaller, namespace: o.Namespace,
		log: log, lines: lines, watched: ofEveryCall(o.Namespace),
	}
}

// handler implements lambda.Handler: raw bytes in, raw bytes out.
type handler func(ctx context.Context, payload []byte) ([]byte, error)

// Invoke runs one invocation.
func (h handler) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	return h(ctx, payload)
}

// withinTime shortens the invocation's deadline by the time that the answer takes.
func withinTime(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, deadline.Add(-answerTime))
}

// Clock is the process's own, monotonic where it measures.
type Clock struct{}

// Now is the current time.
func (Clock) Now() time.Time { return time.Now() }
