package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"

	"stayhold/shared/postgres"
	"stayhold/shared/postgres/postgrestest"
)

const (
	// smallTable is what the planner may read whole: some pages are no more than a look into an index.
	smallTable = 5_000
	// mostBlocks is what one statement may touch, with all that it calls, checks and writes: an index whose first column it
	// does not know, or rows that it looks at in vain, take more.
	mostBlocks = 500
	// plannedWalks are enough for a session to have planned each statement for its arguments, five times, and then for any.
	plannedWalks = 7
)

// explainSQL has the server tell the plan of whatever the functions' login runs, down to the statements of routines and
// the look-ups of foreign keys.
var explainSQL = []string{
	`ALTER ROLE stayhold_functions SET session_preload_libraries = 'auto_explain'`,
	`ALTER ROLE stayhold_functions SET auto_explain.log_min_duration = 0`,
	`ALTER ROLE stayhold_functions SET auto_explain.log_nested_statements = on`,
	`ALTER ROLE stayhold_functions SET auto_explain.log_format = 'json'`,
	`ALTER ROLE stayhold_functions SET auto_explain.log_analyze = on`,
	`ALTER ROLE stayhold_functions SET auto_explain.log_timing = off`,
	`ALTER ROLE stayhold_functions SET auto_explain.log_buffers = on`,
}

// outageSQL makes refunds and messages that wait, as after an hour in which gateway and queue were away, and keeps the
// planner from learning of them: it comes to know of a change when a tenth of a table is another.
var outageSQL = []string{
	`ALTER TABLE payment_attempt SET (autovacuum_enabled = off)`,
	`ALTER TABLE outbox SET (autovacuum_enabled = off)`, `
INSERT INTO payment_attempt (payment_id, booking_id, kind, state, order_id, idempotency_key, payment_key, amount, next_try_at)
SELECT id, id, 'CANCEL', 'PENDING', order_id, 'cancel-' || order_id, 'ok-' || id, amount, now()
FROM payment WHERE id = booking_id AND status = 'SUCCESS' AND payment_method = 'CARD' LIMIT 12000
ON CONFLICT DO NOTHING`, `
INSERT INTO outbox (booking_id, task) SELECT id, 'compensate' FROM booking LIMIT 12000`,
}

// serverLog keeps what a server says, for a while.
type serverLog struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *serverLog) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

// take gives what was said since the last time, when the mark is in it.
func (s *serverLog) take(mark string) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	said := s.text.String()
	if !strings.Contains(said, mark) {
		return "", false
	}
	s.text.Reset()
	return said, true
}

// until waits for all that the server has said so far.
func (s *serverLog) until(ctx context.Context, url, mark string) (string, error) {
	if err := postgrestest.Exec(ctx, url, `DO $$ BEGIN RAISE LOG '`+mark+`'; END $$`); err != nil {
		return "", err
	}
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if said, whole := s.take("LOG:  " + mark); whole {
			return said, nil
		}
	}
	return "", errors.New("the server's log does not come")
}

// planNode is a node of a plan as EXPLAIN tells it in JSON.
type planNode struct {
	Type  string     `json:"Node Type"`
	Table string     `json:"Relation Name"`
	Index string     `json:"Index Name"`
	Cond  string     `json:"Index Cond"`
	Hit   int64      `json:"Shared Hit Blocks"`
	Read  int64      `json:"Shared Read Blocks"`
	Plans []planNode `json:"Plans"`
}

// planned is one statement as a path ran it.
type planned struct {
	routine, sql string   // the routine that runs it; empty: the function itself
	reads        []string // indexes, and small tables
	blocks       int64
	faults       []string
}

// lists are the indexes of all that waits or is held: a routine, which is about one booking, would read all of it.
var lists = []string{"payment_attempt_due", "outbox_unsent", "booking_live_by_deadline"}

// relations are what plans may name: how many rows the tables have, and which indexes are of some rows only.
type relations struct {
	rows    map[string]int64
	partial map[string]bool
}

// look walks through a plan: what it reads, and what is wrong with that.
func (r relations) look(n planNode, into *planned) {
	switch {
	case n.Type == "Seq Scan" && r.rows[n.Table] > smallTable:
		into.faults = append(into.faults, "reads all of "+n.Table)
	case n.Index != "" && n.Cond == "" && !r.partial[n.Index]:
		into.faults = append(into.faults, "reads all of "+n.Index)
	case into.routine != "" && slices.Contains(lists, n.Index):
		into.faults = append(into.faults, "looks for one booking in "+n.Index)
	}
	read := n.Index
	if n.Type == "Seq Scan" {
		read = "all of " + n.Table
	}
	if read != "" && !slices.Contains(into.reads, read) {
		into.reads = append(into.reads, read)
	}
	for _, child := range n.Plans {
		r.look(child, into)
	}
}

