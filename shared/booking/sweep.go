package booking

import (
	"context"
	"errors"
	"slices"
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
	Grace     time.Duration   // SWEEP_GRACE
	Batch     int             // rows of each kind in one round
	Reserve   time.Duration   // what must be left of the context's deadline to begin another row
	First     func(n int) int // which of n products is looked at first; nil: the first of them
}

// SweepReport counts what one run did, by kind.
type SweepReport struct {
	Lapsed     int      `json:"lapsed"`
	Sent       int      `json:"sent"`
	Settled    int      `json:"settled"`
	Stuck      int      `json:"stuck"` // bookings of which a refund was tried again, in vain as before
	Reconciled int      `json:"reconciled"`
	Purged     int64    `json:"purged"`
	Unfinished bool     `json:"unfinished"` // the time was up before the work was
	Faults     []string `json:"faults"`

	products []int64 // those that are not looked at yet
	listed   bool    // products has been read
	cleared  bool    // what has expired has had its share of the time
}

// unsentAge is how old an outbox row must be before the sweep takes it for forgotten.
const unsentAge = 5 * time.Second

// purgeBatch is how many rows of each table one purge deletes.
const purgeBatch = 5000

// Run gives every kind of work a turn of one batch, with a share of the time, and goes
// round again while somebody has more to do: neither a backlog nor a hanging gateway
// keeps one kind from being served. What calls the gateway comes last. The error joins
// the faults; the report counts what was done all the same.
func (s Sweep) Run(ctx context.Context) (SweepReport, error) {
	report := SweepReport{Faults: []string{}}
	var faults []error
	cut := false
	parts := []func(context.Context, *turn) error{s.lapse, s.forward, s.reconcile, s.purge, s.refund, s.resolve}
	for again := true; again && s.timeLeft(ctx); {
		again, cut = false, false
		for i, part := range parts {
			t := s.turn(ctx, &report, len(parts)-i)
			if err := part(ctx, t); err != nil {
				faults = append(faults, err)
				report.Faults = append(report.Faults, texts(err)...)
			}
			again, cut = again || t.more, cut || t.cut
		}
	}
	report.Unfinished = cut || !s.timeLeft(ctx)
	return report, errors.Join(faults...)
}

// texts are those of each error that was joined.
func texts(err error) (all []string) {
	several, ok := err.(interface{ Unwrap() []error }) //nolint:errorlint // what is wrapped is one fault
	if !ok {
		return []string{err.Error()}
	}
	for _, one := range several.Unwrap() {
		all = append(all, texts(one)...)
	}
	return all
}

func (s Sweep) lapse(ctx context.Context, t *turn) error {
	ids, err := s.Store.LapsedBookings(ctx, s.Grace, s.Batch)
	if err != nil {
		return err
	}
	var after []error // the fence is committed, and its rows command what is left
	done, err := s.each(ctx, t, "lapse booking", ids, func(id int64) error {
		result, err := s.Store.Lapse(ctx, id, s.Grace)
		if err == nil {
			after = append(after, finish(ctx, s.Gate, s.Queue, s.Store, result))
		}
		return err
	})
	t.report.Lapsed += done
	t.full(len(ids), s.Batch, done)
	return errors.Join(err, errors.Join(after...))
}

func (s Sweep) forward(ctx context.Context, t *turn) error {
	rows, err := s.Store.Unsent(ctx, unsentAge, s.Batch)
	if err != nil || len(rows) == 0 {
		return err
	}
	if err := dispatch(ctx, s.Queue, s.Store, rows); err != nil {
		return err
	}
	t.report.Sent += len(rows)
	t.full(len(rows), s.Batch, len(rows))
	return nil
}

func (s Sweep) refund(ctx context.Context, t *turn) error {
	return s.settle(ctx, t, s.Store.DueRefunds)
}

func (s Sweep) resolve(ctx context.Context, t *turn) error {
	return s.settle(ctx, t, s.Store.DueApprovals)
}

// settle does for each booking what a message would.
func (s Sweep) settle(ctx context.Context, t *turn, due func(context.Context, int) ([]int64, error)) error {
	ids, err := due(ctx, s.Batch)
	if err != nil {
		return err
	}
	done, err := s.each(ctx, t, "settle booking", ids, func(id int64) error {
		return s.Compensate.Run(ctx, Message{Task: TaskCompensate, BookingID: id})
	})
	t.report.Settled += done
	t.full(len(ids), s.Batch, done)
	return err
}

// reconcile looks at every product once in a run, turn by turn. A run that has no time for
// all of them begins elsewhere than the one before.
func (s Sweep) reconcile(ctx context.Context, t *turn) error {
	if !t.report.listed {
		if err := s.list(ctx, t.report); err != nil {
			return err
		}
	}
	looked := 0
	done, err := s.each(ctx, t, "reconcile product", t.report.products, func(id int64) error {
		looked++
		r, err := s.Reconcile.Run(ctx, id)
		if err == nil && !r.changed() {
			return ErrNothingDue
		}
		return err
	})
	t.report.Reconciled += done
	t.report.products = t.report.products[looked:]
	t.more = len(t.report.products) > 0 && looked > 0
	return err
}

// listPage is how many ids of products are read at once.
const listPage = 1000

// list notes the products that are to be looked at.
func (s Sweep) list(ctx context.Context, report *SweepReport) error {
	var all []int64
	for after := int64(0); ; after = all[len(all)-1] {
		page, err := s.Store.OnSale(ctx, after, listPage)
		if err != nil {
			return err
		}
		all = append(all, page...)
		if len(page) < listPage {
			break
		}
	}
	first := 0
	if s.First != nil && len(all) > 0 {
		first = s.First(len(all))
	}
	report.products, report.listed = slices.Concat(all[first:], all[:first]), true
	return nil
}

// purge goes on for its share of the time in the first round: a gateway that hangs may leave
// no second one, and rows come at any rate. After that it keeps to one batch.
func (s Sweep) purge(ctx context.Context, t *turn) error {
	for again := true; again; again = t.more && t.left() && !t.report.cleared {
		n, err := s.Store.Purge(ctx, purgeBatch)
		if err != nil {
			return err
		}
		t.report.Purged += n
		t.more = n >= purgeBatch
	}
	t.report.cleared = true
	return nil
}
