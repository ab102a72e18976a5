package postgrestest

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Pair is a primary with a synchronous standby, as a managed database in two zones is: no commit is answered that the
// standby has not written down. Its Wire is the one address of both, and leads to the primary until Failover.
type Pair struct {
	*Wire
	primary, standby *Server
}

// NewPair starts a pair with an empty database, and the functions' login, for one test, and stops it with the test. Without Postgres on the machine
// it does as URL.
func NewPair(t testing.TB) *Pair {
	t.Helper()
	p := &Pair{}
	t.Cleanup(p.stop)
	if err := p.start(t.Context(), t.TempDir()); err != nil {
		shared.Fail(t, err)
	}
	return p
}

func (p *Pair) start(ctx context.Context, dir string) (err error) {
	if p.primary, err = start(ctx, Config{Dir: filepath.Join(dir, "primary")}, syscall.SIGQUIT); err != nil {
		return err
	}
	if _, err := PutLogin(ctx, p.primary.URL()); err != nil {
		return err
	}
	if p.standby, err = start(ctx, Config{Dir: filepath.Join(dir, "standby"), primary: p.primary}, syscall.SIGQUIT); err != nil {
		return err
	}
	// Only now: until somebody follows, the primary would answer no commit. The copy, which is to go on alone, has it not.
	if err := settle(ctx, p.primary, `synchronous_standby_names = '*'`, `SELECT EXISTS (SELECT FROM pg_stat_replication WHERE sync_state = 'sync')`); err != nil {
		return err
	}
	p.Wire, err = NewWire(p.primary.URL())
	return err
}

// settle changes a setting of a running server and waits until it shows.
func settle(ctx context.Context, s *Server, setting, shows string) error {
	conn, err := pgx.Connect(ctx, s.URL())
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing to lose
	for _, sql := range []string{`ALTER SYSTEM SET ` + setting, `SELECT pg_reload_conf()`} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return await(ctx, conn, shows)
}

// await asks again and again until the answer is yes.
func await(ctx context.Context, conn *pgx.Conn, question string) error {
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		var yes bool
		if err := conn.QueryRow(ctx, question).Scan(&yes); err != nil || yes {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not within 20 s: %s", question)
		}
	}
}

// Part keeps the primary's changes from the standby: from when it returns on, no commit is answered, and none will be
// there after the failover.
func (p *Pair) Part(ctx context.Context) error {
	return settle(ctx, p.standby, `primary_conninfo = ''`, `SELECT NOT EXISTS (SELECT FROM pg_stat_wal_receiver)`)
}

// AwaitCommits returns once so many sessions of the primary wait for the standby, or for the rows of one that does.
func (p *Pair) AwaitCommits(ctx context.Context, n int) error {
	conn, err := pgx.Connect(ctx, p.primary.URL())
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing to lose
	return await(ctx, conn, fmt.Sprintf(`SELECT count(*) >= %d AND bool_or(wait_event = 'SyncRep') FROM pg_stat_activity
		WHERE backend_type = 'client backend' AND (wait_event = 'SyncRep' OR wait_event_type = 'Lock')`, n))
}

// Kill ends the primary with -9, cuts what was open to it, and has the address lead to the standby, which takes no writes
// before Promote.
func (p *Pair) Kill() error {
	to, err := url.Parse(p.standby.URL())
	if err != nil {
		return err
	}
	if err := syscall.Kill(p.primary.Pid(), syscall.SIGKILL); err != nil {
		return err
	}
	<-p.primary.Done()
	p.Lead(to)
	p.Cut()
	return nil
}

// Promote makes the standby the primary and returns when it takes writes.
func (p *Pair) Promote(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, p.standby.URL())
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing to lose
	// Not to wait inside the statement: what is still to be replayed may have to wait for its end.
	if _, err := conn.Exec(ctx, `SELECT pg_promote(false)`); err != nil {
		return err
	}
	return await(ctx, conn, `SELECT NOT pg_is_in_recovery()`)
}

func (p *Pair) stop() {
	if p.Wire != nil {
		p.Close()
	}
	for _, s := range []*Server{p.primary, p.standby} {
		if s == nil {
			continue
		}
		s.child.Stop(syscall.SIGQUIT, time.Second, syscall.SIGKILL, time.Second)
		<-s.Done()
	}
}
