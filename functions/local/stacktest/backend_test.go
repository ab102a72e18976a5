package stacktest

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"stayhold/shared/hold/holdtest"
	"stayhold/shared/postgres/postgrestest"
)

// scaled says that every stack of this run works on a Redis Cluster of its own, and on Postgres through a PgBouncer in
// transaction mode, instead of on the servers that the front starts.
var scaled = os.Getenv("STACKTEST_BACKEND") == "scaled"

// backend is what a stack of such a run works on.
type backend struct {
	postgres *postgrestest.Server
	pooler   *postgrestest.Pooler
	masters  *holdtest.Masters
}

// poolSize is how many connections the pooler has to the database: fewer than there are environments, so that they share.
const poolSize = 12

// startBackend starts all three in a folder of their own.
func startBackend() (*backend, error) {
	dir, err := os.MkdirTemp(base.dir, "backend-")
	if err != nil {
		return nil, err
	}
	b := &backend{}
	if err := b.start(dir); err != nil {
		b.stop()
		return nil, err
	}
	return b, nil
}

func (b *backend) start(dir string) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), readyWithin)
	defer cancel()
	if b.postgres, err = postgrestest.Start(ctx, postgrestest.Config{Dir: filepath.Join(dir, "postgres"), Fsync: true}); err != nil {
		return err
	}
	if _, err = postgrestest.PutLogin(ctx, b.postgres.URL()); err != nil {
		return err
	}
	b.pooler, err = postgrestest.StartPooler(ctx, postgrestest.PoolerConfig{Dir: filepath.Join(dir, "pooler"), DatabaseURL: b.postgres.URL(), Size: poolSize})
	if err != nil {
		return err
	}
	b.masters, err = holdtest.StartMasters(ctx, filepath.Join(dir, "redis"))
	return err
}

// variables tell a stack of it. What a test brings itself stays.
func (b *backend) variables(brought []string) []string {
	brings := func(name string) bool {
		return slices.ContainsFunc(brought, func(v string) bool { return strings.HasPrefix(v, name+"=") })
	}
	var vars []string
	if !brings("DATABASE_URL") {
		vars = append(vars, "DATABASE_URL="+postgrestest.Functions(b.pooler.URL()), "MIGRATE_DATABASE_URL="+b.pooler.URL(), "DATABASE_POOLER=true")
	}
	if !brings("REDIS_URL") {
		vars = append(vars, "REDIS_URL="+b.masters.URL())
	}
	return append(vars, brought...)
}

func (b *backend) stop() {
	if b.pooler != nil {
		b.pooler.Stop()
	}
	if b.masters != nil {
		b.masters.Stop()
	}
	if b.postgres != nil {
		b.postgres.Stop()
	}
}

// launchScaled is launch on a backend of the stack's own, which stop stops too.
func launchScaled(dir string, vars []string) (*stack, error) {
	b, err := startBackend()
	if err != nil {
		return nil, err
	}
	s, err := start(dir, b.variables(vars)...)
	if err != nil {
		b.stop()
		return nil, err
	}
	s.backend = b
	// Tests look at the rows on connections of their own, past the pooler.
	if s.database == b.pooler.URL() {
		s.database = b.postgres.URL()
	}
	return s, nil
}

// TestTheFunctionsDoNotLogInAsTheOwner: what the stack's tests show, they then show of functions that may write no table.
func TestTheFunctionsDoNotLogInAsTheOwner(t *testing.T) {
	t.Parallel()
	s := mainStack.get(t)
	s.buyer(t).held(t, 1)
	var sessions, writers int
	s.row(t, `SELECT count(*), count(*) FILTER (WHERE has_table_privilege(usesysid, 'booking', 'UPDATE, DELETE, TRUNCATE'))
		FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'stayhold'`, nil, &sessions, &writers)
	if sessions == 0 || writers > 0 {
		t.Errorf("%d sessions of functions, %d of which may write a booking", sessions, writers)
	}
}

// skippable are the reasons for which a person may go without these tests.
var skippable = []error{postgrestest.ErrMissing, postgrestest.ErrPoolerMissing, holdtest.ErrMissing}
