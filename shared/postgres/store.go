// Package postgres is the database side of the sale: it implements booking.Store.
//
// Each step is one routine (migrations/routines/*.sql), called as one autocommit statement: it
// locks the booking row, looks, and writes, in one round trip, so that no lock is held
// while a message travels. Final stock, balances and states are decided here.
//
// A lost connection after a statement was sent leaves its result unknown, and is
// reported as such (booking.ErrCommitResultUnknown); only an error that Postgres itself
// reports is a rollback. Deadlocks and serialization failures are tried again, a few
// times, and so is what a server refused that takes no writes, on a new connection.
package postgres

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"stayhold/shared/booking"
)

// Options say where the database is. Pooler: a transaction pooler stands between, so
// no statement may be kept by name. CA: who vouches for the server's certificate; nil:
// the system's authorities, or those of the URL's sslrootcert. Token: makes each
// connection's password, given host:port and the user; nil: the URL bears it.
type Options struct {
	URL    string
	CA     *x509.CertPool
	Pooler bool
	Token  func(ctx context.Context, endpoint, user string) (string, error)
}

// SignIn gives a connection that is about to be made its password.
func (o Options) SignIn(ctx context.Context, c *pgx.ConnConfig) (err error) {
	if o.Token != nil {
		c.Password, err = o.Token(ctx, net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port))), c.User)
	}
	return err
}

// Store is a booking.Store on one connection, opened at its first use. It serves one
// call at a time, as a Lambda environment does.
type Store struct {
	pool *pgxpool.Pool
}

var _ booking.Store = (*Store)(nil)

// Open checks the URL and connects nothing yet. The error never shows the URL's
// password.
func Open(o Options) (*Store, error) {
	config, err := pgxpool.ParseConfig(o.URL)
	if err != nil {
		return nil, unusable(err)
	}
	if err := secure(config.ConnConfig, o.CA); err != nil {
		return nil, err
	}
	config.BeforeConnect = o.SignIn
	config.MaxConns = 1
	config.MinConns = 0
	// A Lambda is frozen between calls, so idle time says nothing; a round trip for a
	// ping in each call does. A connection that the server has closed is seen without
	// one.
	config.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return false }
	config.PrepareConn = func(_ context.Context, c *pgx.Conn) (bool, error) {
		return alive(c.PgConn()), nil
	}
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = connectTimeout
	}
	config.ConnConfig.RuntimeParams["application_name"] = "stayhold"
	if o.Pooler {
		config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
		config.AfterConnect = nameTypes
	} else if config.ConnConfig.ValidateConnect == nil {
		config.ConnConfig.ValidateConnect = refuseStandby
	}
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		return nil, errors.New("the database's settings are not usable")
	}
	return &Store{pool: pool}, nil
}

// nameTypes says what the statements' arguments are, where the server is not asked: behind
// a pooler. The driver's own list, of all that there are, is not linked (build tag
// nopgxregisterdefaulttypes): it is a tenth of every function. What is missing here is an
// error of the statement, and nothing is sent.
func nameTypes(_ context.Context, c *pgx.Conn) error {
	for _, one := range []struct {
		value any
		name  string
	}{
		{int64(0), "int8"}, {0, "int8"}, {[]int64(nil), "_int8"}, {[]string(nil), "_text"}, {time.Time{}, "timestamptz"}, {false, "bool"},
	} {
		c.TypeMap().RegisterDefaultPgType(one.value, one.name)
	}
	return nil
}

// refuseStandby keeps off a server that only follows another one, where the address leads
// for a moment in a failover: what it says may be old. The server tells of itself when a
// connection opens, so that nobody has to ask; a pooler tells what it once was told.
func refuseStandby(_ context.Context, c *pgconn.PgConn) error {
	if c.ParameterStatus("in_hot_standby") == "on" {
		return errors.New("the server is a standby")
	}
	return nil
}

// readable says that nothing is wrong with the connection that a read would tell.
func readable(c *pgconn.PgConn) bool {
	return c.CheckConn() == nil //nolint:staticcheck // its successor, Ping, is the round trip
}

// Connect opens the connection in the background, ahead of the first call, which
// waits for it.
func (s *Store) Connect(ctx context.Context) {
	go func() {
		if c, err := s.pool.Acquire(ctx); err == nil {
			c.Release()
		} // the call that needs it meets the same fault, and reports it
	}()
}

// connectTimeout bounds the making of a connection, where the URL does not.
const connectTimeout = 5 * time.Second

// Close ends the connection.
func (s *Store) Close() { s.pool.Close() }

// Ping asks the database for an answer.
func (s *Store) Ping(ctx context.Context) error {
	return s.read(ctx, func(c *pgxpool.Conn) error { return c.Ping(ctx) })
}

// A statement that Postgres gave up is run at most so many times, each a new
// transaction, with a random pause before: two that met must not meet again.
const (
	tries      = 3
	retryPause = 20 * time.Millisecond // at most, for each try before
)

// write runs one autocommit statement that changes rows.
func (s *Store) write(ctx context.Context, run func(*pgxpool.Conn) error) error {
	return s.with(ctx, booking.ErrCommitResultUnknown, run)
}

// read runs statements that change nothing: whatever goes wrong, nothing happened.
func (s *Store) read(ctx context.Context, run func(*pgxpool.Conn) error) error {
	return s.with(ctx, booking.ErrUnavailable, run)
}

func (s *Store) with(ctx context.Context, lost *booking.Error, run func(*pgxpool.Conn) error) error {
	for try := 1; ; try++ {
		c, err := s.pool.Acquire(ctx)
		if err != nil {
			return booking.ErrUnavailable.Because(err)
		}
		err = run(c)
		if readOnly(err) {
			// It stays so for as long as it is open: the next one may lead to the new primary.
			_ = c.Conn().Close(ctx)
		}
		c.Release()
		if try < tries && givenUp(err) && pause(ctx, rand.N(time.Duration(try)*retryPause)) {
			continue
		}
		return domainError(err, lost)
	}
}

// pause says whether the context outlived it.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// step calls a routine that answers with an outcome (or NULL: nothing due).
func (s *Store) step(ctx context.Context, sql string, args ...any) (outcome, error) {
	var raw []byte
	err := s.write(ctx, func(c *pgxpool.Conn) error { return c.QueryRow(ctx, sql, args...).Scan(&raw) })
	if err != nil {
		return outcome{}, err
	}
	if raw == nil {
		return outcome{}, booking.ErrNothingDue
	}
	return decodeOutcome(raw)
}

// queryAll reads all rows of one statement.
func queryAll[T any](ctx context.Context, s *Store, sql string, scan pgx.RowToFunc[T], args ...any) ([]T, error) {
	var list []T
	err := s.read(ctx, func(c *pgxpool.Conn) error {
		rows, err := c.Query(ctx, sql, args...)
		if err != nil {
			return err
		}
		list, err = pgx.CollectRows(rows, scan)
		return err
	})
	return list, err
}

// keyArgument is an idempotency key as the routines take it, or NULL.
func keyArgument(k *booking.IdempotencyKey) []string {
	if k == nil {
		return nil
	}
	return []string{fmt.Sprint(k.UserID), k.Scope, k.Key, k.Fingerprint, k.RequestID}
}
