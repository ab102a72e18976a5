package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"stayhold/shared/hold/holdtest"
	"stayhold/shared/postgres/postgrestest"
)

// backWithin is how long a server may take to be back after its death.
const backWithin = 30 * time.Second

// servers are the Postgres and the Redis that are killed and brought back, on the same port and folder each time, by one
// caller at a time.
type servers struct {
	dir                   string
	databaseURL, redisURL string // the same over all deaths; the database's owner's
	postgres              *postgrestest.Server
	redis                 *holdtest.Server
}

// openServers starts both below dir. A commit that was answered survives any death, as it has to in production.
func openServers(ctx context.Context, dir string) (*servers, error) {
	s := &servers{dir: dir}
	var err error
	if s.postgres, err = s.startPostgres(ctx, 0); err != nil {
		return nil, err
	}
	if _, err = postgrestest.PutLogin(ctx, s.postgres.URL()); err == nil {
		s.redis, err = s.startRedis(ctx, 0)
	}
	if err != nil {
		s.postgres.Stop()
		return nil, err
	}
	s.databaseURL, s.redisURL = s.postgres.URL(), s.redis.URL()
	return s, nil
}

func (s *servers) startPostgres(ctx context.Context, port int) (*postgrestest.Server, error) {
	return postgrestest.Start(ctx, postgrestest.Config{Dir: filepath.Join(s.dir, "postgres"), Port: port, Fsync: true})
}

func (s *servers) startRedis(ctx context.Context, port int) (*holdtest.Server, error) {
	return holdtest.Start(ctx, holdtest.Config{Dir: s.redisDir(), Port: port})
}

func (s *servers) redisDir() string { return filepath.Join(s.dir, "redis") }

func (s *servers) stop() {
	s.postgres.Stop()
	s.redis.Stop()
}

// mortal is a server process.
type mortal interface {
	Pid() int
	Done() <-chan struct{}
}

// kill9 kills a server and returns when it is gone.
func kill9(ctx context.Context, one mortal) error {
	if err := syscall.Kill(one.Pid(), syscall.SIGKILL); err != nil {
		return fmt.Errorf("killing %d: %w", one.Pid(), err)
	}
	select {
	case <-one.Done():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// killPostgres kills the postmaster, leaves the stack without a database for a while, and starts it again.
func (s *servers) killPostgres(ctx context.Context, down time.Duration) error {
	if err := kill9(ctx, s.postgres); err != nil {
		return err
	}
	pause(ctx, down)
	// The run may be over by now; the check that follows it needs the server.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), backWithin)
	defer cancel()
	back, err := s.startPostgres(ctx, s.postgres.Port())
	if err == nil {
		s.postgres = back
	}
	return err
}

// killRedis kills Redis and starts it again with what change has made of its data.
func (s *servers) killRedis(ctx context.Context, down time.Duration, change func(data string) error) error {
	if err := kill9(ctx, s.redis); err != nil {
		return err
	}
	pause(ctx, down)
	if err := change(s.redisData()); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), backWithin)
	defer cancel()
	back, err := s.startRedis(ctx, s.redis.Port())
	if err == nil {
		s.redis = back
	}
	return err
}

func (s *servers) redisData() string { return filepath.Join(s.redisDir(), "data") }

// snapshot copies what Redis has on disk, while it runs: its file only grows, so that a copy of it is what it was at
// some moment. A rewrite of the file in the middle of the copy changes the list of files; then it is copied once more.
func (s *servers) snapshot(to string) error {
	for range 3 {
		before, err := names(s.redisData())
		if err != nil {
			return err
		}
		if err := os.RemoveAll(to); err != nil {
			return err
		}
		copied := os.CopyFS(to, os.DirFS(s.redisData()))
		after, err := names(s.redisData())
		if err != nil {
			return err
		}
		if copied == nil && before == after {
			return nil
		}
	}
	return errors.New("the data of Redis does not hold still for a copy")
}

// replace puts a copy of a snapshot in the place of the data.
func replace(data, snapshot string) error {
	if err := os.RemoveAll(data); err != nil {
		return err
	}
	return os.CopyFS(data, os.DirFS(snapshot))
}

// names lists the files below a folder.
func names(dir string) (list string, err error) {
	err = filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		list += path + "\n"
		return err
	})
	return list, err
}

// pause waits, but not longer than ctx lives.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
