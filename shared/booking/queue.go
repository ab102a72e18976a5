package booking

import "context"

// Task says why a message was written, for a person who reads the queue or the outbox.
// CompensateFunction does the same for each: all that the booking's rows command.
type Task string

// The tasks: money and unit go back, or an approval's outcome is not known.
const (
	TaskCompensate Task = "compensate"
	TaskResolve    Task = "resolve"
)

// Message is a hint that rows command something for a booking. Losing, repeating or
// forging one changes nothing that the rows do not say.
type Message struct {
	Task      Task
	BookingID int64
}

// Queue carries messages to CompensateFunction.
type Queue interface {
	// Send hands all messages over, or returns an error: then some may have been sent.
	Send(ctx context.Context, messages ...Message) error
}
