// Package postgrestest runs a real Postgres from the binaries installed on this machine: a durable one for the local
// stack (Start), a fleeting one for each test binary (Main, URL, Database), a primary with a synchronous standby behind one
// address (NewPair), a proxy in front of any of them that counts round trips and loses what it is told to lose (Proxy),
// and a PgBouncer in transaction mode (StartPooler).
//
// Invariants: it listens on 127.0.0.1 only and wants a random password; one living process per folder, held by a lock;
// a server never outlives its parent on Linux, and elsewhere no longer than to the next start on its folder. Nothing
// that answered a commit with Fsync set is lost by any death.
//
// When it fails half way: a cluster appears under its name only when initdb is done; a start that fails stops what it
// started and says why in one line; a temp folder that a killed test binary left is removed by the next one.
package postgrestest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"stayhold/shared/servertest"
)

const (
	superuser = "stayhold"
	database  = "stayhold"
)

// Config says where and how a server runs.
type Config struct {
	Dir   string    // its folder: data, password and lock live below; made when missing
	Port  int       // on 127.0.0.1; 0 takes a free one
	Fsync bool      // true: an answered commit survives any death; false: fast, for tests that kill nothing
	Log   io.Writer // the server's own log lines; nil drops them

	Certificate *servertest.Certificate // the server speaks TLS too, and shows this; nil: plain text only

	primary *Server // the one to follow; nil: none
}

// Server is a running Postgres with a database named stayhold.
type Server struct {
	port  int
	word  string
	url   string
	child *servertest.Child
	done  <-chan struct{}
	stop  sync.Once
}

// Start starts Postgres on cfg.Dir, making the cluster when there is none, and returns once a query has been answered.
// Errors are one line for a person: ErrMissing without binaries, a taken port, a folder in use, or the server's own word.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	srv, err := start(ctx, cfg, syscall.SIGINT)
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	return srv, nil
}

func start(ctx context.Context, cfg Config, deathSignal syscall.Signal) (*Server, error) {
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	lock, err := servertest.LockFolder(dir)
	if err != nil {
		return nil, err
	}
	srv, err := launch(ctx, cfg, dir, deathSignal)
	if err != nil {
		lock.Free()
		return nil, err
	}
	srv.done = lock.FreeAfter(srv.child)
	return srv, nil
}

