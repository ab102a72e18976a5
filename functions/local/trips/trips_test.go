package trips

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"stayhold/shared/hold/holdtest"
	"stayhold/shared/postgres"
	"stayhold/shared/postgres/migrations"
	"stayhold/shared/postgres/postgrestest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	postgrestest.Shutdown()
	holdtest.Shutdown()
	os.Exit(code)
}

func migrate(ctx context.Context, url string) error {
	_, err := migrations.Run(ctx, postgres.Options{URL: url})
	return err
}

// modes are the ways in which servers are deployed, on a database that is migrated.
var modes = map[string]func(t *testing.T, owner string) Config{
	"direct": func(t *testing.T, owner string) Config {
		return Config{Database: postgrestest.Proxy(t, owner), Gates: []*holdtest.Wire{holdtest.Proxy(t, holdtest.URL(t))}}
	},
	"pooler": func(t *testing.T, owner string) Config {
		pooler, err := postgrestest.StartPooler(t.Context(), postgrestest.PoolerConfig{Dir: filepath.Join(t.TempDir(), "pooler"), DatabaseURL: owner, Size: 2})
		if errors.Is(err, postgrestest.ErrPoolerMissing) && os.Getenv("CI") == "" {
			t.Skip(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(pooler.Stop)
		return Config{Database: postgrestest.Proxy(t, pooler.URL()), Pooler: true, Gates: []*holdtest.Wire{holdtest.Proxy(t, holdtest.URL(t))}}
	},
	"cluster": func(t *testing.T, owner string) Config {
		return Config{Database: postgrestest.Proxy(t, owner), Gates: holdtest.Cluster(t).Proxies(t)}
	},
}

var prefixes atomic.Int64

// opened is a rig of its own in that mode.
func opened(t *testing.T, mode string) *Rig {
	t.Helper()
	owner := postgrestest.Database(t, migrate)
	c := modes[mode](t, owner)
	c.Owner, c.Prefix = owner, fmt.Sprintf("%d-%d:", os.Getpid(), prefixes.Add(1))
	r, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

func (r *Rig) flow(t *testing.T, keyed bool, told func(path string, took Trips, trace string)) {
	t.Helper()
	if err := r.Flow(t.Context(), keyed, told); err != nil {
		t.Fatal(err)
	}
}

// TestRoundTrips holds each path against its budget on the wire, from event to answer, in each of the three modes, with
// a key and without, and as the first of its kind on new connections.
func TestRoundTrips(t *testing.T) {
	t.Parallel()
	for mode := range modes {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			r := opened(t, mode)
			// Cold: each statement is prepared once, each script sent once. The first reserve of a product warms its gate, which
			// is a look at the gate, a read of the database, the seeding, and the same reserve again: four commands of three
			// scripts.
			cold := map[string]Trips{}
			r.flow(t, false, func(path string, took Trips, _ string) { cold[path] = took })
			for _, b := range Budgets {
				if got := cold[b.Path]; got.Gate > b.Takes.Gate+3+3 || got.Database > 2*(b.Takes.Database+1) {
					t.Errorf("%s, for the first time: %+v, in the end %+v", b.Path, got, b.Takes)
				}
			}
			r.flow(t, true, func(string, Trips, string) {})
			for _, keyed := range []bool{false, true} {
				seen := map[string]Trips{}
				traces := map[string]string{}
				r.flow(t, keyed, func(path string, took Trips, trace string) { seen[path], traces[path] = took, trace })
				if len(seen) != len(Budgets) {
					t.Errorf("%d paths were counted, of %d", len(seen), len(Budgets))
				}
				for _, b := range Budgets {
					got, want := seen[b.Path], b.Takes
					if keyed && b.Keyed() && got.Database == want.Database+WithKey {
						want.Database = got.Database
					}
					if got != want {
						t.Errorf("%s, with a key %v: %+v, and should take %+v\n%s", b.Path, keyed, got, b.Takes, traces[b.Path])
					}
				}
			}
		})
	}
}

// TestWhatIsTakenIsAllowed compares the two numbers of each budget.
func TestWhatIsTakenIsAllowed(t *testing.T) {
	t.Parallel()
	for _, b := range Budgets {
		if over := b.Takes.Gate > b.May.Gate || b.Takes.Database > b.May.Database || b.Takes.Gateway > b.May.Gateway; b.Row > 0 && over {
			t.Errorf("%s takes %+v, and may take %+v", b.Path, b.Takes, b.May)
		}
	}
}
