package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"stayhold/lua"
)

const (
	manyHolds   = 1_000_000
	fewHolds    = 10
	lapsedHolds = 100_000
	// reclaimed is how many lapsed holds one call clears away.
	reclaimed = 16
)

// emptyScript is what calling any script costs.
const emptyScript = "return 1"

// reclaimScript clears all lapsed holds away at once, in the shortest way that there is.
const reclaimScript = `
local dead = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[3])
for i = 1, #dead, 1000 do
  redis.call('HDEL', KEYS[3], unpack(dead, i, math.min(i + 999, #dead)))
end
return redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ARGV[3])`

// place is a call of the script that admits, which gives that answer.
func place(name string, k gated, want string) errand {
	return errand{
		name: name, source: lua.PlaceHold.Source, want: want,
		keys: []string{k.product, k.holds, k.tokens, k.marks, k.bookings},
		args: func(user int64) []any { return []any{user, tokenOf(user), holdTTL.Milliseconds()} },
	}
}

// success is a place that is given, and emptied again.
func success(name string, k gated) errand {
	e := place(name, k, "NEW")
	e.after = func(pipe redis.Pipeliner, user int64) {
		pipe.ZRem(context.Background(), k.holds, user)
		pipe.HDel(context.Background(), k.tokens, fmt.Sprint(user))
	}
	return e
}

// release is a call of the script that empties a place.
func release(name string, k gated) errand {
	return errand{
		name: name, source: lua.ReleaseHold.Source, want: "OK",
		keys: []string{k.product, k.holds, k.tokens, k.marks, k.warm, k.bookings},
		args: func(user int64) []any { return []any{user, tokenOf(user)} },
		before: func(pipe redis.Pipeliner, user int64) {
			pipe.ZAdd(context.Background(), k.holds, redis.Z{Score: float64(time.Now().Add(holdTTL).UnixMilli()), Member: user})
			pipe.HSet(context.Background(), k.tokens, user, tokenOf(user))
		},
	}
}

// soldOut is the same product with no unit more than its holds, which knows that since its first refusal.
func (d *door) soldOut(ctx context.Context, k gated, holds int64) (gated, error) {
	facts := k.product + "-gone"
	if err := d.client.Copy(ctx, k.product, facts, 0, true).Err(); err != nil {
		return k, err
	}
	if err := d.client.HSet(ctx, facts, "stock", holds).Err(); err != nil {
		return k, err
	}
	k.product = facts
	_, err := d.play(ctx, place("the first refusal", k, "SOLD_OUT"), 1)
	return k, err
}

// scripts holds a reserve's script against the least that a script can be.
func (d *door) scripts(ctx context.Context) error {
	open, err := d.seed(ctx, fewHolds, manyHolds, time.Now().Add(holdTTL))
	if err != nil {
		return err
	}
	gone, err := d.soldOut(ctx, open, fewHolds)
	if err != nil {
		return err
	}
	empty := place("empty", open, "1")
	empty.source = emptyScript
	times, err := d.alternate(ctx, "a reserve's script: ", empty, success("success", open), place("sold out", gone, "SOLD_OUT"))
	if err != nil {
		return err
	}
	d.report.goal("3a", "script server time ÷ empty EVALSHA: success", quotients(times["success"], times["empty"]), atMost, 9)
	d.report.goal("3b", "    sold out behind the early gate", quotients(times["sold out"], times["empty"]), atMost, 4)
	return nil
}

