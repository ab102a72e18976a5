package postgrestest

import (
	"bytes"
	"context"
	"crypto/rand"
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

// password reads the superuser's password of this folder, and makes it when the folder is new.
func password(path string, who servertest.Account, fresh bool) (string, error) {
	if !fresh {
		b, err := os.ReadFile(path)
		if err != nil {
			return "", fmt.Errorf("the data is there but its password is not; empty the data with `make clean-data`: %w", err)
		}
		return strings.TrimSpace(string(b)), nil
	}
	word := rand.Text()
	if err := os.WriteFile(path, []byte(word+"\n"), 0o600); err != nil {
		return "", err
	}
	return word, who.Own(path)
}

// initialize makes the cluster beside its final place and renames it when it is whole, so that a death half way leaves
// nothing that looks like data.
func initialize(ctx context.Context, bin binaries, who servertest.Account, dir, data string, fsync bool) error {
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
	args := []string{"-D", half, "-U", superuser, "--pwfile", filepath.Join(dir, "password"), "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"}
	if !fsync {
		args = append(args, "--no-sync")
	}
	var out bytes.Buffer
	cmd := who.Command(dir, bin.path("initdb"), args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	c, err := servertest.StartChild(cmd, syscall.SIGTERM)
	if err != nil {
		return fmt.Errorf("initdb: %w", err)
	}
	select {
	case <-c.Done():
	case <-ctx.Done():
		c.Stop(syscall.SIGTERM, time.Second, syscall.SIGKILL, time.Second)
		return ctx.Err()
	}
	if !cmd.ProcessState.Success() {
		return fmt.Errorf("initdb failed: %s", strings.Join(strings.Fields(out.String()), " "))
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
