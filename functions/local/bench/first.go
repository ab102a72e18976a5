package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"stayhold/functions/local/sandbox"
	"stayhold/shared/booking"
	"stayhold/shared/postgres/postgrestest"
	"stayhold/shared/servertest"
)

// firstStarts is how often each function is started in a round, on either kind of servers.
const firstStarts = 3

// first is a function whose first request is timed.
type first struct {
	program
	status int
	event  func(context.Context) ([]byte, error) // of the next request, which nobody has sent before
}

// kind is a way to reach the servers, with what the first requests took there: milliseconds by function.
type kind struct {
	name, title string
	variables   []string
	all, waited map[string][]float64
}

// firstGroup measures the first request of an environment, from the start of its process to the answer, with Postgres and
// Redis over TLS that is verified, and in plain text. It waits at the Runtime API already, as after a cold start.
func firstGroup(ctx context.Context, b *bench) error {
	shown, authority, err := servertest.Vouched("127.0.0.1")
	if err != nil {
		return err
	}
	l, err := openLabWith(ctx, b.root, filepath.Join(b.work, "first"), postgrestest.Config{Certificate: &shown})
	if err != nil {
		return err
	}
	defer l.close()
	kinds, err := l.kinds(ctx, b, authority)
	if err != nil {
		return err
	}
	starts := b.rounds * int(b.fewer(firstStarts))
	firsts, err := l.firsts(ctx, b, len(kinds)*starts)
	if err != nil {
		return err
	}
	for n := range starts {
		for _, f := range firsts {
			for turn := range kinds {
				k := kinds[(n+turn)%len(kinds)]
				all, waited, err := f.start(ctx, k.variables)
				if err != nil {
					return fmt.Errorf("%s over %s: %w", f.name, k.title, err)
				}
				k.all[f.name], k.waited[f.name] = append(k.all[f.name], inMillis(all)), append(k.waited[f.name], inMillis(waited))
			}
		}
	}
	b.say("%-10s %d starts of each function on either kind of servers", "first", starts)
	for _, f := range firsts {
		for _, k := range kinds {
			id := "first-" + f.name + "-" + k.name
			b.report.amount(id, fmt.Sprintf("first request after init, %s: %s, exec to answer", k.title, f.name), "ms", spreadOf(k.all[f.name]))
			b.report.amount(id+"-next", "    of it from /next on", "ms", spreadOf(k.waited[f.name]))
		}
	}
	return nil
}

// kinds tells the functions of the same servers in plain text and over TLS, whom the authority vouches for.
func (l *lab) kinds(ctx context.Context, b *bench, authority []byte) ([]kind, error) {
	payments, err := l.startGateway(ctx, b)
	if err != nil {
		return nil, err
	}
	database := postgrestest.Functions(l.database)
	apart := append(payments, "COMPENSATION_QUEUE_URL=https://sqs.us-east-1.amazonaws.com/000000000000/compensation")
	of := func(name, title string, variables ...string) kind {
		return kind{name, title, append(variables, apart...), map[string][]float64{}, map[string][]float64{}}
	}
	return []kind{
		of("plain", "plain text", "DATABASE_URL="+database, "REDIS_URL="+l.redis),
		of("tls", "TLS", "DATABASE_URL="+strings.Replace(database, "sslmode=disable", "sslmode=verify-full", 1), "DATABASE_CA="+string(authority),
			"REDIS_URL="+l.secureRedis, "REDIS_CA="+string(authority), "TLS_REQUIRED=true"),
	}, nil
}

// start starts the function, whose first request waits for it: how long until the answer, and how much of that after it
// asked for work. The process is ended then.
func (f first) start(ctx context.Context, variables []string) (all, waited time.Duration, err error) {
	event, err := f.event(ctx)
	if err != nil {
		return 0, 0, err
	}
	host, err := sandbox.Listen()
	if err != nil {
		return 0, 0, err
	}
	defer func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), callLimit)
		defer cancel()
		if failed := host.Close(end); err == nil {
			err = failed
		}
	}()
	pool := host.Add(sandbox.Function{
		Name: f.name, Executable: f.path, Handler: "bootstrap", Timeout: callLimit, Memory: 256, Variables: variables, Output: io.Discard,
	}, 1)
	began := time.Now()
	r, err := pool.Invoke(ctx, event)
	all = time.Since(began)
	if err == nil && !bytes.HasPrefix(r.Payload, []byte(`{"statusCode":`+strconv.Itoa(f.status)+",")) {
		err = fmt.Errorf("unexpected answer: %s %s", r.Payload, r.Detail)
	}
	return all, r.Took, err
}

// firsts are the functions on the way of a sale that open connections in their init, with so many requests for each: of
// products whose gate is warm.
func (l *lab) firsts(ctx context.Context, b *bench, n int) ([]first, error) {
	built, err := b.functions()
	if err != nil {
		return nil, err
	}
	named := map[string]program{}
	for _, p := range built {
		named[p.name] = p
	}
	product, err := l.product(ctx, 2*int64(n)+1)
	if err != nil {
		return nil, err
	}
	approve, err := readEvent(filepath.Join(b.root, "events", "approve.json"))
	if err != nil {
		return nil, err
	}
	reserved := func(ctx context.Context) (booking.Booking, error) {
		step := booking.Reserve{Store: l.admin.Store, Gate: l.admin.Gate, HoldTTL: holdTTL, MaxOpenHolds: maxOpenHolds}
		r, err := step.Run(ctx, booking.ReserveCommand{UserID: l.user(), ProductID: product})
		return r.Booking, err
	}
	if _, err := reserved(ctx); err != nil {
		return nil, err
	}
	products, err := l.productsOf(ctx, 1, int64(n))
	if err != nil {
		return nil, err
	}
	s, err := l.ready(ctx, n, products)
	if err != nil {
		return nil, err
	}
	return []first{
		{named["reserve"], 201, func(context.Context) ([]byte, error) { return l.event.of(l.user(), product), nil }},
		{named["approve"], 200, func(ctx context.Context) ([]byte, error) {
			made, err := reserved(ctx)
			if err != nil {
				return nil, err
			}
			_, err = booking.Register{Store: l.admin.Store}.Run(ctx, booking.Registration{
				UserID: made.UserID, BookingID: made.ID, Set: booking.Set{{Method: booking.Card, Amount: made.Total}},
			})
			return approve.of(made.UserID, made.ID), err
		}},
		{named["complete"], 200, func(context.Context) ([]byte, error) {
			p, err := s.take()
			return l.complete.of(p.user, p.id), err
		}},
	}, nil
}
