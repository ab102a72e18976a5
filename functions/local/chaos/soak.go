package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"stayhold/functions/local/harness"
	"stayhold/functions/local/httpapi"
	"stayhold/shared/hold/holdtest"
	"stayhold/shared/postgres/postgrestest"
)

// lookEvery is how often a soak looks at everything.
const lookEvery = 10 * time.Second

// look is what a soak saw at one moment.
type look struct {
	At         float64 // seconds since the begin
	Visits     float64 // a second, since the look before
	Kills      float64 // since the begin
	Violations float64 // that the audit found and that no fault of the moment explains

	Front      float64 // MiB in memory
	Functions  float64 // MiB of all environments together
	Processes  float64 // environments
	Database   float64 // connections of the functions to Postgres
	Gate       float64 // connections to Redis
	Goroutines float64 // of the front

	Outbox, Keys, Attempts, Bookings float64 // rows
	Owed                             float64 // of the attempts, those that still want something of the gateway

	ended int      // visits so far
	found []string // by the audit
}

// always are the invariants that hold at every moment. The others hold once all is quiet: what the audit says of them in
// the middle of a fault must be gone at the next look.
var always = []string{"I1", "I2", "I3", "I6", "I8", "I9", "G2"}

// ageSQL makes everything that nobody needs any more as old as it has to be for the sweep to remove it: a day or a week
// passes for a row in a minute.
const ageSQL = `
WITH keys AS (UPDATE idempotency_key SET created_at = created_at - interval '25 hours' WHERE created_at BETWEEN now() - interval '1 hour' AND now() - interval '60 seconds'),
tokens AS (UPDATE spent_token SET created_at = created_at - interval '8 days' WHERE created_at BETWEEN now() - interval '1 hour' AND now() - interval '120 seconds')
UPDATE outbox SET sent_at = sent_at - interval '8 days' WHERE sent_at BETWEEN now() - interval '1 hour' AND now() - interval '60 seconds'`

// observe looks again and again, until ctx ends.
func (r *run) observe(ctx context.Context) error {
	r.say("%6s %7s %5s %5s | %7s %9s %5s | %4s %5s %10s | %6s %5s %5s %8s %8s", "second", "visits/s", "kills", "viol.",
		"front M", "functs M", "procs", "pg", "redis", "goroutines", "outbox", "keys", "owed", "attempts", "bookings")
	for n := 1; ; n++ {
		pause(ctx, time.Until(r.began.Add(time.Duration(n)*lookEvery)))
		if ctx.Err() != nil {
			return nil
		}
		var l look
		// A fault may be at work this very moment: what it hides is seen soon after.
		if err := eventually(ctx, backWithin, func() (bool, error) {
			var err error
			l, err = r.look(ctx)
			return err == nil, err
		}); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("a look at the stack: %w", err)
		}
		l.Violations = float64(r.judged(l.found))
		r.looks = append(r.looks, l)
		r.say("%6.0f %8.1f %5.0f %5.0f | %7.1f %9.1f %5.0f | %4.0f %5.0f %10.0f | %6.0f %5.0f %5.0f %8.0f %8.0f", l.At, l.Visits, l.Kills, l.Violations,
			l.Front, l.Functions, l.Processes, l.Database, l.Gate, l.Goroutines, l.Outbox, l.Keys, l.Owed, l.Attempts, l.Bookings)
	}
}