var (
	saidPlan    = regexp.MustCompile(`(?m)^.*LOG: .* plan:\n((?:\t.*\n)+)(?:.*CONTEXT:  (.*\n(?:\t.*\n)*))?`)
	saidRoutine = regexp.MustCompile(`(?:PL/pgSQL|SQL) function "?(\w+)`)
)

// plansIn reads the plans in a server's log.
func (r relations) plansIn(p path, said string) ([]planned, error) {
	var all []planned
	for _, m := range saidPlan.FindAllStringSubmatch(said, -1) {
		var told struct {
			Query string   `json:"Query Text"`
			Plan  planNode `json:"Plan"`
		}
		if err := json.Unmarshal([]byte(m[1]), &told); err != nil {
			return nil, fmt.Errorf("a plan that cannot be read: %w: %s", err, m[1])
		}
		one := planned{sql: strings.Join(strings.Fields(told.Query), " "), blocks: told.Plan.Hit + told.Plan.Read}
		if routine := saidRoutine.FindStringSubmatch(m[2]); routine != nil {
			one.routine = routine[1]
		}
		r.look(told.Plan, &one)
		if one.blocks > mostBlocks && !p.grows {
			one.faults = append(one.faults, fmt.Sprintf("touches %d blocks", one.blocks))
		}
		all = append(all, one)
	}
	return all, nil
}

// explain walks every path with the plans told. An error names each statement that reads more than it has to.
func (l *lab) explain(ctx context.Context, said *serverLog, next func(*postgres.Store) *walker) (plans []planned, err error) {
	r, err := l.relations(ctx)
	if err != nil {
		return nil, err
	}
	for _, sql := range slices.Concat(outageSQL, explainSQL) {
		if err := postgrestest.Exec(ctx, l.database, sql); err != nil {
			return nil, err
		}
	}
	for _, one := range expiries {
		if err := postgrestest.Exec(ctx, l.database, one.sql, 4000*fewRows); err != nil {
			return nil, err
		}
	}
	store, _, err := l.ports(l.direct())
	if err != nil {
		return nil, err
	}
	defer store.Close()
	for _, p := range paths {
		// The first walk looks into the catalogue too.
		if _, err := p.walk(ctx, next(store)); err != nil {
			return nil, err
		}
		if _, err := said.until(ctx, l.database, "walks "+p.name); err != nil {
			return nil, err
		}
		for range plannedWalks {
			if _, err := p.walk(ctx, next(store)); err != nil {
				return nil, err
			}
		}
		text, err := said.until(ctx, l.database, "walked "+p.name)
		if err != nil {
			return nil, err
		}
		some, err := r.plansIn(p, text)
		if err != nil {
			return nil, err
		}
		if len(some) < plannedWalks {
			return nil, fmt.Errorf("%s: the server tells %d plans", p.name, len(some))
		}
		plans = append(plans, some...)
	}
	return plans, errors.Join(postgrestest.Exec(ctx, l.database, `ALTER ROLE stayhold_functions RESET ALL`), faultsOf(plans))
}

func faultsOf(plans []planned) error {
	var faults []error
	for _, one := range plans {
		for _, fault := range one.faults {
			err := fmt.Errorf("%s: %s: %s", cmp.Or(one.routine, "by itself"), fault, one.sql)
			if !slices.ContainsFunc(faults, func(f error) bool { return f.Error() == err.Error() }) {
				faults = append(faults, err)
			}
		}
	}
	return errors.Join(faults...)
}

func (l *lab) relations(ctx context.Context) (relations, error) {
	r := relations{rows: map[string]int64{}, partial: map[string]bool{}}
	conn, err := pgx.Connect(ctx, l.database)
	if err != nil {
		return r, err
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing to lose
	rows, err := conn.Query(ctx, `
SELECT c.relname, c.reltuples::bigint, i.indpred IS NOT NULL FROM pg_class c LEFT JOIN pg_index i ON i.indexrelid = c.oid
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'i')`)
	if err != nil {
		return r, err
	}
	var name string
	var number int64
	var partial bool
	_, err = pgx.ForEachRow(rows, []any{&name, &number, &partial}, func() error {
		r.rows[name], r.partial[name] = number, partial
		return nil
	})
	return r, err
}

// writePlans writes the table of statements for a person: one line for each statement and choice of indexes.
func writePlans(file string, plans []planned) (err error) {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := tabwriter.NewWriter(f, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "routine\tblocks\treads\tstatement")
	told := map[string]int{} // the place of each line
	var lines []planned
	for _, one := range plans {
		if len(one.reads) == 0 {
			continue // it finds nothing, or has a routine find it
		}
		key := fmt.Sprint(one.routine, one.reads, one.sql)
		at, known := told[key]
		if !known {
			at = len(lines)
			told[key], lines = at, append(lines, one)
		}
		lines[at].blocks = max(lines[at].blocks, one.blocks)
	}
	for _, one := range lines {
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\n", cmp.Or(one.routine, "by itself"), one.blocks, strings.Join(one.reads, ", "), one.sql)
	}
	return w.Flush()
}
