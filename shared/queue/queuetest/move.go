package queuetest

import (
	"context"
	"net/http"
	"slices"
	"time"
)

const keptMoves = 10 // per source, as many as ListMessageMoveTasks may be asked for

const (
	moveRunning   = "RUNNING"
	moveCompleted = "COMPLETED"
	moveCancelled = "CANCELLED"
	moveFailed    = "FAILED"
)

// moveTask takes messages out of a dead-letter queue. It lives in memory: a task
// that the process took with it leaves the rest of the messages where they are.
type moveTask struct {
	handle      string
	source      string // names of queues
	destination string // empty: each message's own origin
	rate        int    // messages a second; 0: as fast as it goes
	started     int64  // milliseconds
	toMove      int
	moved       int
	status      string
	reason      string
	cancel      context.CancelFunc
}

type moveInput struct {
	SourceArn                    string
	DestinationArn               string
	MaxNumberOfMessagesPerSecond *int
	MaxResults                   *int
	TaskHandle                   string
}

func (s *Server) opStartMove(_ *http.Request, in *moveInput) (any, error) {
	rate := 0
	if r := in.MaxNumberOfMessagesPerSecond; r != nil {
		if rate = *r; rate < 1 || rate > 500 {
			return nil, outOfRange(rate, "MaxNumberOfMessagesPerSecond", "between 1 and 500")
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		return nil, errClosed
	}
	source, err := s.deadLetterQueue(in.SourceArn)
	if err != nil {
		return nil, err
	}
	task := &moveTask{handle: newID(), source: source.name, rate: rate, started: s.now().UnixMilli(), status: moveRunning}
	if in.DestinationArn != "" {
		destination := s.byARN(in.DestinationArn)
		if destination == nil {
			return nil, noResource("DestinationArn")
		}
		if destination == source {
			return nil, invalid("Source queue arn and destination queue arn cannot be the same.")
		}
		task.destination = destination.name
	}
	if slices.ContainsFunc(s.moves, func(m *moveTask) bool {
		return m.source == task.source && m.status == moveRunning
	}) {
		return nil, errMoveRunning
	}
	source.promote(s.now().UnixMilli())
	task.toMove = source.ready.Len()
	ctx, cancel := context.WithCancel(s.ctx)
	task.cancel = cancel
	s.keepMove(task)
	s.tasks.Go(func() {
		defer cancel()
		s.runMove(ctx, task)
	})
	return map[string]string{"TaskHandle": task.handle}, nil
}

// deadLetterQueue gives the queue of the ARN if some queue drives messages to it.
func (s *Server) deadLetterQueue(arn string) (*queueState, error) {
	if arn == "" {
		return nil, missing("SourceArn")
	}
	source := s.byARN(arn)
	if source == nil {
		return nil, noResource("SourceArn")
	}
	for _, q := range s.queues {
		if q.target == arn {
			return source, nil
		}
	}
	return nil, invalid("Source queue must be configured as a Dead Letter Queue.")
}

// keepMove appends the task and forgets the oldest of its source.
func (s *Server) keepMove(task *moveTask) {
	s.moves = append(s.moves, task)
	count := 0
	for i := len(s.moves) - 1; i >= 0; i-- {
		if s.moves[i].source != task.source {
			continue
		}
		if count++; count > keptMoves {
			s.moves = slices.Delete(s.moves, i, i+1)
			return
		}
	}
}

func (s *Server) runMove(ctx context.Context, task *moveTask) {
	var pace <-chan time.Time
	if task.rate > 0 {
		ticker := time.NewTicker(time.Second / time.Duration(task.rate))
		defer ticker.Stop()
		pace = ticker.C
	}
	for s.moveOne(ctx, task) {
		if pace == nil {
			continue
		}
		select {
		case <-pace:
		case <-ctx.Done():
		}
	}
}

// moveOne moves one message and says whether the task goes on. A message without
// a known origin ends it: nobody can say where it belongs.
func (s *Server) moveOne(ctx context.Context, task *moveTask) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ctx.Err() != nil {
		task.status = moveCancelled
		return false
	}
	source := s.queues[task.source]
	source.promote(s.now().UnixMilli())
	first := source.ready.Front()
	if first == nil || task.moved >= task.toMove {
		task.status = moveCompleted
		return false
	}
	old := first.Value.(*place).message
	name := task.destination
	if name == "" {
		name = old.Origin
	}
	if s.queues[name] == nil {
		task.status, task.reason = moveFailed, "CouldNotDetermineMessageSource"
		return false
	}
	// A moved message is a new one: its own ID, age and receive count.
	m := &message{ID: newID(), Body: old.Body, Attributes: old.Attributes, Sent: s.now().UnixMilli()}
	err := s.commit(change{Op: opDrop, Queue: source.name, ID: old.ID}, change{Op: opPut, Queue: name, Message: m})
	if err != nil {
		task.status, task.reason = moveFailed, "InternalFailure"
		return false
	}
	task.moved++
	return true
}

type moveOutput struct {
	TaskHandle                        string `json:",omitempty"`
	Status                            string
	SourceArn                         string
	DestinationArn                    string `json:",omitempty"`
	MaxNumberOfMessagesPerSecond      int    `json:",omitempty"`
	ApproximateNumberOfMessagesMoved  int
	ApproximateNumberOfMessagesToMove int
	FailureReason                     string `json:",omitempty"`
	StartedTimestamp                  int64
}

func (s *Server) opListMoves(_ *http.Request, in *moveInput) (any, error) {
	limit, err := bounded(in.MaxResults, 1, 1, keptMoves, "MaxResults")
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	source, err := s.deadLetterQueue(in.SourceArn)
	if err != nil {
		return nil, err
	}
	results := []moveOutput{}
	for _, m := range slices.Backward(s.moves) {
		if m.source != source.name || len(results) == limit {
			continue
		}
		out := moveOutput{
			Status: m.status, SourceArn: s.ARN(m.source), MaxNumberOfMessagesPerSecond: m.rate,
			ApproximateNumberOfMessagesMoved: m.moved, ApproximateNumberOfMessagesToMove: m.toMove,
			FailureReason: m.reason, StartedTimestamp: m.started,
		}
		if m.destination != "" {
			out.DestinationArn = s.ARN(m.destination)
		}
		if m.status == moveRunning {
			out.TaskHandle = m.handle
		}
		results = append(results, out)
	}
	return map[string]any{"Results": results}, nil
}

func (s *Server) opCancelMove(_ *http.Request, in *moveInput) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.moves {
		if m.handle != in.TaskHandle || m.status != moveRunning {
			continue
		}
		m.cancel()
		m.status = moveCancelled
		return map[string]int{"ApproximateNumberOfMessagesMoved": m.moved}, nil
	}
	return nil, noResource("TaskHandle")
}