// look takes one.
func (r *run) look(ctx context.Context) (l look, err error) {
	if err := postgrestest.Exec(ctx, r.servers.databaseURL, ageSQL); err != nil {
		return l, err
	}
	err = postgrestest.Row(ctx, r.servers.databaseURL, `SELECT (SELECT count(*) FROM outbox), (SELECT count(*) FROM idempotency_key),
		(SELECT count(*) FROM payment_attempt), (SELECT count(*) FROM payment_attempt WHERE state IN ('REQUESTED', 'UNKNOWN', 'PENDING')), (SELECT count(*) FROM booking), (SELECT count(*) FROM pg_stat_activity WHERE application_name = 'stayhold')`,
		&l.Outbox, &l.Keys, &l.Attempts, &l.Owed, &l.Bookings, &l.Database)
	if err != nil {
		return l, err
	}
	clients, err := holdtest.Clients(ctx, r.servers.redisURL)
	if err != nil {
		return l, err
	}
	a, err := r.shop.Send(ctx, http.MethodGet, r.front.API+httpapi.GoroutinesPath, "")
	if err != nil {
		return l, err
	}
	var told struct{ Goroutines float64 }
	if err := json.Unmarshal(a.Body, &told); err != nil {
		return l, err
	}
	all, err := harness.Processes()
	if err != nil {
		return l, err
	}
	for _, p := range harness.Family(r.front.Pid(), all) {
		now, _, alive := p.Memory()
		switch {
		case p.PID == r.front.Pid():
			l.Front = now
		case alive && p.Function() != "":
			l.Functions += now
			l.Processes++
		}
	}
	kills, _, _ := r.injector.kills()
	for _, n := range r.promises.endings() {
		l.ended += n
	}
	l.At, l.Kills, l.Gate, l.Goroutines = time.Since(r.began).Seconds(), float64(kills), float64(clients), told.Goroutines
	before := look{}
	if len(r.looks) > 0 {
		before = r.looks[len(r.looks)-1]
	}
	l.Visits = float64(l.ended-before.ended) / (l.At - before.At)
	l.found, err = r.audit(ctx)
	return l, err
}

// judged counts what of an audit's findings must not be, and notes it.
func (r *run) judged(found []string) (n int) {
	for _, line := range found {
		invariant, _, _ := strings.Cut(line, ":")
		if slices.Contains(always, invariant) || slices.Contains(r.suspect, line) {
			n++
			r.promises.breaks(line)
		}
	}
	r.suspect = found
	return n
}

// growth sets the second half of a soak against the first, where it is long enough for both to say something.
func (r *run) growth() (found []string) {
	if len(r.looks) < 18 {
		return nil
	}
	// The first minute fills pools and tables.
	looks := r.looks[6:]
	first, second := looks[:len(looks)/2], looks[len(looks)/2:]
	mean := func(part []look, of func(look) float64) (sum float64) {
		for _, l := range part {
			sum += of(l)
		}
		return sum / float64(len(part))
	}
	for _, c := range []struct {
		what string
		of   func(look) float64
		most float64
	}{
		{"rows of outbox beside visits", func(l look) float64 { return l.Outbox / max(l.Visits, 1) }, 1.5},
		{"rows of idempotency_key beside visits", func(l look) float64 { return l.Keys / max(l.Visits, 1) }, 1.5},
		{"attempts that are owed something, beside visits", func(l look) float64 { return l.Owed / max(l.Visits, 1) }, 1.5},
		// They are the record of what was charged, and stay with their bookings: at most two for each payment.
		{"rows of payment_attempt beside bookings", func(l look) float64 { return l.Attempts / l.Bookings }, 1.2},
		{"memory of an environment", func(l look) float64 { return l.Functions / l.Processes }, 1.2},
		// The simulator keeps every charge in memory.
		{"memory of the front", func(l look) float64 { return l.Front }, 1.5},
		{"goroutines of the front", func(l look) float64 { return l.Goroutines }, 1.3},
		{"connections to Postgres for each environment", func(l look) float64 { return l.Database / l.Processes }, 1.3},
		{"connections to Redis for each environment", func(l look) float64 { return l.Gate / l.Processes }, 1.3},
	} {
		a, b := mean(first, c.of), mean(second, c.of)
		r.say("%-48s %8.2f in the first half, %8.2f in the second", c.what, a, b)
		if b > a*c.most {
			found = append(found, fmt.Sprintf("%s grew from %.2f to %.2f", c.what, a, b))
		}
	}
	return found
}

// picture writes the soak's curves, and shows them on the terminal.
func (r *run) picture() error {
	path := filepath.Join(r.dir, "soak.svg")
	if err := os.WriteFile(path, []byte(draw(r.looks)), 0o644); err != nil {
		return err
	}
	for _, p := range panels {
		for _, c := range p.curves {
			r.say("%-26s %s", c.name, sparkline(r.looks, c.of))
		}
	}
	r.say("a picture of it: %s", path)
	return nil
}
