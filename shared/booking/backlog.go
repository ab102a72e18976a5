package booking

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Outstanding is the work that somebody still has to do, for whoever watches over the sale:
// ages in whole seconds of the oldest of each kind, 0 where there is none.
type Outstanding struct {
	UnknownCharge int64 // since the charge was begun whose outcome is not known
	PendingRefund int64 // since the refund was commanded
	StuckRefunds  int64 // bookings whose refund has failed so often that the buyer is told
	UnsentMessage int64 // since the message was promised
	LapsedHold    int64 // since the hold ended whose booking is still open
}

// turn is one kind of work's share of a sweep.
type turn struct {
	report *SweepReport
	until  time.Time // no further row is begun after it; zero: whenever
	cut    bool      // it ended before its rows did
	more   bool      // something was done, and there is more of it
}

// turn shares the time that is left among so many kinds of work.
func (s Sweep) turn(ctx context.Context, report *SweepReport, among int) *turn {
	t := &turn{report: report}
	if deadline, ok := ctx.Deadline(); ok {
		t.until = time.Now().Add(time.Until(deadline.Add(-s.Reserve)) / time.Duration(among))
	}
	return t
}

// left says whether another row may be begun.
func (t *turn) left() bool { return t.until.IsZero() || time.Now().Before(t.until) }

// full says what a whole batch, or one that was cut, means: that there is more.
func (t *turn) full(found, batch, done int) { t.more = (found >= batch || t.cut) && done > 0 }

// timeLeft says whether another row of any kind may be begun.
func (s Sweep) timeLeft(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ctx.Err() == nil && (!ok || time.Until(deadline) > s.Reserve)
}

// each runs one row after the other until the list or the turn is over. A row that
// fails does not keep the rest from being served.
func (s Sweep) each(ctx context.Context, t *turn, what string, ids []int64, run func(int64) error) (done int, err error) {
	var faults []error
	for _, id := range ids {
		if ctx.Err() != nil || !t.left() {
			t.cut = true
			break
		}
		switch err := run(id); {
		case err == nil:
			done++
		case errors.Is(err, ErrLeftToSweep):
			done++
			if errors.Is(err, ErrRefundStuck) {
				t.report.Stuck++
			}
			t.report.Faults = append(t.report.Faults, fmt.Sprintf("%s %d: %v", what, id, err))
		case !errors.Is(err, ErrNothingDue):
			faults = append(faults, fmt.Errorf("%s %d: %w", what, id, err))
		}
	}
	return done, errors.Join(faults...)
}
