package paymentgatewaytest

import (
	"errors"
	"net/http"
	"time"
)

var errReset = errors.New("reset meanwhile")

// handle runs one POST: it counts the request, gives a remembered answer again, waits,
// lets decide say what happens, writes that down, and answers or holds the connection.
func (s *Simulator) handle(w http.ResponseWriter, r *http.Request, wait time.Duration, arrived record, decide func(time.Time) outcome) {
	scope := ""
	if key := r.Header.Get("Idempotency-Key"); key != "" {
		scope = r.Method + " " + r.URL.Path + " " + key
	}
	epoch, known, err := s.begin(scope, arrived)
	if err != nil {
		refuse(500, "FAILED_INTERNAL_SYSTEM_PROCESSING").send(w)
		return
	}
	if known != nil {
		known.send(w)
		return
	}
	defer s.end(scope, epoch)
	if wait > 0 {
		// The charge goes on when its caller has gone: only the gateway's own end stops it.
		select {
		case <-time.After(wait):
		case <-s.closing:
			panic(http.ErrAbortHandler)
		}
	}
	a, err := s.settle(scope, epoch, decide)
	switch {
	case errors.Is(err, errReset):
		panic(http.ErrAbortHandler)
	case err != nil:
		refuse(500, "FAILED_INTERNAL_SYSTEM_PROCESSING").send(w)
	case a == nil:
		select {
		case <-r.Context().Done():
		case <-s.closing:
		}
		panic(http.ErrAbortHandler) // cuts the connection: no byte of an answer
	default:
		a.send(w)
	}
}

// begin counts the request and takes its scope. It returns the answer if there is one
// to give already.
func (s *Simulator) begin(scope string, arrived record) (epoch int, known *answer, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if arrived.OrderID != "" {
		if _, err := s.write(arrived); err != nil {
			return 0, nil, err
		}
	}
	busy := refuse(409, "IDEMPOTENT_REQUEST_PROCESSING")
	if scope != "" {
		if a, ok := s.state.answers[scope]; ok {
			if time.Now().Before(a.from) {
				return 0, &busy, nil
			}
			return 0, &a.answer, nil
		}
		if s.inFlight[scope] {
			return 0, &busy, nil
		}
		s.inFlight[scope] = true
	}
	return s.epoch, nil, nil
}

// end gives the scope back.
func (s *Simulator) end(scope string, epoch int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.epoch == epoch {
		delete(s.inFlight, scope)
	}
}

// settle decides and writes, and returns when what happened is on disk. A nil answer
// is to be held back.
func (s *Simulator) settle(scope string, epoch int, decide func(time.Time) outcome) (*answer, error) {
	s.mu.Lock()
	if s.epoch != epoch {
		s.mu.Unlock()
		return nil, errReset
	}
	out := decide(time.Now())
	if out.answer != nil && out.answer.status < 500 && out.answer.status != http.StatusConflict {
		out.record.Status, out.record.Body = out.answer.status, out.answer.body
	}
	out.record.Scope = scope
	number, err := s.write(out.record)
	log := s.log
	s.mu.Unlock()
	if err == nil && log != nil {
		err = log.sync(number)
	}
	return out.answer, err
}

// write logs the record and then applies it. It is called with the lock held.
func (s *Simulator) write(r record) (number int, err error) {
	if s.log != nil {
		if number, err = s.log.append(r); err != nil {
			return 0, err
		}
	}
	s.state.apply(r)
	return number, nil
}
