package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	// initLimit is how long a process may take until it first asks for an invocation.
	initLimit = 30 * time.Second
	// drowsy is how long an environment is idle before it is frozen, which Lambda does at once: those that a busy function
	// goes on using are spared the signals.
	drowsy = 100 * time.Millisecond
	// shortLife is the life under which a replacement waits, so that a function that dies at once does not spin.
	shortLife = time.Second
	// patience is how long a call waits for an environment: as long as API Gateway would wait for its answer.
	patience = 29 * time.Second
)

// invocation is one call on its way: waiting in the queue of a pool, then in an environment.
type invocation struct {
	id      string
	payload []byte
	// probe asks only that some environment is up; it never reaches one.
	probe bool
	done  chan Result

	// The rest is guarded by the pool's lock.
	started   time.Time
	abandoned bool
	answered  bool
	cold      bool
	timer     *time.Timer
}

// Pool is a function with its environments.
type Pool struct {
	function Function
	host     *Host
	most     int
	patience time.Duration

	mu       sync.Mutex
	idle     []*environment
	all      []*environment
	waiting  []*invocation
	starting int
	closed   bool
}

// Function is what the pool runs.
func (p *Pool) Function() Function { return p.function }

// Invoke runs the function once. It waits for an environment for 29 s at most, and as long as ctx lives (ErrBusy after
// that). Once started an invocation goes on to its end; a ctx that ends before it only ends the waiting for it, with the
// context's error.
// A function that fails is a Result, not an error.
func (p *Pool) Invoke(ctx context.Context, payload []byte) (Result, error) {
	return p.run(ctx, &invocation{id: newID(), payload: payload, done: make(chan Result, 1)})
}

// Prepare brings one environment up if there is none. The error holds the last line that a process printed which did
// not come up.
func (p *Pool) Prepare(ctx context.Context) error {
	r, err := p.run(ctx, &invocation{probe: true, done: make(chan Result, 1)})
	switch {
	case err != nil:
		return fmt.Errorf("%s did not start: %w", p.function.Name, err)
	case r.Failed && r.Detail != "":
		return fmt.Errorf("%s did not start: %s", p.function.Name, r.Detail)
	case r.Failed:
		return fmt.Errorf("%s did not start: %s", p.function.Name, r.Payload)
	}
	return nil
}

func (p *Pool) run(ctx context.Context, inv *invocation) (Result, error) {
	if err := p.enqueue(inv); err != nil {
		return Result{}, err
	}
	turn := time.NewTimer(p.patience)
	defer turn.Stop()
	for {
		select {
		case r := <-inv.done:
			return r, nil
		case <-turn.C:
			if p.abandon(inv) {
				return Result{}, ErrBusy
			}
		case <-ctx.Done():
			if p.abandon(inv) {
				return Result{}, ErrBusy
			}
			return Result{}, context.Cause(ctx)
		}
	}
}

// abandon gives up an invocation that has not started, and says whether it could.
func (p *Pool) abandon(inv *invocation) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !inv.started.IsZero() {
		return false
	}
	inv.abandoned = true
	return true
}

func (p *Pool) enqueue(inv *invocation) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return ErrClosed
	}
	p.waiting = append(p.waiting, inv)
	if n := len(p.idle); n > 0 {
		e := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.serve(e)
	}
	p.grow()
	return nil
}

// serve gives an environment that asked for work the oldest call that still waits, or lays it aside. The lock is held.
func (p *Pool) serve(e *environment) {
	for len(p.waiting) > 0 {
		inv := p.waiting[0]
		p.waiting[0] = nil
		p.waiting = p.waiting[1:]
		switch {
		case inv.abandoned:
		case inv.probe:
			inv.done <- Result{}
		default:
			e.give(inv)
			return
		}
	}
	e.state = idle
	p.idle = append(p.idle, e)
	e.rest.Reset(drowsy)
}

// grow starts an environment for each call that waits beyond those that are starting, and beyond those that have
// answered and are about to ask again. The lock is held.
func (p *Pool) grow() {
	missing := len(p.waiting) - p.starting
	for _, e := range p.all {
		if e.state == busy && e.current.answered {
			missing--
		}
	}
	for ; missing > 0 && len(p.all) < p.most && !p.closed; missing-- {
		p.spawn(0)
	}
}

// spawn starts one environment, after a delay. The lock is held.
func (p *Pool) spawn(delay time.Duration) {
	e := newEnvironment(p)
	p.all = append(p.all, e)
	p.starting++
	if delay == 0 {
		go e.live()
		return
	}
	time.AfterFunc(delay, e.live)
}

// gone takes an environment that has died out of the pool, ends what it was doing, and sees to its replacement.
func (p *Pool) gone(e *environment, cause, detail string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := e.state
	e.state = dead
	p.all = without(p.all, e)
	p.idle = without(p.idle, e)
	if before == starting {
		p.starting--
		p.failOldest(cause, detail)
	} else if e.current != nil {
		p.finish(e.current, Result{Failed: true, Died: true, Detail: detail, Payload: exitError(e.current.id, cause)})
	}
	if p.closed {
		return
	}
	p.grow()
	if before != starting && p.starting == 0 {
		delay := time.Duration(0)
		if time.Since(e.born) < shortLife {
			delay = shortLife
		}
		p.spawn(delay)
	}
}

// failOldest ends the call that has waited longest because no environment came up for it. The lock is held.
func (p *Pool) failOldest(cause, detail string) {
	for len(p.waiting) > 0 {
		inv := p.waiting[0]
		p.waiting = p.waiting[1:]
		if !inv.abandoned {
			inv.done <- Result{Failed: true, Died: true, Cold: true, Detail: detail, Payload: exitError(inv.id, cause)}
			return
		}
	}
}

// finish ends an invocation unless it has ended already, and says whether it did. The lock is held.
func (p *Pool) finish(inv *invocation, r Result) bool {
	if inv.answered {
		return false
	}
	inv.answered = true
	r.Cold, r.Took = inv.cold, time.Since(inv.started)
	inv.done <- r
	return true
}

func (p *Pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, inv := range p.waiting {
		if !inv.abandoned {
			inv.done <- Result{Failed: true, Died: true, Detail: ErrClosed.Error(), Payload: exitError(inv.id, ErrClosed.Error())}
		}
	}
	p.waiting = nil
	for _, e := range p.all {
		e.kill()
	}
}

func without(list []*environment, gone *environment) []*environment {
	for i, e := range list {
		if e == gone {
			return append(list[:i], list[i+1:]...)
		}
	}
	return list
}

// failure is Lambda's error object.
type failure struct {
	Type    string `json:"errorType,omitempty"`
	Message string `json:"errorMessage"`
}

func encode(f failure) []byte {
	text, err := json.Marshal(f)
	if err != nil {
		return []byte(`{"errorMessage":"` + errors.ErrUnsupported.Error() + `"}`)
	}
	return text
}

func exitError(id, cause string) []byte {
	return encode(failure{"Runtime.ExitError", "RequestId: " + id + " Error: " + cause})
}

func timeoutError(id string, after time.Duration, now time.Time) []byte {
	return encode(failure{Message: fmt.Sprintf("%s %s Task timed out after %.2f seconds",
		now.UTC().Format("2006-01-02T15:04:05.000Z"), id, after.Seconds())})
}
