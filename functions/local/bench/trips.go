package main

import (
	"context"
	"fmt"
	"path/filepath"

	"stayhold/functions/local/trips"
	"stayhold/shared/hold/holdtest"
	"stayhold/shared/postgres/postgrestest"
)

// tripsGroup counts the round trips of each path on the wire and holds them against its budget: amounts that are exact on
// any machine, and the worst of all rounds is what counts.
func tripsGroup(ctx context.Context, b *bench) error {
	l, err := openLab(ctx, b.root, filepath.Join(b.work, "trips"))
	if err != nil {
		return err
	}
	defer l.close()
	database, err := postgrestest.NewWire(l.database)
	if err != nil {
		return err
	}
	l.later(database.Close)
	gate, err := holdtest.NewWire(l.redis)
	if err != nil {
		return err
	}
	l.later(gate.Close)
	rig, err := trips.Open(ctx, trips.Config{Owner: l.database, Database: database, Gates: []*holdtest.Wire{gate}})
	if err != nil {
		return err
	}
	l.later(rig.Close)
	plain, keyed := counted{}, counted{}
	for round := -1; round < b.rounds; round++ {
		for _, one := range []struct {
			keyed bool
			into  counted
		}{{false, plain}, {true, keyed}} {
			if err := rig.Flow(ctx, one.keyed, one.into.add); err != nil {
				return err
			}
		}
		if round < 0 { // the first of its kind learns statement and script, which the budgets leave out
			clear(plain)
			clear(keyed)
		}
	}
	b.report.budgets(plain, keyed)
	return nil
}

// counted is what each path took in each of its rounds.
type counted map[string][]trips.Trips

func (c counted) add(path string, took trips.Trips, _ string) { c[path] = append(c[path], took) }

// budgets tells each budget of the table: b and the row, with a letter for each number of that row.
func (r *report) budgets(plain, keyed counted) {
	letters := map[int]rune{}
	for _, one := range trips.Budgets {
		if one.Row == 0 {
			continue
		}
		tell := func(what string, rounds []trips.Trips, of func(trips.Trips) int, may int) {
			var all []float64
			for _, took := range rounds {
				all = append(all, float64(of(took)))
			}
			s := spreadOf(all)
			s.median = s.max
			id := fmt.Sprintf("b-%d%c", one.Row, 'a'+letters[one.Row])
			letters[one.Row]++
			r.goal(id, one.Path+": trips to the "+what, s, atMost, float64(may))
		}
		tell("gate", plain[one.Path], func(t trips.Trips) int { return t.Gate }, one.May.Gate)
		tell("database", plain[one.Path], func(t trips.Trips) int { return t.Database }, one.May.Database)
		if one.Keyed() {
			tell("database, with an Idempotency-Key", keyed[one.Path], func(t trips.Trips) int { return t.Database }, one.May.Database+trips.WithKey)
		}
		if one.May.Gateway > 0 {
			tell("payment gateway", plain[one.Path], func(t trips.Trips) int { return t.Gateway }, one.May.Gateway)
		}
	}
}
