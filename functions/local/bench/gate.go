package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"stayhold/shared/hold/holdtest"
)

const (
	// batchCalls are sent in one flush: their answers are read together, and the server's clock before and after.
	batchCalls = 50
	// gateBatches are played by each call in a round. The median of their means passes over those in which the server
	// was kept from the processor.
	gateBatches = 30
)

// door is a Redis of the gate's own, and who asks it how long its scripts take.
type door struct {
	*bench
	client  *redis.Client
	product int64 // the last one that was made
	user    int64 // the last one who came
}

// gateGroup measures scripts by the server's own time: what a client and a wire add is not in it.
func gateGroup(ctx context.Context, b *bench) error {
	return b.atGate(ctx, func(d *door) error {
		if err := d.scripts(ctx); err != nil {
			return err
		}
		if err := d.sizes(ctx, "4", 1.20, 1_000, b.fewer(100_000), b.fewer(manyHolds)); err != nil {
			return err
		}
		return d.crowds(ctx)
	})
}

// atGate starts a Redis of the gate's own for the time of a measure.
func (b *bench) atGate(ctx context.Context, measure func(*door) error) error {
	srv, err := holdtest.Start(ctx, holdtest.Config{Dir: filepath.Join(b.work, "gate")})
	if err != nil {
		return err
	}
	defer srv.Stop()
	d, err := b.door(srv.URL())
	if err != nil {
		return err
	}
	defer d.client.Close()
	// A million holds would have the file rewritten in the middle, and each page that is then written be copied.
	if err := d.client.ConfigSet(ctx, "appendonly", "no").Err(); err != nil {
		return err
	}
	return measure(d)
}

// door asks the Redis at url.
func (b *bench) door(url string) (*door, error) {
	target, err := redis.ParseURL(url)
	if err != nil {
		return nil, err
	}
	target.Protocol, target.MaxRetries, target.DisableIdentity = 2, -1, true
	target.ReadTimeout, target.WriteTimeout = callLimit, callLimit
	target.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return &door{bench: b, client: redis.NewClient(target)}, nil
}

// gated are the keys of one product, as the scripts' headers name them.
type gated struct{ product, holds, tokens, marks, bookings, warm string }

func gateOf(product int64) gated {
	tag := fmt.Sprintf("stayhold:{%d}:", product)
	return gated{tag + "product", tag + "holds", tag + "tokens", tag + "marks", tag + "bookings", tag + "warm"}
}

// seed writes a new product with so many holds, which expire at that time: one after the other, a millisecond apart, the
// last at the time itself.
func (d *door) seed(ctx context.Context, holds, stock int64, until time.Time) (gated, error) {
	d.product++
	return d.fill(ctx, d.product, holds, stock, until, batchSpan)
}

// fill writes a product with so many holds, as the scripts leave them. Their expiries are spread over span milliseconds,
// up to that time.
func (d *door) fill(ctx context.Context, product, holds, stock int64, until time.Time, span int64) (gated, error) {
	k := gateOf(product)
	now := time.Now()
	facts := []any{
		"version", 1, "stock", stock, "sale_start_ms", now.Add(-time.Hour).UnixMilli(),
		"check_in_ms", now.AddDate(0, 1, 0).UnixMilli(), "active", 1,
	}
	const chunk = 1000
	pipe := d.client.Pipeline()
	pipe.HSet(ctx, k.product, facts...)
	for left := holds; left > 0; {
		n := min(left, chunk)
		places, tokens := make([]redis.Z, n), make([]any, 0, 2*n)
		for i := range places {
			d.user++
			left--
			places[i] = redis.Z{Score: float64(until.UnixMilli() - left%span), Member: d.user}
			tokens = append(tokens, d.user, tokenOf(d.user))
		}
		pipe.ZAdd(ctx, k.holds, places...)
		pipe.HSet(ctx, k.tokens, tokens...)
		if pipe.Len() >= 100 || left == 0 {
			if _, err := pipe.Exec(ctx); err != nil {
				return k, err
			}
		}
	}
	return k, nil
}

// batchSpan is over how many milliseconds the expiries of what is seeded are spread.
const batchSpan = 60_000

