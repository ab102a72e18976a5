package booking_test

import (
	"context"
	"fmt"
	"slices"

	"stayhold/shared/booking/bookingtest"
)

// cutter cuts one invocation at one of its port calls.
type cutter struct {
	at     int // which call, from 1; 0: none
	fate   bookingtest.Fate
	calls  []string
	answer error // of the invocation, once it is over
}

// meet is asked at every call of the invocation, until it is dead.
func (c *cutter) meet(_ context.Context, call string) bookingtest.Fate {
	c.calls = append(c.calls, call)
	if len(c.calls) != c.at {
		return bookingtest.Passes
	}
	return c.fate
}

// happened says that the invocation came to the call at which it was to be cut.
func (c *cutter) happened() bool { return c.at > 0 && len(c.calls) >= c.at }

// gaveUp says that the invocation missed an answer, failed, and changed nothing more:
// had it died there, or before it, the same would stand.
func (c *cutter) gaveUp() bool {
	missed := c.fate == bookingtest.ReplyLost || c.fate == bookingtest.Fails
	return missed && c.answer != nil && c.happened() && !slices.ContainsFunc(c.calls[c.at:], changes)
}

func changes(call string) bool { return !onlyReads(call) }

func (c *cutter) String() string {
	if c == nil || !c.happened() {
		return "is not cut"
	}
	return fmt.Sprintf("%s %s (call %d)", c.fate, c.calls[c.at-1], c.at)
}

// dying is the world as an invocation with a cutter sees it.
func (w *world) dying(c *cutter) *world {
	d := *w.plainly()
	ports := bookingtest.Ports{Store: d.storePort, Gate: d.gatePort, Gateway: d.gateway, Queue: d.queuePort}.Between(c.meet)
	d.storePort, d.gatePort, d.gateway, d.queuePort, d.under = ports.Store, ports.Gate, ports.Gateway, ports.Queue, w.plainly()
	return &d
}

// plainly is the world without a cutter.
func (w *world) plainly() *world {
	if w.under != nil {
		return w.under
	}
	return w
}
