package queuetest

import (
	"encoding/base64"
	"net/http"
	"strings"
)

// handle is what a receiver gets to act on a message with. It names the receive,
// so a later receive makes it stale.
func handle(queue string, m *message) string {
	return base64.StdEncoding.EncodeToString([]byte(queue + "/" + m.ID + "/" + m.Receipt))
}

// byHandle gives the message of a handle and whether the handle still acts. A
// well-formed handle of a message that is gone gives nil.
func (q *queueState) byHandle(text string) (*place, bool, error) {
	if text == "" {
		return nil, false, missing("ReceiptHandle")
	}
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, false, badHandle(text)
	}
	parts := strings.Split(string(raw), "/")
	if len(parts) != 3 || parts[0] != q.name || parts[2] == "" {
		return nil, false, badHandle(text)
	}
	p := q.places[parts[1]]
	return p, p != nil && p.Receipt == parts[2], nil
}

type receiptInput struct {
	QueueUrl          string
	Id                string // in a batch
	ReceiptHandle     string
	VisibilityTimeout *int
}

type receiptBatchInput struct {
	QueueUrl string
	Entries  []receiptInput
}

type idOutput struct{ Id string }

type receiptBatchOutput struct {
	Successful []idOutput
	Failed     []batchFailure
}

// drop gives the changes that delete the message of a handle: none for a stale
// handle or a message that is gone, which SQS takes as success.
func (s *Server) drop(q *queueState, in *receiptInput) ([]change, error) {
	p, acts, err := q.byHandle(in.ReceiptHandle)
	if err != nil || !acts {
		return nil, err
	}
	return []change{{Op: opDrop, Queue: q.name, ID: p.ID}}, nil
}

// hide gives the changes that move the end of a message's invisibility.
func (s *Server) hide(q *queueState, in *receiptInput) ([]change, error) {
	if in.VisibilityTimeout == nil {
		return nil, missing("VisibilityTimeout")
	}
	timeout, err := bounded(in.VisibilityTimeout, 0, 0, 43200, "VisibilityTimeout")
	if err != nil {
		return nil, err
	}
	p, acts, err := q.byHandle(in.ReceiptHandle)
	if err != nil {
		return nil, err
	}
	if !acts {
		return nil, invalid("Value %s for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not available for visibility timeout change.", in.ReceiptHandle)
	}
	now := s.now().UnixMilli()
	q.promote(now)
	if p.ready != nil {
		return nil, errNotInFlight
	}
	m := *p.message
	m.Visible = now + int64(timeout)*1000
	return []change{{Op: opPut, Queue: q.name, Message: &m}}, nil
}

type receiptAction func(*Server, *queueState, *receiptInput) ([]change, error)

func (s *Server) one(in *receiptInput, act receiptAction) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.find(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	changes, err := act(s, q, in)
	if err != nil {
		return nil, err
	}
	return nil, s.commit(changes...)
}

func (s *Server) batch(in *receiptBatchInput, act receiptAction) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.find(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(in.Entries))
	for i, entry := range in.Entries {
		ids[i] = entry.Id
	}
	if err := checkBatch(ids); err != nil {
		return nil, err
	}
	out := receiptBatchOutput{Successful: []idOutput{}, Failed: []batchFailure{}}
	for i := range in.Entries {
		changes, err := act(s, q, &in.Entries[i])
		if err == nil {
			// One by one: two entries may bear the same handle.
			err = s.commit(changes...)
		}
		if err == nil {
			out.Successful = append(out.Successful, idOutput{Id: ids[i]})
			continue
		}
		failed, ok := failure(ids[i], err)
		if !ok {
			return nil, err
		}
		out.Failed = append(out.Failed, failed)
	}
	return out, nil
}

func (s *Server) opDeleteMessage(_ *http.Request, in *receiptInput) (any, error) {
	return s.one(in, (*Server).drop)
}

func (s *Server) opDeleteMessageBatch(_ *http.Request, in *receiptBatchInput) (any, error) {
	return s.batch(in, (*Server).drop)
}

func (s *Server) opChangeVisibility(_ *http.Request, in *receiptInput) (any, error) {
	return s.one(in, (*Server).hide)
}

func (s *Server) opChangeVisibilityBatch(_ *http.Request, in *receiptBatchInput) (any, error) {
	return s.batch(in, (*Server).hide)
}
