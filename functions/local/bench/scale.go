package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/redis/go-redis/v9"

	"stayhold/lua"
	"stayhold/shared/booking"
)

const (
	scaleUnits = 10
	// scaleLimit is how long a crowd is waited for.
	scaleLimit = 12 * time.Second
)

// crowds come in so many rounds; the usual designs are spared the largest, and come once with the one before.
var crowds = []struct{ buyers, rounds, usual int }{{1_000, 5, 5}, {10_000, 3, 1}, {100_000, 1, 0}}

// design is one way of selling few units to many.
type design struct {
	id, name string
	usual    bool
	open     func(context.Context) (attempt, error)
	workers  []attempt
}

// scaleGroup measures how long crowds of different sizes wait for the last answer, through the handlers, through the
// bare script, and through handlers in which the two usual designs stand where the gate and the store do.
func scaleGroup(ctx context.Context, b *bench) error {
	l, err := openLab(ctx, b.root, filepath.Join(b.work, "scale"))
	if err != nil {
		return err
	}
	defer l.close()
	log, err := l.bareGate(ctx, lua.PlaceHold)
	if err != nil {
		return err
	}
	all := []*design{
		{id: "scale", name: "through the handlers", open: l.knocking},
		{id: "scale-script", name: "the bare script", open: l.byScript},
		{id: "scale-lock", name: "SELECT … FOR UPDATE", usual: true, open: l.inEdge(l.byLock)},
		{id: "scale-version", name: "a version column, with retries", usual: true, open: l.inEdge(l.byVersion)},
	}
	for _, d := range all {
		if err := l.gather(ctx, d); err != nil {
			return fmt.Errorf("%s: %w", d.name, err)
		}
	}
	for _, c := range crowds {
		if b.quick {
			c.buyers, c.rounds, c.usual = c.buyers/20, 1, min(c.usual, 1)
		}
		if err := l.crowds(ctx, b, log, all, c.buyers, c.rounds, c.usual); err != nil {
			return err
		}
	}
	return nil
}

// gather opens a design's workers, and has each sell something.
func (l *lab) gather(ctx context.Context, d *design) error {
	product, err := l.product(ctx, unlimited)
	if err != nil {
		return err
	}
	var calls []call
	for range atOnce {
		one, err := d.open(ctx)
		if err != nil {
			return err
		}
		d.workers = append(d.workers, one)
		calls = append(calls, func(ctx context.Context) error {
			_, err := one(ctx, l.user(), product)
			return err
		})
	}
	if err := l.warm(ctx, product); err != nil {
		return err
	}
	_, err = play(ctx, calls, func(_ time.Duration, n int) bool { return n < warmCalls })
	return err
}

// crowds has the designs take turns with crowds of one size.
func (l *lab) crowds(ctx context.Context, b *bench, log *redis.Client, all []*design, buyers, rounds, usual int) error {
	took, rate := map[string][]float64{}, map[string][]float64{}
	names := map[string]string{}
	for round := range rounds {
		for turn := range all {
			d := all[(round+turn)%len(all)]
			if d.usual && round >= usual {
				continue
			}
			seconds, answered, err := l.crowd(ctx, log, d, buyers)
			if err != nil {
				return fmt.Errorf("%d buyers, %s: %w", buyers, d.name, err)
			}
			names[d.id] = fmt.Sprintf("%d buyers for %d units, %s", buyers, scaleUnits, d.name)
			if answered < buyers {
				names[d.id] += fmt.Sprintf(" (stopped, %d answered)", answered)
			}
			took[d.id], rate[d.id] = append(took[d.id], seconds), append(rate[d.id], float64(answered)/seconds)
			b.say("%-10s %s: %.2f s", "scale", names[d.id], seconds)
		}
	}
	for _, d := range all {
		if len(took[d.id]) > 0 {
			b.report.amount(fmt.Sprintf("%s-%d", d.id, buyers), names[d.id], "s", spreadOf(took[d.id]))
		}
	}
	var floor []float64
	for i, handlers := range rate["scale"] {
		floor = append(floor, handlers/rate["scale-script"][i])
	}
	b.report.ratio(fmt.Sprintf("scale-%d-floor", buyers), fmt.Sprintf("    handlers ÷ bare script, %d buyers: throughput", buyers), spreadOf(floor))
	return nil
}

