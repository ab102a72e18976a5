package booking

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// timeLeft says whether another row may be begun.
func (s Sweep) timeLeft(ctx context.Context, report *SweepReport) bool {
	deadline, ok := ctx.Deadline()
	if ctx.Err() == nil && (!ok || time.Until(deadline) > s.Reserve) {
		return true
	}
	report.Unfinished = true
	return false
}

// each runs one row after the other until the list or the time is out.
func (s Sweep) each(ctx context.Context, report *SweepReport, what string, ids []int64, run func(int64) error) (done int, err error) {
	var faults []error
	for _, id := range ids {
		if !s.timeLeft(ctx, report) {
			break
		}
		switch err := run(id); {
		case err == nil:
			done++
		case !errors.Is(err, ErrNothingDue):
			faults = append(faults, fmt.Errorf("%s %d: %w", what, id, err))
		}
	}
	return done, errors.Join(faults...)
}

// rounds works through a backlog batch by batch, while each round gets something done
// and there is time.
func (s Sweep) rounds(ctx context.Context, report *SweepReport, one func() (found, done int, err error)) (total int, err error) {
	var faults []error
	for s.timeLeft(ctx, report) {
		found, done, err := one()
		total += done
		faults = append(faults, err)
		if found < s.Batch || done == 0 {
			break
		}
	}
	return total, errors.Join(faults...)
}
