// Package trips counts what each path of a sale asks of its servers: commands of the gate, answers of the database that
// are waited for, calls of the payment gateway. It drives the functions' own handlers, event in and answer out, behind
// proxies that count on the wire; the test holds the counts against Budgets, and the bench tells them.
//
// Invariants: an answer that is not the one expected is an error, so that what is counted is the path that is named.
// Servers, proxies and schema are the caller's.
//
// When a flow fails half way, its booking stays as the failing step left it, and the next flow has another buyer.
package trips

import "strings"

// Trips are round trips.
type Trips struct{ Gate, Database, Gateway int }

// Budget is what one path may take, and what it does: on open connections that know statement and script, without an
// Idempotency-Key.
type Budget struct {
	Row   int // groups the paths in what the bench prints: row 2 is told as b-2a, b-2b, …; 0: it is not told there
	Path  string
	May   Trips
	Takes Trips
}

// Budgets has every path that Flow goes. One without a row is held to what it takes.
var Budgets = []Budget{
	{1, "reserve", Trips{1, 1, 0}, Trips{1, 1, 0}},
	{2, "reserve, sold out", Trips{1, 0, 0}, Trips{1, 0, 0}},
	{2, "reserve, already purchased", Trips{1, 0, 0}, Trips{1, 0, 0}},
	{2, "reserve, not open", Trips{1, 0, 0}, Trips{1, 0, 0}},
	{3, "reserve, duplicate", Trips{1, 1, 0}, Trips{1, 1, 0}},
	{4, "register", Trips{0, 2, 0}, Trips{0, 1, 0}},
	{5, "pg-approve", Trips{1, 2, 1}, Trips{1, 2, 1}},
	{6, "complete", Trips{1, 1, 0}, Trips{1, 1, 0}},
	{7, "complete, hold lapsed", Trips{2, 3, 0}, Trips{2, 2, 0}},
	{8, "GET booking", Trips{1, 1, 0}, Trips{0, 1, 0}},
	{8, "GET product", Trips{1, 1, 0}, Trips{1, 1, 0}},
	{8, "GET checkout", Trips{1, 1, 0}, Trips{1, 1, 0}},
	{0, "GET points", Trips{}, Trips{0, 1, 0}},
	{0, "GET bookings", Trips{}, Trips{0, 1, 0}},
	{0, "cancel", Trips{}, Trips{1, 2, 0}},
}

// WithKey is what an Idempotency-Key may add to a path's trips to the database: it is looked up first, but where the gate
// has said no without asking the database, which it then has to.
const WithKey = 1

// Keyed tells whether a path takes an Idempotency-Key, as every POST does.
func (b Budget) Keyed() bool { return !strings.HasPrefix(b.Path, "GET ") }
