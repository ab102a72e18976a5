package main

import (
	"context"
	"path/filepath"
	"testing"

	"stayhold/shared/postgres"
	"stayhold/shared/postgres/postgrestest"
)

// A whole request, drivers and all, takes no more memory than it did. What is wrong with a call is an error of its own.
func TestWholeRequestsTakeLittleMemory(t *testing.T) {
	ctx := t.Context()
	l, err := openLab(ctx, "../../..", filepath.Join(t.TempDir(), "lab"))
	skipWithoutServers(t, err)
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	const calls = 50
	room, err := l.product(ctx, 1000)
	if err != nil {
		t.Fatal(err)
	}
	gone, err := l.goneProduct(ctx)
	if err != nil {
		t.Fatal(err)
	}
	paid, err := l.ready(ctx, 2*calls, []int64{room})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		open    func(context.Context) (call, error)
		reached float64 // allocations
	}{
		"reserve":  {l.handler(room, 201).open, 87},
		"sold out": {l.handler(gone, 409).open, 51},
		"complete": {func(context.Context) (call, error) {
			return l.completing(postgres.Options{URL: postgrestest.Functions(l.database)}, paid)
		}, 95},
	} {
		ask, err := c.open(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := ask(ctx); err != nil { // connects, and has statement and script known
			t.Fatal(err)
		}
		got := testing.AllocsPerRun(calls, func() {
			if err := ask(ctx); err != nil {
				t.Fatal(err)
			}
		})
		if got > c.reached*3/2 {
			t.Errorf("%s: %v allocations, and %v are enough", name, got, c.reached)
		}
	}
}