// tokenOf has the length of a hold's token.
func tokenOf(user int64) string { return fmt.Sprintf("%032x", user) }

// errand is one kind of call, each by another user. Other commands than EVALSHA set the scene before it, and take away
// after it what it left, so that each call meets the same.
type errand struct {
	name          string
	source        string
	keys          []string
	args          func(user int64) []any
	want          string
	before, after func(pipe redis.Pipeliner, user int64)
}

// play makes so many calls of an errand and gives the mean of the server's own time, in microseconds.
func (d *door) play(ctx context.Context, e errand, calls int) (float64, error) {
	known, err := d.client.ScriptLoad(ctx, e.source).Result()
	if err != nil {
		return 0, err
	}
	pipe := d.client.Pipeline()
	answers := make([]*redis.Cmd, calls)
	for i := range answers {
		d.user++
		if e.before != nil {
			e.before(pipe, d.user)
		}
		answers[i] = pipe.EvalSha(ctx, known, e.keys, e.args(d.user)...)
		if e.after != nil {
			e.after(pipe, d.user)
		}
	}
	callsBefore, before, err := d.spent(ctx)
	if err != nil {
		return 0, err
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return 0, fmt.Errorf("%s: %w", e.name, err)
	}
	callsAfter, after, err := d.spent(ctx)
	if err != nil {
		return 0, err
	}
	for _, a := range answers {
		got := a.Val()
		if list, ok := got.([]any); ok && len(list) > 0 {
			got = list[0]
		}
		if fmt.Sprint(got) != e.want {
			return 0, fmt.Errorf("%s: unexpected answer: %v", e.name, a.Val())
		}
	}
	if n := callsAfter - callsBefore; n != int64(calls) {
		return 0, fmt.Errorf("%s: the server counts %d calls of %d", e.name, n, calls)
	}
	return float64(after-before) / float64(calls), nil
}

// spent is how many EVALSHA the server has run, and how many microseconds they took it.
func (d *door) spent(ctx context.Context) (calls, micros int64, err error) {
	text, err := d.client.Info(ctx, "commandstats").Result()
	if err != nil {
		return 0, 0, err
	}
	const name = "cmdstat_evalsha:"
	_, line, found := strings.Cut(text, name)
	if !found {
		return 0, 0, nil // none so far
	}
	if _, err := fmt.Sscanf(line, "calls=%d,usec=%d,", &calls, &micros); err != nil {
		return 0, 0, fmt.Errorf("%s %w", name, err)
	}
	return calls, micros, nil
}

// alternate plays rounds in which the errands take turns, batch by batch, and gives the microseconds of one call: the
// median over the batches of each round.
func (d *door) alternate(ctx context.Context, what string, errands ...errand) (map[string][]float64, error) {
	began := time.Now()
	batches := int(d.fewer(gateBatches))
	times := map[string][]float64{}
	for range d.rounds {
		means := make([][]float64, len(errands))
		for batch := range batches {
			for turn := range errands {
				i := (batch + turn) % len(errands)
				mean, err := d.play(ctx, errands[i], batchCalls)
				if err != nil {
					return nil, err
				}
				means[i] = append(means[i], mean)
			}
		}
		for i, e := range errands {
			times[e.name] = append(times[e.name], spreadOf(means[i]).median)
		}
	}
	line := ""
	for _, e := range errands {
		line += fmt.Sprintf("   %s %.1f µs", e.name, spreadOf(times[e.name]).median)
	}
	d.say("%-10s %s%s  (%.1f s)", "gate", what, line, time.Since(began).Seconds())
	return times, nil
}

// quotients compares two series round by round.
func quotients(over, under []float64) spread {
	var values []float64
	for i := range over {
		if under[i] > 0 {
			values = append(values, over[i]/under[i])
		}
	}
	return spreadOf(values)
}

// oftener is for duels that end near their goal: of many short rounds, what drifts in the machine reaches the median less.
func (c config) oftener() int { return 2*c.rounds + 1 }

// fewer is how many are enough to show that everything works, when that is all that is asked.
func (c config) fewer(n int64) int64 {
	if c.quick {
		return max(1, n/20)
	}
	return n
}
