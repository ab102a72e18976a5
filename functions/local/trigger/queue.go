// Package trigger calls functions as Lambda's event source mapping and EventBridge Scheduler do.
//
// Invariants: a message is deleted only after the function reported success for it, or, without partial responses, for
// its whole batch; a response that is malformed or names a message that was not in the batch is a failure of all; a
// schedule never overlaps itself.
//
// When the queue does not answer, polling goes on with a pause; when a function fails or this process dies, the messages
// of the batch come back after their visibility timeout, and after too many times they go to the dead-letter queue.
package trigger

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"stayhold/functions/local/sandbox"
)

const (
	// pollers is how many batches a queue may have under way at once; Lambda begins with as many.
	pollers  = 5
	longPoll = 20 * time.Second
	// afterError is the pause after a queue that did not answer.
	afterError = time.Second
)

// Invoker runs a function; *sandbox.Pool is one.
type Invoker interface {
	Invoke(ctx context.Context, payload []byte) (sandbox.Result, error)
}

// Consumer reads a queue and deletes from it. Receive waits for the first message up to wait.
type Consumer interface {
	Receive(ctx context.Context, limit int, wait time.Duration) ([]events.SQSMessage, error)
	Delete(ctx context.Context, receiptHandles ...string) error
}

// Queue is an event source mapping. Partial says that the function reports failures one by one. Report hears of what
// went wrong, and of an outage only once.
type Queue struct {
	Consumer Consumer
	Invoker  Invoker
	Batch    int
	Partial  bool
	Report   func(error)

	mu   sync.Mutex
	down bool
}

// Run polls until ctx ends, and returns when every batch under way is done.
func (q *Queue) Run(ctx context.Context) {
	var all sync.WaitGroup
	for range pollers {
		all.Go(func() {
			for ctx.Err() == nil {
				q.once(ctx)
			}
		})
	}
	all.Wait()
}

func (q *Queue) once(ctx context.Context) {
	messages, err := q.Consumer.Receive(ctx, q.Batch, longPoll)
	if ctx.Err() != nil {
		return
	}
	q.outage(err)
	if err != nil {
		pause(ctx, afterError)
		return
	}
	if len(messages) == 0 {
		return
	}
	done, err := q.deliver(ctx, messages)
	if err != nil && ctx.Err() == nil {
		q.Report(err)
	}
	if len(done) == 0 {
		return
	}
	if err := q.Consumer.Delete(context.WithoutCancel(ctx), done...); err != nil && ctx.Err() == nil {
		q.Report(err)
	}
}

// outage reports the first of a row of errors.
func (q *Queue) outage(err error) {
	q.mu.Lock()
	first := err != nil && !q.down
	q.down = err != nil
	q.mu.Unlock()
	if first {
		q.Report(err)
	}
}

// deliver calls the function with a batch and returns the receipt handles of what is done.
func (q *Queue) deliver(ctx context.Context, messages []events.SQSMessage) ([]string, error) {
	payload, err := json.Marshal(events.SQSEvent{Records: messages})
	if err != nil {
		return nil, err
	}
	result, err := q.Invoker.Invoke(context.WithoutCancel(ctx), payload)
	switch {
	case err != nil:
		return nil, fmt.Errorf("a batch of %d was not delivered: %w", len(messages), err)
	case result.Failed:
		return nil, fmt.Errorf("a batch of %d failed: %s", len(messages), result.Payload)
	}
	var failed []string
	if q.Partial {
		if failed, err = failures(result.Payload, messages); err != nil {
			return nil, err
		}
	}
	var done []string
	for _, m := range messages {
		if !slices.Contains(failed, m.MessageId) {
			done = append(done, m.ReceiptHandle)
		}
	}
	return done, nil
}

// failures reads a partial batch response. None, null and an empty list mean that all succeeded.
func failures(payload []byte, messages []events.SQSMessage) ([]string, error) {
	var response struct {
		Failures []struct {
			ID *string `json:"itemIdentifier"`
		} `json:"batchItemFailures"`
	}
	if len(payload) == 0 {
		return nil, nil
	}
	if err := json.Unmarshal(payload, &response); err != nil {
		return nil, fmt.Errorf("a batch of %d failed: its response is malformed", len(messages))
	}
	failed := make([]string, 0, len(response.Failures))
	for _, f := range response.Failures {
		known := f.ID != nil && slices.ContainsFunc(messages, func(m events.SQSMessage) bool { return m.MessageId == *f.ID })
		if !known {
			return nil, fmt.Errorf("a batch of %d failed: its response names a message that was not in it", len(messages))
		}
		failed = append(failed, *f.ID)
	}
	return failed, nil
}

// pause waits, but not longer than ctx lives.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
