package booking

import (
	"context"
	"errors"
	"time"
)

// Sweep finishes what nobody else will: lapsed holds, lost messages, charges and
// refunds whose owner died, drift of the gate. It goes through the steps that a
// request or a message would take, so it may meet any of them at work, and another
// sweep.
//
// Died anywhere: the next run goes on. One row that fails is reported and does not
// keep the rest from being served.
type Sweep struct {
	Compensate
	Queue     Queue
	Reconcile Reconcile
	Grace     time.Duration // SWEEP_GRACE
	Batch     int           // rows of each kind in one round
	Reserve   time.Duration // what must be left of the context's deadline to begin another row
}

// SweepReport counts what one run did, by kind.
type SweepReport struct {
	Lapsed     int      `json:"lapsed"`
	Sent       int      `json:"sent"`
	Settled    int      `json:"settled"`
	Reconciled int      `json:"reconciled"`
	Purged     int64    `json:"purged"`
	Unfinished bool     `json:"unfinished"` // the time was up before the work was
	Faults     []string `json:"faults"`
}

// unsentAge is how old an outbox row must be before the sweep takes it for forgotten.
const unsentAge = 5 * time.Second

// Run goes once through every kind of work, in the order in which waiting hurts. The
// error joins the faults; the report counts what was done all the same.
func (s Sweep) Run(ctx context.Context) (SweepReport, error) {
	report := SweepReport{Faults: []string{}}
	var faults []error
	for _, part := range []func(context.Context, *SweepReport) error{
		s.lapse, s.forward, s.settle, s.reconcile, s.purge,
	} {
		if err := part(ctx, &report); err != nil {
			faults = append(faults, err)
			report.Faults = append(report.Faults, err.Error())
		}
	}
	return report, errors.Join(faults...)
}

func (s Sweep) lapse(ctx context.Context, report *SweepReport) (err error) {
	report.Lapsed, err = s.rounds(ctx, report, func() (int, int, error) {
		ids, err := s.Store.LapsedBookings(ctx, s.Grace, s.Batch)
		if err != nil {
			return 0, 0, err
		}
		done, err := s.each(ctx, report, "lapse booking", ids, func(id int64) error {
			result, err := s.Store.Lapse(ctx, id, s.Grace)
			if err != nil {
				return err
			}
			return finish(ctx, s.Gate, s.Queue, s.Store, result)
		})
		return len(ids), done, err
	})
	return err
}

func (s Sweep) forward(ctx context.Context, report *SweepReport) (err error) {
	report.Sent, err = s.rounds(ctx, report, func() (int, int, error) {
		rows, err := s.Store.Unsent(ctx, unsentAge, s.Batch)
		if err != nil || len(rows) == 0 {
			return 0, 0, err
		}
		if err := dispatch(ctx, s.Queue, s.Store, rows); err != nil {
			return len(rows), 0, err
		}
		return len(rows), len(rows), nil
	})
	return err
}

// settle looks up charges before it returns money: what a look-up finds may have to go
// back in the same run.
func (s Sweep) settle(ctx context.Context, report *SweepReport) error {
	var faults []error
	for _, due := range []func(context.Context, int) ([]int64, error){s.Store.DueApprovals, s.Store.DueRefunds} {
		done, err := s.rounds(ctx, report, func() (int, int, error) {
			ids, err := due(ctx, s.Batch)
			if err != nil {
				return 0, 0, err
			}
			done, err := s.each(ctx, report, "settle booking", ids, func(id int64) error {
				return s.Compensate.Run(ctx, Message{Task: TaskCompensate, BookingID: id})
			})
			return len(ids), done, err
		})
		report.Settled += done
		faults = append(faults, err)
	}
	return errors.Join(faults...)
}

func (s Sweep) reconcile(ctx context.Context, report *SweepReport) error {
	var faults []error
	for after := int64(0); s.timeLeft(ctx, report); {
		ids, err := s.Store.OnSale(ctx, after, s.Batch)
		if err != nil || len(ids) == 0 {
			return errors.Join(append(faults, err)...)
		}
		done, err := s.each(ctx, report, "reconcile product", ids, func(id int64) error {
			r, err := s.Reconcile.Run(ctx, id)
			if err == nil && !r.changed() {
				return ErrNothingDue
			}
			return err
		})
		report.Reconciled += done
		faults = append(faults, err)
		after = ids[len(ids)-1]
	}
	return errors.Join(faults...)
}

func (s Sweep) purge(ctx context.Context, report *SweepReport) error {
	n, err := s.Store.Purge(ctx, s.Batch)
	report.Purged = n
	return err
}