// crowd sends so many buyers to a new product, as soon as one of the workers is free, and tells how long it took until
// each had his answer. As many as there are units are admitted, and where a gate stands they are the first at the gate.
func (l *lab) crowd(ctx context.Context, log *redis.Client, d *design, buyers int) (seconds float64, answered int, err error) {
	product, err := l.product(ctx, scaleUnits)
	if err != nil {
		return 0, 0, err
	}
	if err := l.warm(ctx, product); err != nil {
		return 0, 0, err
	}
	for _, set := range [][2]string{{"slowlog-max-len", "10000"}, {"slowlog-log-slower-than", "0"}} {
		if err := log.ConfigSet(ctx, set[0], set[1]).Err(); err != nil {
			return 0, 0, err
		}
	}
	var mu sync.Mutex
	var admitted []int64
	var next atomic.Int64
	var gone sync.Once // the log has seen enough
	calls := make([]call, len(d.workers))
	for i, one := range d.workers {
		calls[i] = func(ctx context.Context) error {
			if next.Add(1) > int64(buyers) {
				return nil
			}
			user := l.user()
			got, err := one(ctx, user, product)
			if err != nil {
				return err
			}
			if !got {
				gone.Do(func() { err = log.ConfigSet(ctx, "slowlog-log-slower-than", "-1").Err() })
				return err
			}
			mu.Lock()
			admitted = append(admitted, user)
			mu.Unlock()
			return nil
		}
	}
	s, err := play(ctx, calls, func(spent time.Duration, _ int) bool { return next.Load() < int64(buyers) && spent < scaleLimit })
	if err != nil {
		return 0, 0, err
	}
	answered = int(min(next.Load(), int64(buyers)))
	if len(admitted) != scaleUnits {
		return 0, 0, fmt.Errorf("%d were admitted to %d units", len(admitted), scaleUnits)
	}
	if !d.usual {
		err = inOrder(ctx, log, product, admitted)
	}
	return s.took.Seconds(), answered, err
}

// inOrder holds those who were admitted against the gate's own list of the commands that it ran, one after the other.
func inOrder(ctx context.Context, log *redis.Client, product int64, admitted []int64) error {
	ran, err := log.SlowLogGet(ctx, -1).Result()
	if err != nil {
		return err
	}
	slices.SortFunc(ran, func(a, b redis.SlowLog) int { return int(a.ID - b.ID) })
	key := fmt.Sprintf("stayhold:{%d}:product", product)
	var first []int64
	for _, one := range ran {
		// EVALSHA, digest, 5, the keys, user, …
		if len(one.Args) < 9 || !strings.EqualFold(one.Args[0], "evalsha") || one.Args[1] != lua.PlaceHold.SHA || one.Args[3] != key {
			continue
		}
		user, err := strconv.ParseInt(one.Args[8], 10, 64)
		if err != nil {
			return err
		}
		first = append(first, user)
	}
	if len(first) <= scaleUnits {
		return fmt.Errorf("the gate has written down %d calls", len(first))
	}
	first = first[:scaleUnits]
	slices.Sort(first)
	slices.Sort(admitted)
	if !slices.Equal(first, admitted) {
		return fmt.Errorf("the first at the gate were %v, and admitted were %v", first, admitted)
	}
	return nil
}

// knocking is the function's own handler.
func (l *lab) knocking(context.Context) (attempt, error) {
	handler, err := l.reserving(l.direct())
	return l.knock(handler), err
}

// inEdge puts another design's work where the step's is: event in, answer out, log and metrics as here.
func (l *lab) inEdge(open func(context.Context) (attempt, error)) func(context.Context) (attempt, error) {
	return func(ctx context.Context) (attempt, error) {
		take, err := open(ctx)
		if err != nil {
			return nil, err
		}
		edge, err := l.edge(nil) // which no request with a key asks
		if err != nil {
			return nil, err
		}
		return l.knock(edge.Reserve(func(ctx context.Context, cmd booking.ReserveCommand) (booking.Result, error) {
			got, err := take(ctx, cmd.UserID, cmd.ProductID)
			if err == nil && !got {
				err = booking.ErrSoldOut
			}
			return booking.Result{Created: true, Booking: booking.Booking{UserID: cmd.UserID, ProductID: cmd.ProductID, Status: booking.Init}}, err
		})), nil
	}
}

// knock invokes a handler, whose answer is a booking or that there is none left.
func (l *lab) knock(handler lambda.Handler) attempt {
	return func(ctx context.Context, user, product int64) (bool, error) {
		answer, err := handler.Invoke(ctx, l.event.of(user, product))
		switch {
		case err != nil:
			return false, err
		case bytes.HasPrefix(answer, []byte(`{"statusCode":201,`)):
			return true, nil
		case bytes.HasPrefix(answer, []byte(`{"statusCode":409,`)) && bytes.Contains(answer, []byte("SOLD_OUT")):
			return false, nil
		}
		return false, errors.New("unexpected answer: " + string(answer))
	}
}

// byScript asks the gate, and makes no booking.
func (l *lab) byScript(ctx context.Context) (attempt, error) {
	client, err := l.bareGate(ctx, lua.PlaceHold)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, user, product int64) (bool, error) {
		token, err := newToken()
		if err != nil {
			return false, err
		}
		tag := fmt.Sprintf("stayhold:{%d}:", product)
		keys := []string{tag + "product", tag + "holds", tag + "tokens", tag + "marks", tag + "bookings"}
		answer, err := client.EvalSha(ctx, lua.PlaceHold.SHA, keys, user, token, holdTTL.Milliseconds()).Slice()
		switch {
		case err != nil:
			return false, err
		case answer[0] == "NEW":
			return true, nil
		case answer[0] == "SOLD_OUT":
			return false, nil
		}
		return false, fmt.Errorf("unexpected answer: %v", answer)
	}, nil
}
