package hold

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"stayhold/lua"
	"stayhold/shared/booking"
)

// once is a command that is never sent again after a failure that leaves open whether
// it ran: MaxRetries alone does not stop the cluster client. A redirection (MOVED,
// ASK) proves that nothing ran, and is followed.
type once struct{ *redis.Cmd }

// NoRetry is asked by the library after each failure.
func (once) NoRetry() bool { return true }

// invocation is one script with its keys and arguments.
type invocation struct {
	script lua.Script
	keys   []string
	args   []string
}

// command builds EVALSHA (or EVAL, which also makes the script known) for an
// invocation.
func (in invocation) command(ctx context.Context, name, script string) once {
	args := make([]any, 0, 3+len(in.keys)+len(in.args))
	args = append(args, name, script, len(in.keys))
	for _, k := range in.keys {
		args = append(args, k)
	}
	for _, a := range in.args {
		args = append(args, a)
	}
	cmd := redis.NewCmd(ctx, args...)
	cmd.SetFirstKeyPos(3)
	return once{cmd}
}

func (in invocation) bySHA(ctx context.Context) once {
	return in.command(ctx, "evalsha", in.script.SHA)
}
func (in invocation) bySource(ctx context.Context) once {
	return in.command(ctx, "eval", in.script.Source)
}

// While a slot's keys are on their way to another node, neither has them all, for some
// milliseconds as a rule. A call is sent so many times, with pauses that double.
const (
	sends      = 5
	firstPause = 5 * time.Millisecond
)

// run sends one command; another one only when Redis says that it has run nothing: because
// it does not know the script, or because the script's slot is being moved.
func (g *Gate) run(ctx context.Context, in invocation) (reply, error) {
	if err := g.await(ctx); err != nil {
		return reply{}, unavailable(in.script.Name, err)
	}
	cmd, err := g.send(ctx, in)
	for sent, pause := 1, firstPause; onTheMove(err) && sent < sends && rest(ctx, pause); sent, pause = sent+1, 2*pause {
		cmd, err = g.send(ctx, in)
	}
	if err != nil {
		g.lookAround(ctx)
		return reply{}, unavailable(in.script.Name, err)
	}
	return reply{script: in.script.Name, value: cmd.Val()}, nil
}

// send names the script, and sends it whole where it is not known.
func (g *Gate) send(ctx context.Context, in invocation) (once, error) {
	cmd := in.bySHA(ctx)
	err := g.client.Process(ctx, cmd)
	if unknownScript(err) {
		cmd = in.bySource(ctx)
		err = g.client.Process(ctx, cmd)
	}
	return cmd, err
}

// runAll sends several read-only invocations in one flush, and those whose script was
// not known in one more.
func (g *Gate) runAll(ctx context.Context, ins []invocation) ([]reply, error) {
	if err := g.await(ctx); err != nil {
		return nil, unavailable(ins[0].script.Name, err)
	}
	cmds := make([]once, len(ins))
	for i, in := range ins {
		cmds[i] = in.bySHA(ctx)
	}
	g.flush(ctx, cmds)

	var unknown []once
	for i, in := range ins {
		if unknownScript(cmds[i].Err()) {
			cmds[i] = in.bySource(ctx)
			unknown = append(unknown, cmds[i])
		}
	}
	if len(unknown) > 0 {
		g.flush(ctx, unknown)
	}

	replies := make([]reply, len(ins))
	for i, in := range ins {
		if err := cmds[i].Err(); err != nil {
			g.lookAround(ctx)
			return nil, unavailable(in.script.Name, err)
		}
		replies[i] = reply{script: in.script.Name, value: cmds[i].Val()}
	}
	return replies, nil
}

// flush sends commands as one batch; each then bears its own error.
func (g *Gate) flush(ctx context.Context, cmds []once) {
	batch := g.client.Pipeline()
	for _, c := range cmds {
		// Queueing cannot fail; what happens to the command, it tells itself.
		_ = batch.Process(ctx, c)
	}
	_, _ = batch.Exec(ctx)
}

// lookAround has a cluster's layout read anew after a failure: a command that is not
// retried would otherwise go to a dead master until the layout's next periodic read.
func (g *Gate) lookAround(ctx context.Context) {
	if c, ok := g.client.(*redis.ClusterClient); ok {
		c.ReloadState(ctx)
	}
}

func unknownScript(err error) bool {
	return err != nil && redis.HasErrorPrefix(err, "NOSCRIPT")
}

// onTheMove says that some of the keys are here and some are not: nothing has run.
func onTheMove(err error) bool {
	return err != nil && redis.HasErrorPrefix(err, "TRYAGAIN")
}

// rest says whether the context outlived the pause.
func rest(ctx context.Context, pause time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(pause):
		return true
	}
}

// unavailable says that the answer of a call is not known. A key of another type is
// nobody's of ours.
func unavailable(what string, cause error) error {
	if strings.Contains(cause.Error(), "WRONGTYPE") {
		cause = fmt.Errorf("%w: %w", booking.ErrGateDamaged, cause)
	}
	return booking.ErrUnavailable.Because(fmt.Errorf("gate: %s: %w", what, cause))
}

var errReply = fmt.Errorf("%w: the reply has not the form that the script gives", booking.ErrGateDamaged)

// reply is a script's answer. Its readers collect the first misfit instead of
// returning an error each: err tells at the end.
type reply struct {
	script string
	value  any
	err    error
}

func (r *reply) misfit() {
	if r.err == nil {
		r.err = unavailable(r.script, errReply)
	}
}

// list is the reply as a list of at least n values.
func (r *reply) list(n int) []any {
	values, ok := r.value.([]any)
	if !ok || len(values) < n {
		r.misfit()
		return make([]any, n)
	}
	return values
}

func (r *reply) text(value any) string {
	s, ok := value.(string)
	if !ok {
		r.misfit()
	}
	return s
}

func (r *reply) integer(value any) int64 {
	switch v := value.(type) {
	case int64:
		return v
	case string:
		if n, err := strconv.ParseInt(v, 10, 64); err == nil {
			return n
		}
	}
	r.misfit()
	return 0
}

// moment reads milliseconds since 1970 as Redis writes a score: digits, digits with an
// exponent, or inf, which is no moment (the zero time).
func (r *reply) moment(value any) time.Time {
	ms, err := strconv.ParseFloat(r.text(value), 64)
	if err != nil {
		r.misfit()
		return time.Time{}
	}
	if math.IsInf(ms, 1) {
		return time.Time{}
	}
	return time.UnixMilli(int64(ms)).UTC()
}

// millis writes a moment for a script, rounded up: what lasts until a moment never
// ends before it.
func millis(t time.Time) string {
	ms := t.UnixMilli()
	if t.Nanosecond()%int(time.Millisecond) != 0 {
		ms++
	}
	return strconv.FormatInt(ms, 10)
}

func decimal(n int64) string { return strconv.FormatInt(n, 10) }