// sizes measures a gate with each number of live holds, and holds the last, the largest, against one with ten.
func (d *door) sizes(ctx context.Context, id string, goal float64, sizes ...int64) error {
	began := time.Now()
	sizes = append([]int64{fewHolds}, sizes...)
	var errands []errand
	for _, holds := range sizes {
		open, err := d.seed(ctx, holds, 2*holds, time.Now().Add(holdTTL))
		if err != nil {
			return err
		}
		gone, err := d.soldOut(ctx, open, holds)
		if err != nil {
			return err
		}
		named := func(what string) string { return fmt.Sprintf("%s, %d", what, holds) }
		counted := place(named("counted"), gone, "SOLD_OUT")
		counted.before = func(pipe redis.Pipeliner, _ int64) { pipe.HDel(ctx, gone.product, "full_until") }
		errands = append(errands, success(named("success"), open), place(named("sold out"), gone, "SOLD_OUT"), counted, release(named("release"), open))
	}
	slices.SortFunc(errands, func(a, b errand) int { return strings.Compare(a.name, b.name) })
	most := sizes[len(sizes)-1]
	d.say("%-10s %d live holds are there  (%.1f s)", "gate", most, time.Since(began).Seconds())
	times, err := d.alternate(ctx, "", errands...)
	if err != nil {
		return err
	}
	for i, one := range []struct{ name, title string }{
		{"success", fmt.Sprintf("script time at %d live holds ÷ at %d: success", most, fewHolds)},
		{"sold out", "    sold out behind the early gate"},
		{"counted", "    sold out, counted anew"},
		{"release", "    release"},
	} {
		of := func(holds int64) []float64 { return times[fmt.Sprintf("%s, %d", one.name, holds)] }
		d.report.goal(id+string(rune('a'+i)), one.title, quotients(of(most), of(fewHolds)), atMost, goal)
		for _, holds := range sizes {
			d.report.amount(fmt.Sprintf("script-%s-%d", one.name, holds), fmt.Sprintf("    %d holds", holds), "µs", spreadOf(of(holds)))
		}
	}
	return nil
}

// crowds lets holds lapse at once, and has buyers come: each clears some away.
func (d *door) crowds(ctx context.Context) error {
	lapsed := d.fewer(lapsedHolds)
	calm, err := d.seed(ctx, lapsed, 10*manyHolds, time.Now().Add(holdTTL))
	if err != nil {
		return err
	}
	var first, draining []float64
	for range d.rounds {
		one, mean, err := d.crowd(ctx, calm, lapsed)
		if err != nil {
			return err
		}
		first, draining = append(first, one), append(draining, mean)
	}
	d.report.goal("5a", fmt.Sprintf("first call after %d holds lapse at once ÷ reclaiming them all", lapsed), spreadOf(first), atMost, 0.03)
	d.report.goal("5b", "    mean of the calls while draining ÷ when nothing has lapsed", spreadOf(draining), atMost, 2.5)
	return nil
}

// crowd plays one round: the first call and those that drain, beside all at once and a gate where nothing has lapsed.
func (d *door) crowd(ctx context.Context, calm gated, lapsed int64) (first, draining float64, err error) {
	began := time.Now()
	var both [2]gated
	for i := range both {
		if both[i], err = d.seed(ctx, lapsed, 10*manyHolds, time.Now().Add(-time.Second)); err != nil {
			return 0, 0, err
		}
	}
	drained, atOnce := both[0], place("reclaiming all", both[1], fmt.Sprint(lapsed))
	atOnce.source = reclaimScript
	atOnce.args = func(user int64) []any { return []any{user, tokenOf(user), time.Now().UnixMilli()} }
	all, err := d.play(ctx, atOnce, 1)
	if err != nil {
		return 0, 0, err
	}
	one, err := d.play(ctx, success("first", drained), 1)
	if err != nil {
		return 0, 0, err
	}
	var busy, idle []float64
	for left := lapsed - reclaimed; left >= reclaimed*batchCalls; left -= reclaimed * batchCalls {
		b, err := d.play(ctx, success("draining", drained), batchCalls)
		if err != nil {
			return 0, 0, err
		}
		i, err := d.play(ctx, success("calm", calm), batchCalls)
		if err != nil {
			return 0, 0, err
		}
		busy, idle = append(busy, b), append(idle, i)
	}
	left, err := d.client.ZCard(ctx, drained.holds).Result()
	if err != nil {
		return 0, 0, err
	}
	if left >= reclaimed*batchCalls {
		return 0, 0, fmt.Errorf("%d lapsed holds are left of %d", left, lapsed)
	}
	b, i := spreadOf(busy).median, spreadOf(idle).median
	d.say("%-10s %d lapsed: first %.0f µs, all at once %.0f µs, draining %.1f µs, calm %.1f µs  (%.1f s)",
		"gate", lapsed, one, all, b, i, time.Since(began).Seconds())
	return one / all, b / i, d.client.Unlink(ctx, drained.holds, drained.tokens).Err()
}
