package queuetest

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// maxInFlight is what SQS lets a standard queue have out at once.
const maxInFlight = 120000

type receiveInput struct {
	QueueUrl                    string
	MaxNumberOfMessages         *int
	WaitTimeSeconds             *int
	VisibilityTimeout           *int
	AttributeNames              []string
	MessageSystemAttributeNames []string
	MessageAttributeNames       []string
}

type receivedMessage struct {
	MessageId              string
	ReceiptHandle          string
	Body                   string
	MD5OfBody              string
	Attributes             map[string]string    `json:",omitempty"`
	MessageAttributes      map[string]attribute `json:",omitempty"`
	MD5OfMessageAttributes string               `json:",omitempty"`
}

type receiveOutput struct {
	Messages []receivedMessage `json:",omitempty"`
}

// bounded gives the value asked for, or the default, if it is within low and high.
func bounded(value *int, standard, low, high int, name string) (int, error) {
	n := standard
	if value != nil {
		n = *value
	}
	if n < low || n > high {
		return 0, outOfRange(n, name, "between "+strconv.Itoa(low)+" and "+strconv.Itoa(high)+", if provided")
	}
	return n, nil
}

func (s *Server) opReceiveMessage(r *http.Request, in *receiveInput) (any, error) {
	s.mu.Lock()
	q, err := s.find(in.QueueUrl)
	if err != nil {
		s.mu.Unlock()
		return nil, err
	}
	wait, hide := q.number("ReceiveMessageWaitTimeSeconds"), q.number("VisibilityTimeout")
	s.mu.Unlock()
	limit, err := bounded(in.MaxNumberOfMessages, 1, 1, 10, "MaxNumberOfMessages")
	if err != nil {
		return nil, err
	}
	if wait, err = bounded(in.WaitTimeSeconds, wait, 0, 20, "WaitTimeSeconds"); err != nil {
		return nil, err
	}
	if hide, err = bounded(in.VisibilityTimeout, hide, 0, 43200, "VisibilityTimeout"); err != nil {
		return nil, err
	}
	taken, err := s.poll(r.Context(), q, limit, time.Duration(wait)*time.Second, time.Duration(hide)*time.Second)
	if err != nil {
		return nil, err
	}
	var out receiveOutput
	for _, m := range taken {
		out.Messages = append(out.Messages, m.received(q.name, in))
	}
	return out, nil
}

// poll takes up to limit messages, and waits for the first as long as asked. It
// takes none for a caller who is gone.
func (s *Server) poll(ctx context.Context, q *queueState, limit int, wait, hide time.Duration) ([]*message, error) {
	end := time.NewTimer(wait)
	defer end.Stop()
	for ctx.Err() == nil {
		s.mu.Lock()
		taken, next, err := s.take(q, limit, hide)
		wake := q.wake
		s.mu.Unlock()
		if err != nil || len(taken) > 0 || wait == 0 {
			return taken, err
		}
		var due <-chan time.Time
		if next > 0 {
			due = time.After(time.Duration(next-s.now().UnixMilli()) * time.Millisecond)
		}
		select {
		case <-wake:
		case <-due:
		case <-end.C:
			return nil, nil
		case <-ctx.Done():
		case <-s.ctx.Done():
			return nil, errClosed
		}
	}
	return nil, ctx.Err()
}

// take hides and hands out ready messages. On its way it drops those past the
// retention period and drives those received too often to the dead-letter queue.
// It also says when the next hidden message becomes visible (0: none).
func (s *Server) take(q *queueState, limit int, hide time.Duration) ([]*message, int64, error) {
	now := s.now()
	next := q.promote(now.UnixMilli())
	if q.ready.Len() > 0 && len(q.hidden)-q.delayed >= maxInFlight {
		return nil, 0, errOverLimit
	}
	oldest := now.Add(-q.seconds("MessageRetentionPeriod")).UnixMilli()
	dead := s.byARN(q.target)
	var taken []*message
	var changes []change
	for e := q.ready.Front(); e != nil && len(taken) < limit; e = e.Next() {
		old := e.Value.(*place).message
		if old.Sent < oldest {
			changes = append(changes, change{Op: opDrop, Queue: q.name, ID: old.ID})
			continue
		}
		m := *old
		if dead != nil && old.Count >= q.maxReceive {
			m.Visible, m.Receipt, m.Origin = 0, "", q.name
			changes = append(changes,
				change{Op: opDrop, Queue: q.name, ID: m.ID},
				change{Op: opPut, Queue: dead.name, Message: &m})
			continue
		}
		m.Count++
		m.Receipt = newID()
		m.Visible = now.Add(hide).UnixMilli()
		if m.First == 0 {
			m.First = now.UnixMilli()
		}
		taken = append(taken, &m)
		changes = append(changes, change{Op: opPut, Queue: q.name, Message: &m})
	}
	if err := s.commit(changes...); err != nil {
		return nil, 0, err
	}
	return taken, next, nil
}

func (m *message) received(queue string, in *receiveInput) receivedMessage {
	out := receivedMessage{
		MessageId: m.ID, ReceiptHandle: handle(queue, m), Body: m.Body, MD5OfBody: md5Hex(m.Body),
		MessageAttributes: chosen(m.Attributes, in.MessageAttributeNames),
	}
	out.MD5OfMessageAttributes = md5Attributes(out.MessageAttributes)
	wanted := slices.Concat(in.AttributeNames, in.MessageSystemAttributeNames)
	for name, value := range map[string]string{
		"ApproximateReceiveCount":          strconv.Itoa(m.Count),
		"ApproximateFirstReceiveTimestamp": strconv.FormatInt(m.First, 10),
		"SentTimestamp":                    strconv.FormatInt(m.Sent, 10),
		"SenderId":                         AccountID,
	} {
		if slices.Contains(wanted, name) || slices.Contains(wanted, "All") {
			if out.Attributes == nil {
				out.Attributes = map[string]string{}
			}
			out.Attributes[name] = value
		}
	}
	return out
}
