package queuetest

import (
	"errors"
	"fmt"
	"net/http"
	"time"
)

// maxMessage bounds a message with its attributes, and a batch of them; in bytes.
const maxMessage = 1 << 20

type sendInput struct {
	QueueUrl                string
	Id                      string // in a batch
	MessageBody             string
	DelaySeconds            *int
	MessageAttributes       map[string]attribute
	MessageSystemAttributes map[string]attribute
	MessageGroupId          string
	MessageDeduplicationId  string
}

type sendOutput struct {
	Id                     string `json:",omitempty"`
	MessageId              string
	MD5OfMessageBody       string
	MD5OfMessageAttributes string `json:",omitempty"`
}

type batchFailure struct {
	Id          string
	Code        string
	Message     string
	SenderFault bool
}

// failure reports one entry of a batch; what is not the sender's fault fails the
// whole call instead (false).
func failure(id string, err error) (batchFailure, bool) {
	var refused *apiError
	if !errors.As(err, &refused) {
		return batchFailure{}, false
	}
	return batchFailure{Id: id, Code: refused.query, Message: refused.message, SenderFault: true}, true
}

func (in *sendInput) size() int {
	n := len(in.MessageBody)
	for name, a := range in.MessageAttributes {
		n += len(name) + a.size()
	}
	return n
}

// newMessage checks what a sender gave and makes a message of it.
func (s *Server) newMessage(q *queueState, in *sendInput) (*message, error) {
	if in.MessageBody == "" {
		return nil, missing("MessageBody")
	}
	if limit := q.number("MaximumMessageSize"); in.size() > limit {
		return nil, invalid("One or more parameters are invalid. Reason: Message must be shorter than %d bytes.", limit)
	}
	if !allowedText(in.MessageBody) {
		return nil, errContents
	}
	if in.MessageGroupId != "" || in.MessageDeduplicationId != "" || len(in.MessageSystemAttributes) > 0 {
		return nil, invalid("The request includes a parameter that is not valid for this queue type.")
	}
	if len(in.MessageAttributes) > maxAttributes {
		return nil, invalid("Number of message attributes [%d] exceeds the allowed maximum [%d].", len(in.MessageAttributes), maxAttributes)
	}
	for name, a := range in.MessageAttributes {
		if err := a.check(name); err != nil {
			return nil, err
		}
	}
	now := s.now()
	delay := q.seconds("DelaySeconds")
	if in.DelaySeconds != nil {
		if d := *in.DelaySeconds; d < 0 || d > 900 {
			return nil, invalid("Value %d for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= 900.", d)
		}
		delay = time.Duration(*in.DelaySeconds) * time.Second
	}
	m := &message{ID: newID(), Body: in.MessageBody, Attributes: in.MessageAttributes, Sent: now.UnixMilli()}
	if delay > 0 {
		m.Visible = now.Add(delay).UnixMilli()
	}
	return m, nil
}

func (m *message) sent(id string) sendOutput {
	return sendOutput{
		Id: id, MessageId: m.ID, MD5OfMessageBody: md5Hex(m.Body), MD5OfMessageAttributes: md5Attributes(m.Attributes),
	}
}

func (s *Server) opSendMessage(_ *http.Request, in *sendInput) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.find(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	m, err := s.newMessage(q, in)
	if err != nil {
		return nil, err
	}
	if err := s.commit(change{Op: opPut, Queue: q.name, Message: m}); err != nil {
		return nil, err
	}
	return m.sent(""), nil
}

type sendBatchInput struct {
	QueueUrl string
	Entries  []sendInput
}

type sendBatchOutput struct {
	Successful []sendOutput
	Failed     []batchFailure
}

func (s *Server) opSendMessageBatch(_ *http.Request, in *sendBatchInput) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.find(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(in.Entries))
	total := 0
	for i := range in.Entries {
		ids[i] = in.Entries[i].Id
		total += in.Entries[i].size()
	}
	if err := checkBatch(ids); err != nil {
		return nil, err
	}
	if total > maxMessage {
		return nil, refusal("BatchRequestTooLong", "AWS.SimpleQueueService.BatchRequestTooLong",
			fmt.Sprintf("Batch requests cannot be longer than %d bytes. You have sent %d bytes.", maxMessage, total))
	}
	out := sendBatchOutput{Successful: []sendOutput{}, Failed: []batchFailure{}}
	var changes []change
	for i := range in.Entries {
		m, err := s.newMessage(q, &in.Entries[i])
		if err != nil {
			failed, ok := failure(ids[i], err)
			if !ok {
				return nil, err
			}
			out.Failed = append(out.Failed, failed)
			continue
		}
		changes = append(changes, change{Op: opPut, Queue: q.name, Message: m})
		out.Successful = append(out.Successful, m.sent(ids[i]))
	}
	if err := s.commit(changes...); err != nil {
		return nil, err
	}
	return out, nil
}
