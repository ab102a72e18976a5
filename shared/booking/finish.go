package booking

import (
	"context"
	"errors"
)

// finish does what a committed transaction left to be done outside: it frees the unit
// of a dead booking, and hands its outbox rows to the queue. Both may be done twice,
// and what fails is found in the rows by the message or the sweep.
func finish(ctx context.Context, gate Gate, queue Queue, outbox Outbox, r Result) error {
	var released, sent error
	if r.Booking.Status.Dead() {
		released = gate.Release(ctx, r.Booking.Hold())
	}
	if len(r.Sending) > 0 {
		sent = dispatch(ctx, queue, outbox, r.Sending)
	}
	return errors.Join(released, sent)
}

// dispatch sends outbox rows and records that they are sent. Died in between: they are
// sent again, which is safe.
func dispatch(ctx context.Context, queue Queue, outbox Outbox, rows []Outgoing) error {
	messages := make([]Message, len(rows))
	ids := make([]int64, len(rows))
	for i, row := range rows {
		messages[i], ids[i] = row.Message, row.ID
	}
	if err := queue.Send(ctx, messages...); err != nil {
		return err
	}
	return outbox.MarkSent(ctx, ids...)
}
