package queuetest

import (
	"container/heap"
	"container/list"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"time"
)

// message is one message as the journal keeps it. It is never changed in place: a
// change carries a new one with the same ID. Times are milliseconds since 1970.
type message struct {
	ID         string               `json:"id"`
	Body       string               `json:"body"`
	Attributes map[string]attribute `json:"attributes,omitempty"`
	Sent       int64                `json:"sent"`
	First      int64                `json:"first,omitempty"`   // first receive; 0: never
	Count      int                  `json:"count,omitempty"`   // receives
	Visible    int64                `json:"visible,omitempty"` // hidden until then
	Receipt    string               `json:"receipt,omitempty"` // nonce of the one handle that acts
	Origin     string               `json:"origin,omitempty"`  // queue it was driven out of
}

// place is where a message waits: in the ready list or in the heap of hidden ones.
type place struct {
	*message
	ready *list.Element // nil: hidden
	index int           // in the heap
}

type queueState struct {
	name       string
	attributes map[string]string // as set; a default is not in it
	created    int64             // seconds
	modified   int64
	target     string // dead-letter queue's ARN; empty: none
	maxReceive int

	places  map[string]*place
	ready   list.List // of *place, next to be received first
	hidden  hiddenHeap
	delayed int           // hidden ones never received
	wake    chan struct{} // closed when a message becomes ready
}

// hiddenHeap has the message that becomes visible first on top.
type hiddenHeap []*place

func (h hiddenHeap) Len() int           { return len(h) }
func (h hiddenHeap) Less(i, j int) bool { return h[i].Visible < h[j].Visible }
func (h hiddenHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}
func (h *hiddenHeap) Push(x any) {
	p := x.(*place)
	p.index = len(*h)
	*h = append(*h, p)
}
func (h *hiddenHeap) Pop() any {
	last := len(*h) - 1
	p := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return p
}

// apply folds one change into the state. It is the only way in which queues and
// messages change, by a call and by the replay of a journal alike.
func (s *Server) apply(c change) {
	q := s.queues[c.Queue]
	switch c.Op {
	case opQueue:
		if q == nil {
			q = &queueState{name: c.Queue}
			q.reset()
			s.queues[c.Queue] = q
		}
		q.attributes, q.created, q.modified = c.Attributes, c.Created, c.Modified
		q.target, q.maxReceive = "", 0
		if p, err := parseRedrive(c.Attributes["RedrivePolicy"]); err == nil {
			q.target, q.maxReceive = p.target, p.max
		}
	case opPut:
		if q != nil && c.Message != nil {
			q.remove(c.Message.ID)
			q.insert(c.Message, s.now().UnixMilli())
		}
	case opDrop:
		if q != nil {
			q.remove(c.ID)
		}
	case opPurge:
		if q != nil {
			q.reset()
		}
	}
}

func (q *queueState) reset() {
	q.places = map[string]*place{}
	q.ready.Init()
	q.hidden = nil
	q.delayed = 0
	if q.wake == nil {
		q.wake = make(chan struct{})
	}
}

func (q *queueState) insert(m *message, now int64) {
	p := &place{message: m}
	q.places[m.ID] = p
	if m.Visible > now {
		heap.Push(&q.hidden, p)
		if m.Count == 0 {
			q.delayed++
		}
		// A waiting poll has to look at the new first deadline.
		q.rouse()
		return
	}
	q.show(p)
}

func (q *queueState) show(p *place) {
	p.ready = q.ready.PushBack(p)
	q.rouse()
}

func (q *queueState) rouse() {
	close(q.wake)
	q.wake = make(chan struct{})
}

func (q *queueState) remove(id string) {
	p := q.places[id]
	if p == nil {
		return
	}
	delete(q.places, id)
	if p.ready != nil {
		q.ready.Remove(p.ready)
		return
	}
	heap.Remove(&q.hidden, p.index)
	if p.Count == 0 {
		q.delayed--
	}
}

// promote makes ready what has been hidden long enough, and says when the next
// hidden message becomes visible (0: there is none).
func (q *queueState) promote(now int64) int64 {
	for len(q.hidden) > 0 {
		if q.hidden[0].Visible > now {
			return q.hidden[0].Visible
		}
		p := heap.Pop(&q.hidden).(*place)
		if p.Count == 0 {
			q.delayed--
		}
		q.show(p)
	}
	return 0
}

// number gives a numeric attribute of the queue, or its default.
func (q *queueState) number(name string) int {
	value, found := q.attributes[name]
	if !found {
		return numeric[name].standard
	}
	n, err := strconv.Atoi(value)
	if err != nil {
		return numeric[name].standard
	}
	return n
}

func (q *queueState) seconds(name string) time.Duration {
	return time.Duration(q.number(name)) * time.Second
}

func (s *Server) messageCount() int {
	n := len(s.queues)
	for _, q := range s.queues {
		n += len(q.places)
	}
	return n
}

// snapshot gives the changes that lead to the present state from nothing. Ready
// messages keep their order.
func (s *Server) snapshot() []change {
	var changes []change
	for _, name := range slices.Sorted(maps.Keys(s.queues)) {
		q := s.queues[name]
		changes = append(changes, change{
			Op: opQueue, Queue: name, Attributes: q.attributes, Created: q.created, Modified: q.modified,
		})
		for e := q.ready.Front(); e != nil; e = e.Next() {
			changes = append(changes, change{Op: opPut, Queue: name, Message: e.Value.(*place).message})
		}
		for _, p := range q.hidden {
			changes = append(changes, change{Op: opPut, Queue: name, Message: p.message})
		}
	}
	return changes
}

type redrivePolicy struct {
	target string
	max    int
}

// parseRedrive reads a RedrivePolicy; maxReceiveCount may be a number or a string.
func parseRedrive(text string) (redrivePolicy, error) {
	if text == "" {
		return redrivePolicy{}, nil
	}
	var raw struct {
		Target string          `json:"deadLetterTargetArn"`
		Max    json.RawMessage `json:"maxReceiveCount"`
	}
	if err := json.Unmarshal([]byte(text), &raw); err != nil || raw.Target == "" {
		return redrivePolicy{}, invalid("Value %s for parameter RedrivePolicy is invalid. Reason: Amazon SQS can't create the redrive policy, as it's in an unsupported format.", text)
	}
	literal := string(raw.Max)
	if unquoted, err := strconv.Unquote(literal); err == nil {
		literal = unquoted
	}
	limit, err := strconv.Atoi(literal)
	if err != nil || limit < 1 || limit > 1000 {
		return redrivePolicy{}, invalid("Value %s for parameter RedrivePolicy is invalid. Reason: Invalid value for maxReceiveCount: must be between 1 and 1000.", text)
	}
	return redrivePolicy{target: raw.Target, max: limit}, nil
}

// newID gives a random UUID.
func newID() string {
	var b [16]byte
	// Never fails: the runtime ends the process instead.
	_, _ = rand.Read(b[:])
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
