package main

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	leastAtOnce = 8
	// requestsOfFlow and commitsOfFlow are what a purchase is made of: reserve, register, approve and complete, of which
	// approve commits its intent and its result.
	requestsOfFlow = 4
	commitsOfFlow  = 5
)

// least measures what bounds a purchase on this machine whatever the functions do: as many requests that a function
// refuses before it asks anybody, which are the front's, the Runtime API's and the buyers', and as many commits of the
// smallest row that there is.
func (m *mall) least(ctx context.Context) error {
	if err := m.leastRequests(ctx); err != nil {
		return err
	}
	return m.within(func() error { return m.leastCommits(ctx) })
}

func (m *mall) leastRequests(ctx context.Context) error {
	refused := slices.Repeat([]call{func(ctx context.Context) error {
		_, err := m.crowd[0].post(ctx, "/bookings/reserve", `{}`, http.StatusBadRequest)
		return err
	}}, leastAtOnce)
	return m.bound(ctx, "least-requests", "    the least: four requests that are refused before anybody is asked", requestsOfFlow, refused)
}

func (m *mall) leastCommits(ctx context.Context) error {
	calls := make([]call, leastAtOnce)
	for i := range calls {
		conn, err := pgx.Connect(ctx, m.database)
		if err != nil {
			return err
		}
		m.later(func() { _ = conn.Close(context.WithoutCancel(ctx)) }) // everything is committed by then
		if i == 0 {
			if _, err := conn.Exec(ctx, `CREATE TABLE IF NOT EXISTS bench_least (n bigint)`); err != nil {
				return err
			}
		}
		calls[i] = func(ctx context.Context) error {
			_, err := conn.Exec(ctx, `INSERT INTO bench_least VALUES ($1)`, i)
			return err
		}
	}
	return m.bound(ctx, "least-commits", "    the least: five commits of one number each", commitsOfFlow, calls)
}

// bound tells how often in a second so many of the calls can be made.
func (m *mall) bound(ctx context.Context, id, name string, calls int, workers []call) error {
	var p purchased
	for round := range flowRounds {
		if err := m.round(ctx, &p, workers, 800*time.Millisecond); err != nil {
			return err
		}
		m.say("%-10s round %d of %d   %2d at a time   %7.0f a second   %s", "least", round+1, flowRounds, len(workers), p.samples[round].perSecond(), name[4:])
	}
	f := p.figures(float64(calls))
	m.report.amount(id, name, "/s", over(p.samples, func(s sample) float64 { return s.perSecond() / float64(calls) })).Figures = &f
	return nil
}
