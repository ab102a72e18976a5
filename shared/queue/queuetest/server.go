// Package queuetest is a server that speaks the SQS protocol (AWS JSON 1.0), for
// tests and for the local stack: standard queues with visibility timeouts, long
// polls, delays, redrive to a dead-letter queue and back.
//
// Invariants: the state is what the journal's changes add up to, and a change is in
// the journal before it is in memory and before anybody is told; a message is in
// one queue; a receipt handle acts only until the message is received again.
//
// Without a directory all is in memory. With one, messages, receive counts and
// visibility survive the process, kill -9 included (not the machine: nothing is
// flushed to the disk, as a message is only a hint). A journal whose last line was
// torn is cut back to the line before; a damage elsewhere stops New. When a write
// fails, the call answers 500 and changed nothing.
//
// It differs from AWS where a laptop is better off: signatures are not looked at,
// purges are not limited to one a minute, tags are ignored, there are no FIFO
// queues and no deletion of queues.
package queuetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// AccountID is the account all queues belong to: the first part of a queue's path.
const AccountID = "000000000000"

const (
	maxRequest    = 16 << 20 // bytes; a batch of 1 MiB may be escaped to several times that
	contentType   = "application/x-amz-json-1.0"
	targetPrefix  = "AmazonSQS."
	defaultRegion = "us-east-1"
)

// Options of a server; all may be left out.
type Options struct {
	Dir    string           // where messages survive; empty: in memory only
	Region string           // part of the queues' ARNs; empty: us-east-1
	Now    func() time.Time // the clock; nil: time.Now
}

// Server is an http.Handler with the queues behind it. Close it when done.
type Server struct {
	region string
	now    func() time.Time

	ctx    context.Context // ends at Close, and with it long polls and move tasks
	cancel context.CancelFunc
	tasks  sync.WaitGroup

	mu      sync.Mutex // guards all below
	queues  map[string]*queueState
	moves   []*moveTask
	journal *journal // nil: in memory only
}

