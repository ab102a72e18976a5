package postgrestest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"stayhold/shared/servertest"
)

// password reads the superuser's password of this folder, and writes it there when the folder is new.
func password(path string, who servertest.Account, fresh bool, word string) (string, error) {
	if !fresh {
		b, err := os.ReadFile(path)
		if err != nil {
			return "", fmt.Errorf("the data is there but its password is not; empty the data with `make clean-data`: %w", err)
		}
		return strings.TrimSpace(string(b)), nil
	}
	if err := os.WriteFile(path, []byte(word+"\n"), 0o600); err != nil {
		return "", err
	}
	return word, who.Own(path)
}

// initialize makes a cluster of its own.
func initialize(ctx context.Context, bin binaries, who servertest.Account, dir, data string, fsync bool) error {
	args := []string{"-U", superuser, "--pwfile", filepath.Join(dir, "password"), "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"}
	if !fsync {
		args = append(args, "--no-sync")
	}
	return makeData(ctx, who, data, func(half string) *exec.Cmd {
		return who.Command(dir, bin.path("initdb"), append(args, "-D", half)...)
	})
}

// copyPrimary makes the cluster a copy of a running server's, which will follow it when it is started.
func copyPrimary(ctx context.Context, bin binaries, who servertest.Account, dir, data string, primary *Server, word string) error {
	return makeData(ctx, who, data, func(half string) *exec.Cmd {
		cmd := who.Command(dir, bin.path("pg_basebackup"), "-D", half, "-h", "127.0.0.1", "-p", strconv.Itoa(primary.Port()), "-U", superuser,
			"--checkpoint=fast", "--wal-method=stream", "--write-recovery-conf", "--no-sync")
		cmd.Env = append(cmd.Env, "PGPASSWORD="+word)
		return cmd
	})
}

// makeData has a program make the cluster beside its final place and renames it when it is whole, so that a death half
// way leaves nothing that looks like data.
func makeData(ctx context.Context, who servertest.Account, data string, program func(half string) *exec.Cmd) error {
	half := data + ".new"
	if err := os.RemoveAll(half); err != nil {
		return err
	}
	if err := os.Mkdir(half, 0o700); err != nil {
		return err
	}
	if err := who.Own(half); err != nil {
		return err
	}
	var out bytes.Buffer
	cmd := program(half)
	cmd.Stdout, cmd.Stderr = &out, &out
	name := filepath.Base(cmd.Path)
	c, err := servertest.StartChild(cmd, syscall.SIGTERM)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	select {
	case <-c.Done():
	case <-ctx.Done():
		c.Stop(syscall.SIGTERM, time.Second, syscall.SIGKILL, time.Second)
		return ctx.Err()
	}
	if !cmd.ProcessState.Success() {
		return fmt.Errorf("%s failed: %s", name, strings.Join(strings.Fields(out.String()), " "))
	}
	return os.Rename(half, data)
}

// clearStale deals with a postmaster.pid that an earlier run left. The caller holds the folder's lock, so a postmaster
// that still runs there has lost its parent: it is stopped. A pid that meanwhile belongs to a stranger is replaced by
// our own, which Postgres does not take for a rival; unlike removing the file this keeps its check for backends that
// still have the old shared memory.
func clearStale(data string) error {
	path := filepath.Join(data, "postmaster.pid")
	content, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	first, rest, _ := strings.Cut(string(content), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil || pid <= 1 || !servertest.Alive(pid) {
		return nil
	}
	if !isPostmaster(pid, data) {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(f, "%d\n%s", os.Getpid(), rest)
		return errors.Join(err, f.Close())
	}
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT} {
		if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("process %d still runs on %s: %w", pid, data, err)
		}
		for end := time.Now().Add(3 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
			if !servertest.Alive(pid) {
				return nil
			}
		}
	}
	return fmt.Errorf("process %d still runs on %s and does not stop", pid, data)
}

// isPostmaster tells whether the process was started as a Postgres on that data folder.
func isPostmaster(pid int, data string) bool {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		line, err = exec.Command("ps", "-o", "command=", "-p", strconv.Itoa(pid)).Output()
	}
	return err == nil && bytes.Contains(line, []byte("postgres")) && bytes.Contains(line, []byte(data))
}
