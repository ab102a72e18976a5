package booking

import "context"

// Task is what a message asks to be looked at.
type Task string

// The tasks: give money and unit back, or find out what became of an approval.
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
