package main

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"

	"stayhold/lua"
	"stayhold/shared/booking"
	"stayhold/shared/postgres"
	"stayhold/shared/postgres/postgrestest"
)

const (
	// spreadProducts keep 16 workers from meeting at one row.
	spreadProducts = 64
	// completeCalls are those of a worker and round, of a paid booking each.
	completeCalls = 30
	// apartCalls are those of a worker and round with Postgres apart, which takes its time.
	apartCalls = 80
	// apart is how far away the other Postgres is: each of its answers comes so much later.
	apart = time.Millisecond
	// apartAtOnce are as many as a small machine has processors: what is compared is how long one waits for answers, and
	// more would wait for a processor, which a database apart has for itself.
	apartAtOnce = 2
	minLeft     = 5 * time.Second // of booking.Complete
	window      = 10 * time.Minute
)

// completeGroup measures complete beside one stored call, and beside the statements that it stands for.
func completeGroup(ctx context.Context, b *bench) error {
	l, err := openLab(ctx, b.root, filepath.Join(b.work, "complete"))
	if err != nil {
		return err
	}
	defer l.close()
	if err := l.within(func() error { return stored(ctx, b, l) }); err != nil {
		return err
	}
	wire, err := postgrestest.NewWire(l.database)
	if err != nil {
		return err
	}
	l.later(wire.Close)
	wire.Delay(apart)
	for _, one := range []struct {
		id, name string
		products int
		goal     float64
	}{{"7a", "spread", spreadProducts, 3.5}, {"7b", "one hot product", 1, 2}} {
		err := l.within(func() error {
			r, err := l.completes(ctx, b, duel{
				name: one.name, workers: apartAtOnce, calls: apartCalls,
				handler: leg{name: "handler"}, floor: leg{name: "statements"},
			}, wire.URL(), one.products, (*lab).bareStatements)
			if err != nil {
				return err
			}
			b.report.goal(one.id, fmt.Sprintf("complete ÷ seven statements, Postgres %v away, %s: throughput", apart, one.name), r.ratio(sample.perSecond), atLeast, one.goal)
			b.report.both("complete-"+one.id, r)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// stored measures complete beside its one statement and its one script.
func stored(ctx context.Context, b *bench, l *lab) error {
	r, err := l.completes(ctx, b, duel{
		name: "complete", workers: atOnce, calls: completeCalls, rounds: b.oftener(), handler: leg{name: "handler"}, floor: leg{name: "floor"},
	}, l.database, spreadProducts, (*lab).bareComplete)
	if err != nil {
		return err
	}
	b.report.goal("6", "complete ÷ statement + EVALSHA: p50", r.ratio(p50), atMost, 1.10)
	b.report.ratio("6b", "    throughput", r.ratio(sample.perSecond))
	b.report.ratio("6c", "    p99", r.ratio(p99))
	b.report.both("complete", r)
	return nil
}

// completes plays a duel of completes on paid bookings that both legs share.
func (l *lab) completes(ctx context.Context, b *bench, d duel, database string, products int, floor func(*lab, context.Context, string, *supply) (call, error)) (result, error) {
	if d.rounds == 0 {
		d.rounds = b.rounds
	}
	if b.quick {
		d.calls /= 10
	}
	began := time.Now()
	all, err := l.productsOf(ctx, products, int64(d.needs()))
	if err != nil {
		return result{}, err
	}
	s, err := l.ready(ctx, d.needs(), all)
	if err != nil {
		return result{}, err
	}
	b.say("%-10s %d bookings are paid and held  (%.1f s)", d.name, len(s.all), time.Since(began).Seconds())
	d.handler.open = func(context.Context) (call, error) {
		return l.completing(postgres.Options{URL: postgrestest.Functions(database)}, s)
	}
	d.floor.open = func(ctx context.Context) (call, error) { return floor(l, ctx, database, s) }
	return d.fight(ctx, b.say)
}

// completing is the handler, as CompleteFunction wires it.
func (l *lab) completing(o postgres.Options, s *supply) (call, error) {
	db, gate, err := l.ports(o)
	if err != nil {
		return nil, err
	}
	step := booking.Complete{Store: db, Gate: gate, Queue: noQueue{}, Window: window}
	edge, err := l.edge(step)
	if err != nil {
		return nil, err
	}
	ask := asking(edge.Complete(step.Run), 200)
	return func(ctx context.Context) error {
		p, err := s.take()
		if err != nil {
			return err
		}
		return ask(ctx, l.complete.of(p.user, p.id))
	}, nil
}

// bareConfirm is the gate's part of a complete.
func (l *lab) bareConfirm(ctx context.Context) (func(context.Context, paid) error, error) {
	client, err := l.bareGate(ctx, lua.ConfirmHold)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, p paid) error {
		tag := fmt.Sprintf("stayhold:{%d}:", p.product)
		keys := []string{tag + "product", tag + "holds", tag + "tokens", tag + "marks", tag + "warm", tag + "bookings"}
		answer, err := client.EvalSha(ctx, lua.ConfirmHold.SHA, keys, p.user, p.token, p.id).Text()
		if err == nil && answer != "OK" {
			err = fmt.Errorf("unexpected answer: %s", answer)
		}
		return err
	}, nil
}

// completeSQL is the statement of postgres.Store.Complete.
const completeSQL = `SELECT complete_booking($1, $2, $3, $4, $5)`

// bareBy is a complete with nothing around it: what decides it on a connection of its own, then the script.
func (l *lab) bareBy(ctx context.Context, url string, s *supply, decide func(context.Context, *pgx.Conn, paid) error) (call, error) {
	conn, err := l.bare(ctx, url)
	if err != nil {
		return nil, err
	}
	confirm, err := l.bareConfirm(ctx)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		p, err := s.take()
		if err != nil {
			return err
		}
		if err := decide(ctx, conn, p); err != nil {
			return err
		}
		return confirm(ctx, p)
	}, nil
}

// bareComplete is the floor of a complete: the statement, then the script.
func (l *lab) bareComplete(ctx context.Context, database string, s *supply) (call, error) {
	return l.bareBy(ctx, postgrestest.Functions(database), s, func(ctx context.Context, conn *pgx.Conn, p paid) error {
		var outcome []byte
		err := conn.QueryRow(ctx, completeSQL, p.user, p.id, minLeft.Milliseconds(), nil, []string(nil)).Scan(&outcome)
		if err == nil && !bytes.Contains(outcome, []byte(`"status": "CONFIRMED"`)) {
			err = fmt.Errorf("unexpected answer: %s", outcome)
		}
		return err
	})
}
