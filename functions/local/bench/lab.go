package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/shopspring/decimal"

	"stayhold/shared/booking"
	"stayhold/shared/hold"
	"stayhold/shared/hold/holdtest"
	"stayhold/shared/postgres"
	"stayhold/shared/postgres/migrations"
	"stayhold/shared/postgres/postgrestest"
)

// lab is a Postgres that flushes and a Redis that appends, as in the local stack, for what is measured in this process.
type lab struct {
	database string // its owner's URL
	redis    string // URL
	event    event
	admin    booking.Admin
	users    atomic.Int64
	mu       sync.Mutex
	undo     []func()
}

// openLab starts the servers below dir and brings the schema up. An error is one line for a person, which names what
// has to be installed when a server is missing; nothing is left running then.
func openLab(ctx context.Context, root, dir string) (_ *lab, err error) {
	l := &lab{}
	defer func() {
		if err != nil {
			l.close()
		}
	}()
	if l.event, err = readEvent(filepath.Join(root, "events", "reserve.json")); err != nil {
		return nil, err
	}
	db, err := postgrestest.Start(ctx, postgrestest.Config{Dir: filepath.Join(dir, "postgres"), Fsync: true})
	if err != nil {
		return nil, err
	}
	l.later(db.Stop)
	gate, err := holdtest.Start(ctx, holdtest.Config{Dir: filepath.Join(dir, "redis")})
	if err != nil {
		return nil, err
	}
	l.later(gate.Stop)
	l.database, l.redis = db.URL(), gate.URL()
	if _, err := migrations.Run(ctx, postgres.Options{URL: l.database}); err != nil {
		return nil, err
	}
	if _, err := postgrestest.PutLogin(ctx, l.database); err != nil {
		return nil, err
	}
	l.admin.Store, l.admin.Gate, err = l.ports()
	return l, err
}

// later keeps what will undo something; the last is undone first.
func (l *lab) later(undo func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.undo = append(l.undo, undo)
}

// close ends every connection, then the servers.
func (l *lab) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := len(l.undo) - 1; i >= 0; i-- {
		l.undo[i]()
	}
	l.undo = nil
}

// ports opens a store and a gate as one environment of a function does.
func (l *lab) ports() (*postgres.Store, *hold.Gate, error) {
	db, err := postgres.Open(postgres.Options{URL: postgrestest.Functions(l.database)})
	if err != nil {
		return nil, nil, err
	}
	l.later(db.Close)
	gate, err := hold.New(hold.Options{URL: l.redis})
	if err != nil {
		return nil, nil, err
	}
	l.later(func() { _ = gate.Close() }) // the process ends soon after
	return db, gate, nil
}

// product makes one that is on sale, with that many units.
func (l *lab) product(ctx context.Context, stock int64) (int64, error) {
	now := time.Now()
	return l.admin.PutProduct(ctx, booking.ProductDraft{
		Name: "a room", Price: decimal.New(100_000, 0), Stock: &stock, Status: "ACTIVE",
		SaleStartAt: now.Add(-time.Hour), CheckInAt: now.AddDate(0, 1, 0), CheckOutAt: now.AddDate(0, 1, 1),
	})
}

// user is one that nobody else of this run is.
func (l *lab) user() int64 { return l.users.Add(1) }

// event is the sample of an HTTP API event, cut where user and product stand, so that an event for any buyer is a
// matter of copying.
type event struct{ parts [3]string }

// readEvent reads the sample and leaves its Idempotency-Key out, which would cost a look-up.
func readEvent(path string) (event, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return event{}, fmt.Errorf("%s is missing: run it in the folder that holds template.yaml", path)
	}
	if err != nil {
		return event{}, err
	}
	var whole map[string]any
	if err := json.Unmarshal(text, &whole); err != nil {
		return event{}, fmt.Errorf("%s: %w", path, err)
	}
	const user, product = "<user>", "<product>"
	at := whole
	for _, name := range []string{"requestContext", "authorizer", "jwt", "claims"} {
		inner, ok := at[name].(map[string]any)
		if !ok {
			return event{}, fmt.Errorf("%s has no %s", path, name)
		}
		at = inner
	}
	at["sub"] = user
	whole["body"] = `{"productId":` + product + `}`
	if headers, ok := whole["headers"].(map[string]any); ok {
		delete(headers, "idempotency-key")
	}
	var out strings.Builder
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(whole); err != nil {
		return event{}, err
	}
	// Members are written in the order of their names: the body comes before the context.
	before, rest, found := strings.Cut(out.String(), product)
	between, after, foundToo := strings.Cut(rest, user)
	if !found || !foundToo {
		return event{}, fmt.Errorf("%s: body and user are not where they should be", path)
	}
	return event{[3]string{before, between, after}}, nil
}

// of is the event in which the user asks for the product.
func (e event) of(user, product int64) []byte {
	b := make([]byte, 0, len(e.parts[0])+len(e.parts[1])+len(e.parts[2])+40)
	b = strconv.AppendInt(append(b, e.parts[0]...), product, 10)
	b = strconv.AppendInt(append(b, e.parts[1]...), user, 10)
	return append(b, e.parts[2]...)
}
