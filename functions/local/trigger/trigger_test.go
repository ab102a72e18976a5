package trigger

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"stayhold/functions/local/sandbox"
)

// consumer gives one batch, and then nothing until the context ends.
type consumer struct {
	mu      sync.Mutex
	batch   []events.SQSMessage
	err     error
	deleted []string
	served  chan struct{}
}

func (c *consumer) Receive(ctx context.Context, limit int, _ time.Duration) ([]events.SQSMessage, error) {
	c.mu.Lock()
	batch, err := c.batch, c.err
	c.batch, c.err = nil, nil
	c.mu.Unlock()
	if err != nil || len(batch) > 0 {
		return batch[:min(limit, len(batch))], err
	}
	c.served <- struct{}{}
	<-ctx.Done()
	return nil, ctx.Err()
}

func (c *consumer) Delete(_ context.Context, handles ...string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deleted = append(c.deleted, handles...)
	return nil
}

type invoker func(payload []byte) (sandbox.Result, error)

func (f invoker) Invoke(_ context.Context, payload []byte) (sandbox.Result, error) { return f(payload) }

func answer(payload string) invoker {
	return func([]byte) (sandbox.Result, error) { return sandbox.Result{Payload: []byte(payload)}, nil }
}

// deliver runs a mapping over one batch of three and returns what was deleted and how much was reported.
func deliver(t *testing.T, f invoker, partial bool) ([]string, int) {
	t.Helper()
	c := &consumer{served: make(chan struct{}, pollers)}
	for _, id := range []string{"1", "2", "3"} {
		c.batch = append(c.batch, events.SQSMessage{MessageId: "m" + id, ReceiptHandle: "r" + id, Body: id})
	}
	reports := 0
	ctx, cancel := context.WithCancel(t.Context())
	q := &Queue{Consumer: c, Invoker: f, Batch: 10, Partial: partial, Report: func(error) { reports++ }}
	ended := make(chan struct{})
	go func() { q.Run(ctx); close(ended) }()
	for range pollers {
		<-c.served
	}
	cancel()
	<-ended
	return c.deleted, reports
}

func TestOnlyWhatSucceededIsDeleted(t *testing.T) {
	all, none := []string{"r1", "r2", "r3"}, []string(nil)
	for name, test := range map[string]struct {
		answer  invoker
		partial bool
		deleted []string
		reports int
	}{
		"empty list":       {answer(`{"batchItemFailures":[]}`), true, all, 0},
		"null":             {answer(`null`), true, all, 0},
		"nothing":          {answer(``), true, all, 0},
		"one failed":       {answer(`{"batchItemFailures":[{"itemIdentifier":"m2"}]}`), true, []string{"r1", "r3"}, 0},
		"all failed":       {answer(`{"batchItemFailures":[{"itemIdentifier":"m1"},{"itemIdentifier":"m2"},{"itemIdentifier":"m3"}]}`), true, none, 0},
		"malformed":        {answer(`{"batchItemFailures":7}`), true, none, 1},
		"unknown message":  {answer(`{"batchItemFailures":[{"itemIdentifier":"m9"}]}`), true, none, 1},
		"empty identifier": {answer(`{"batchItemFailures":[{"itemIdentifier":""}]}`), true, none, 1},
		"null identifier":  {answer(`{"batchItemFailures":[{"itemIdentifier":null}]}`), true, none, 1},
		"not partial":      {answer(`{"batchItemFailures":[{"itemIdentifier":"m2"}]}`), false, all, 0},
		"function error": {func([]byte) (sandbox.Result, error) {
			return sandbox.Result{Failed: true, Payload: []byte(`{}`)}, nil
		}, true, none, 1},
		"busy": {func([]byte) (sandbox.Result, error) { return sandbox.Result{}, sandbox.ErrBusy }, true, none, 1},
	} {
		deleted, reports := deliver(t, test.answer, test.partial)
		if !slices.Equal(deleted, test.deleted) || reports != test.reports {
			t.Errorf("%s: deleted %v, want %v; %d reports, want %d", name, deleted, test.deleted, reports, test.reports)
		}
	}
}

func TestRecordsHaveTheShapeOfTheEvent(t *testing.T) {
	var got events.SQSEvent
	deliver(t, func(payload []byte) (sandbox.Result, error) {
		return sandbox.Result{}, json.Unmarshal(payload, &got)
	}, true)
	if len(got.Records) != 3 || got.Records[2].MessageId != "m3" || got.Records[2].Body != "3" {
		t.Errorf("%+v", got)
	}
}

func TestOutageIsReportedOnceAndPollingGoesOn(t *testing.T) {
	var reports []error
	q := &Queue{Report: func(err error) { reports = append(reports, err) }}
	down := errors.New("connection refused")
	for _, err := range []error{down, down, nil, down} {
		q.outage(err)
	}
	if len(reports) != 2 {
		t.Errorf("%d reports of two outages", len(reports))
	}
}

func TestScheduleCallsWithTheSchedulersEventAndNeverOverlaps(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	under, calls := 0, 0
	var first map[string]any
	s := &Schedule{
		Name: "EveryMinute", Every: time.Millisecond,
		Invoker: invoker(func(payload []byte) (sandbox.Result, error) {
			under++
			defer func() { under-- }()
			if under > 1 {
				t.Error("two at once")
			}
			if calls++; calls == 1 {
				if err := json.Unmarshal(payload, &first); err != nil {
					t.Error(err)
				}
			}
			return sandbox.Result{}, nil
		}),
		Done: func(sandbox.Result, error) {
			if calls == 5 {
				cancel()
			}
		},
	}
	s.Run(ctx)
	if first["source"] != "aws.scheduler" || first["detail-type"] != "Scheduled Event" || first["detail"] != "{}" {
		t.Errorf("%v", first)
	}
}

func TestScheduleCallsWithItsInput(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var got string
	s := &Schedule{
		Every: time.Millisecond, Input: `{"action":"audit"}`,
		Invoker: invoker(func(payload []byte) (sandbox.Result, error) { got = string(payload); return sandbox.Result{}, nil }),
		Done:    func(sandbox.Result, error) { cancel() },
	}
	s.Run(ctx)
	if got != s.Input {
		t.Errorf("called with %s", got)
	}
}
