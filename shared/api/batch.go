package api

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"stayhold/shared/booking"
)

// errNoTime is why a record was not begun.
var errNoTime = errors.New("the time is nearly up")

// The codes of records in the log and the metrics: one that is no message, one whose
// work the gateway left undone for now, and one whose refund it has refused for long.
const (
	invalidMessage = "INVALID_MESSAGE"
	leftToSweep    = "LEFT_TO_SWEEP"
	refundStuck    = "REFUND_STUCK"
)

// Batch handles an SQS batch and answers with partial batch responses: each record
// stands for itself, and one that is malformed, fails or panics is reported alone. With
// less than least left of the time no further record is begun, and the rest is
// reported: the queue delivers it again.
func (e *Edge) Batch(least time.Duration, parse func(body string) (booking.Message, error),
	run func(context.Context, booking.Message) error,
) lambda.Handler {
	type failure struct {
		ID string `json:"itemIdentifier"`
	}
	return handler(func(ctx context.Context, payload []byte) ([]byte, error) {
		c := e.begin(ctx, "compensate", "queue", "")
		ctx, cancel := withinTime(ctx)
		defer cancel()
		var batch struct {
			Records []json.RawMessage `json:"Records"`
		}
		if err := json.Unmarshal(payload, &batch); err != nil || batch.Records == nil {
			refusal := c.refuse(booking.ErrInvalidRequest.Because(errors.New("not an SQS batch")))
			c.end(ctx)
			return nil, refusal
		}
		failures := []failure{}
		for _, raw := range batch.Records {
			r := readRecord(raw)
			err := errNoTime
			if timeFor(ctx, least) {
				_, err = guarded(func() (any, error) { return nil, r.handle(ctx, parse, run) })
			}
			if err != nil {
				e.reportRecord(ctx, c, r, err)
			}
			// What the gateway did not answer is done for now: rows and sweep keep it.
			if err != nil && !errors.Is(err, booking.ErrLeftToSweep) {
				failures = append(failures, failure{r.ID})
			}
		}
		c.details = []slog.Attr{slog.Int("records", len(batch.Records)), slog.Int("failed", len(failures))}
		c.end(ctx)
		return marshal(map[string]any{"batchItemFailures": failures})
	})
}

// record is what is read of one SQS record.
type record struct {
	ID        string `json:"messageId"`
	Body      string `json:"body"`
	bookingID int64
	broken    error
}

// readRecord keeps the id of a record whatever else is wrong with it. Without an id,
// the platform takes the whole batch as failed, and that is right.
func readRecord(raw json.RawMessage) *record {
	var r record
	r.broken = json.Unmarshal(raw, &r)
	return &r
}

func (r *record) handle(ctx context.Context, parse func(string) (booking.Message, error),
	run func(context.Context, booking.Message) error,
) error {
	if r.broken != nil {
		return malformedRecord{r.broken}
	}
	message, err := parse(r.Body)
	if err != nil {
		return malformedRecord{err}
	}
	r.bookingID = message.BookingID
	return run(ctx, message)
}

// malformedRecord is a record that will never be understood.
type malformedRecord struct{ error }

// reportRecord logs why a record failed, and lets the batch bear the code.
func (e *Edge) reportRecord(ctx context.Context, c *call, r *record, err error) {
	var malformed malformedRecord
	code := invalidMessage
	switch {
	case errors.As(err, &malformed):
		c.code = code
	case errors.Is(err, booking.ErrRefundStuck):
		code = refundStuck
		c.code = code
	case errors.Is(err, booking.ErrLeftToSweep):
		code = leftToSweep
		c.code = code
	default:
		code = c.fail(err, booking.ErrUnavailable).Code
		c.inner = nil // told below, with its record
	}
	e.log.LogAttrs(ctx, slog.LevelWarn, "record", slog.String("requestId", c.requestID),
		slog.String("messageId", clipped(r.ID)), slog.Int64("bookingId", r.bookingID),
		slog.String("code", code), slog.String("error", clipped(err.Error())))
}

// timeFor says whether so much is left of the context's time.
func timeFor(ctx context.Context, least time.Duration) bool {
	deadline, ok := ctx.Deadline()
	return ctx.Err() == nil && (!ok || time.Until(deadline) >= least)
}
