package bookingtest

import (
	"context"
	"sync"

	"stayhold/shared/booking"
)

// Queue is booking.Queue in memory: it keeps what it is given, and who takes it decides
// what arrives, how often and in which order.
type Queue struct {
	mu   sync.Mutex
	sent []booking.Message
}

var _ booking.Queue = (*Queue)(nil)

// NewQueue returns an empty queue.
func NewQueue() *Queue { return &Queue{} }

// Send keeps the messages.
func (q *Queue) Send(_ context.Context, messages ...booking.Message) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.sent = append(q.sent, messages...)
	return nil
}

// Take hands out what was sent since the last Take, in order.
func (q *Queue) Take() []booking.Message {
	q.mu.Lock()
	defer q.mu.Unlock()
	sent := q.sent
	q.sent = nil
	return sent
}