// launch prepares the data and starts the server, once more if the backends of a postmaster that was killed still
// hold its memory, or if somebody was quicker to take the free port.
func launch(ctx context.Context, cfg Config, dir string, deathSignal syscall.Signal) (*Server, error) {
	data := filepath.Join(dir, "data")
	made, err := os.ReadFile(filepath.Join(data, "PG_VERSION"))
	fresh := errors.Is(err, os.ErrNotExist)
	if err != nil && !fresh {
		return nil, err
	}
	major := 0
	if !fresh {
		if major, err = strconv.Atoi(strings.TrimSpace(string(made))); err != nil {
			return nil, fmt.Errorf("%s is no Postgres data: %w", data, err)
		}
	}
	bin, err := findBinaries(major)
	if err != nil {
		return nil, err
	}
	who, err := servertest.AccountFor(data, "postgres", "nobody")
	if err != nil {
		return nil, err
	}
	word := rand.Text()
	if cfg.primary != nil {
		word = cfg.primary.word
	}
	word, err = password(filepath.Join(dir, "password"), who, fresh, word)
	if err != nil {
		return nil, err
	}
	switch {
	case fresh && cfg.primary != nil:
		err = copyPrimary(ctx, bin, who, dir, data, cfg.primary, word)
	case fresh:
		err = initialize(ctx, bin, who, dir, data, cfg.Fsync)
	}
	if err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(8 * time.Second); ; {
		if err := clearStale(data); err != nil {
			return nil, err
		}
		srv, again, err := launchOnce(ctx, cfg, bin, who, data, word, deathSignal)
		if err == nil || !again || time.Now().After(deadline) {
			return srv, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func launchOnce(ctx context.Context, cfg Config, bin binaries, who servertest.Account, data, word string, deathSignal syscall.Signal) (_ *Server, again bool, _ error) {
	port, err := servertest.FreePort(cfg.Port)
	if err != nil {
		return nil, false, err
	}
	set := func(on bool) string {
		if on {
			return "on"
		}
		return "off"
	}
	cmd := who.Command(data, bin.path("postgres"), "-D", data, "-p", strconv.Itoa(port),
		"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "max_connections=200",
		"-c", "fsync="+set(cfg.Fsync), "-c", "full_page_writes="+set(cfg.Fsync), "-c", "synchronous_commit=on",
		"-c", "timezone=UTC", "-c", "log_timezone=UTC", "-c", "logging_collector=off", "-c", "log_destination=stderr")
	if cfg.Certificate != nil {
		if err := showCertificate(data, who, *cfg.Certificate); err != nil {
			return nil, false, err
		}
		cmd.Args = append(cmd.Args, "-c", "ssl=on")
	}
	log := &servertest.Tail{Next: cfg.Log}
	cmd.Stdout, cmd.Stderr = log, log
	c, err := servertest.StartChild(cmd, deathSignal)
	if err != nil {
		return nil, false, err
	}
	srv := &Server{port: port, word: word, child: c}
	srv.url = (&url.URL{Scheme: "postgres", User: url.UserPassword(superuser, word), Host: fmt.Sprintf("127.0.0.1:%d", port), Path: "/" + database, RawQuery: "sslmode=disable"}).String()
	if err := srv.await(ctx); err != nil {
		c.Stop(syscall.SIGINT, 2*time.Second, syscall.SIGQUIT, time.Second)
		if !errors.Is(err, servertest.ErrExited) {
			return nil, false, err
		}
		why := log.Worst("FATAL", "PANIC", "ERROR")
		again := strings.Contains(why, "shared memory block") || (cfg.Port == 0 && strings.Contains(why, "could not create any TCP/IP sockets"))
		return nil, again, fmt.Errorf("%w: %s", err, why)
	}
	return srv, false, nil
}

// showCertificate writes the two files where the server looks for them, for the account alone to read.
func showCertificate(data string, who servertest.Account, c servertest.Certificate) error {
	for name, content := range map[string][]byte{"server.crt": c.Chain, "server.key": c.Key} {
		path := filepath.Join(data, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return err
		}
		if err := who.Own(path); err != nil {
			return err
		}
	}
	return nil
}

// await polls until the server answers, and makes the database when it is missing.
func (s *Server) await(ctx context.Context) error {
	admin, err := withDatabase(s.url, "postgres")
	if err != nil {
		return err
	}
	var conn *pgx.Conn
	err = s.child.Await(ctx, 20*time.Millisecond, func() (err error) {
		conn, err = pgx.Connect(ctx, admin)
		return err
	})
	if err != nil {
		return err
	}
	return errors.Join(ensureDatabase(ctx, conn), conn.Close(ctx))
}

func ensureDatabase(ctx context.Context, conn *pgx.Conn) error {
	var there bool
	if err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`, database).Scan(&there); err != nil || there {
		return err
	}
	_, err := conn.Exec(ctx, `CREATE DATABASE `+database)
	return err
}

// withDatabase returns the URL with another database in it.
func withDatabase(raw, name string) (string, error) {
	u, err := url.Parse(raw)
	if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") {
		return "", errors.New("the database URL must begin with postgres://")
	}
	u.Path = "/" + name
	return u.String(), nil
}

// URL is postgres://…, with user, password and the database stayhold; it does not change over the server's life.
func (s *Server) URL() string { return s.url }

// Port is the port on 127.0.0.1: give it to Start again to bring a dead server back under the same URL.
func (s *Server) Port() int { return s.port }

// Pid is the postmaster's process id.
func (s *Server) Pid() int { return s.child.Pid() }

// Done closes when the server has ended, asked or not, and its folder may be used again.
func (s *Server) Done() <-chan struct{} { return s.done }

// Stop ends the server within 4 seconds: in good order at first, then at once. Safe to repeat.
func (s *Server) Stop() {
	s.stop.Do(func() { s.child.Stop(syscall.SIGINT, 2500*time.Millisecond, syscall.SIGQUIT, 800*time.Millisecond) })
	select {
	case <-s.done:
	case <-time.After(200 * time.Millisecond):
	}
}