// New gives a server with the queues and messages that its directory holds. An
// error means that the directory cannot be used: not writable, in use by another
// process, or damaged.
func New(options Options) (*Server, error) {
	s := &Server{region: options.Region, now: options.Now, queues: map[string]*queueState{}}
	if s.region == "" {
		s.region = defaultRegion
	}
	if s.now == nil {
		s.now = time.Now
	}
	if options.Dir != "" {
		j, changes, err := openJournal(options.Dir)
		if err != nil {
			return nil, err
		}
		for _, c := range changes {
			s.apply(c)
		}
		if err := j.rewrite(s.snapshot()); err != nil {
			return nil, errors.Join(err, j.close())
		}
		s.journal = j
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

// Close ends long polls and move tasks and closes the journal. Calls that come
// later fail.
func (s *Server) Close() error {
	s.cancel()
	s.tasks.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.journal == nil {
		return nil
	}
	return s.journal.close()
}

// PurgeAll deletes the messages of all queues, in flight and delayed ones too, and
// forgets the move tasks. Queues and their attributes stay.
func (s *Server) PurgeAll() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	changes := make([]change, 0, len(s.queues))
	for name := range s.queues {
		changes = append(changes, change{Op: opPurge, Queue: name})
	}
	for _, m := range s.moves {
		m.cancel()
	}
	s.moves = nil
	return s.commit(changes...)
}

// EnsureQueue creates the queue or gives an existing one these attributes (names
// and values as of SetQueueAttributes). Unlike CreateQueue it does not mind that
// the attributes were others before.
func (s *Server) EnsureQueue(name string, attributes map[string]string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, found := s.queues[name]; !found {
		_, err := s.createQueue(name, attributes)
		return err
	}
	return s.setAttributes(s.queues[name], attributes)
}

// ARN gives the ARN of the queue of that name, whether it exists or not.
func (s *Server) ARN(name string) string {
	return "arn:aws:sqs:" + s.region + ":" + AccountID + ":" + name
}

// commit makes the changes last, then real. The caller holds the lock.
func (s *Server) commit(changes ...change) error {
	if s.ctx.Err() != nil {
		return errClosed
	}
	if len(changes) == 0 {
		return nil
	}
	if s.journal != nil {
		if err := s.journal.append(changes); err != nil {
			return err
		}
	}
	for _, c := range changes {
		s.apply(c)
	}
	if s.journal != nil && s.journal.bloated(s.messageCount()) {
		// The changes are safe where they are; a failed rewrite is tried again later.
		_ = s.journal.rewrite(s.snapshot())
	}
	return nil
}

// ServeHTTP answers one SQS call.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Amzn-RequestId", newID())
	answer, err := s.serve(w, r)
	if err != nil {
		writeError(w, err)
		return
	}
	if answer == nil {
		// Operations without a result answer an empty body.
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(http.StatusOK)
		return
	}
	writeJSON(w, http.StatusOK, answer)
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) (any, error) {
	if r.Method != http.MethodPost {
		return nil, &apiError{status: http.StatusMethodNotAllowed, shape: coral + "UnknownOperationException", query: "InvalidAction", message: "SQS calls are POSTs."}
	}
	name, ok := strings.CutPrefix(r.Header.Get("X-Amz-Target"), targetPrefix)
	run := operations[name]
	if !ok || run == nil {
		return nil, &apiError{status: http.StatusBadRequest, shape: coral + "UnknownOperationException", query: "InvalidAction", message: "The action or operation requested is invalid."}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		return nil, &apiError{status: http.StatusRequestEntityTooLarge, shape: coral + "SerializationException", query: "RequestEntityTooLarge", message: "The request cannot be read or is too long."}
	}
	if len(body) == 0 {
		body = []byte("{}")
	}
	// encoding/json would replace bad bytes, and the body would be another one.
	if !utf8.Valid(body) {
		return nil, badRequest("The request is not UTF-8.")
	}
	return run(s, r, body)
}

type handler func(s *Server, r *http.Request, body []byte) (any, error)

// operation turns a method with a typed input into a handler.
func operation[In any](run func(*Server, *http.Request, *In) (any, error)) handler {
	return func(s *Server, r *http.Request, body []byte) (any, error) {
		in := new(In)
		if err := json.Unmarshal(body, in); err != nil {
			return nil, badRequest("The request does not have the form of this operation.")
		}
		return run(s, r, in)
	}
}

var operations = map[string]handler{
	"CreateQueue":                  operation((*Server).opCreateQueue),
	"GetQueueUrl":                  operation((*Server).opGetQueueURL),
	"ListQueues":                   operation((*Server).opListQueues),
	"GetQueueAttributes":           operation((*Server).opGetQueueAttributes),
	"SetQueueAttributes":           operation((*Server).opSetQueueAttributes),
	"PurgeQueue":                   operation((*Server).opPurgeQueue),
	"SendMessage":                  operation((*Server).opSendMessage),
	"SendMessageBatch":             operation((*Server).opSendMessageBatch),
	"ReceiveMessage":               operation((*Server).opReceiveMessage),
	"DeleteMessage":                operation((*Server).opDeleteMessage),
	"DeleteMessageBatch":           operation((*Server).opDeleteMessageBatch),
	"ChangeMessageVisibility":      operation((*Server).opChangeVisibility),
	"ChangeMessageVisibilityBatch": operation((*Server).opChangeVisibilityBatch),
	"StartMessageMoveTask":         operation((*Server).opStartMove),
	"ListMessageMoveTasks":         operation((*Server).opListMoves),
	"CancelMessageMoveTask":        operation((*Server).opCancelMove),
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		http.Error(w, fmt.Sprintf("queuetest: %v", err), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	// A client that is gone cannot be told.
	_, _ = w.Write(body)
}
