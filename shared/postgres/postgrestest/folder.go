package postgrestest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// account is the user that the server runs as. Postgres refuses root, so root hands it to somebody else.
type account struct {
	uid, gid uint32
	drop     bool
}

// accountFor picks who runs the server: ourselves, unless we are root. Then it is the data's owner if there is data,
// else the user postgres, else nobody.
func accountFor(data string) (account, error) {
	if os.Geteuid() != 0 {
		return account{}, nil
	}
	if info, err := os.Stat(data); err == nil {
		if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Uid != 0 {
			return account{uid: st.Uid, gid: st.Gid, drop: true}, nil
		}
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil {
			continue
		}
		gid, err := strconv.ParseUint(u.Gid, 10, 32)
		if err != nil {
			continue
		}
		return account{uid: uint32(uid), gid: uint32(gid), drop: true}, nil
	}
	return account{}, errors.New("the server does not run as root and this machine has neither a user postgres nor a user nobody")
}

// own gives path to the account.
func (a account) own(path string) error {
	if !a.drop {
		return nil
	}
	return os.Chown(path, int(a.uid), int(a.gid))
}

// command prepares a Postgres program that works in dir, with an environment in which no PG* variable of ours leads it
// astray.
func (a account) command(dir, program string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	if a.drop {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: a.uid, Gid: a.gid}
		if !a.reaches(dir) {
			passUnreachable(cmd.SysProcAttr)
		}
	}
	return cmd
}

// reaches tells whether every folder above dir lets the account through by its mode bits.
func (a account) reaches(dir string) bool {
	for {
		info, err := os.Stat(dir)
		if err != nil {
			return false
		}
		mode := info.Mode().Perm()
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			return false
		}
		switch {
		case st.Uid == a.uid:
			ok = mode&0o100 != 0
		case st.Gid == a.gid:
			ok = mode&0o010 != 0
		default:
			ok = mode&0o001 != 0
		}
		if !ok {
			return false
		}
		if dir == "/" {
			return true
		}
		dir = filepath.Dir(dir)
	}
}

// password reads the superuser's password of this folder, and makes it when the folder is new.
func password(path string, who account, fresh bool) (string, error) {
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
	return word, who.own(path)
}

// initialize makes the cluster beside its final place and renames it when it is whole, so that a death half way leaves
// nothing that looks like data.
func initialize(ctx context.Context, bin binaries, who account, dir, data string, fsync bool) error {
	half := data + ".new"
	if err := os.RemoveAll(half); err != nil {
		return err
	}
	if err := os.Mkdir(half, 0o700); err != nil {
		return err
	}
	if err := who.own(half); err != nil {
		return err
	}
	args := []string{"-D", half, "-U", superuser, "--pwfile", filepath.Join(dir, "password"), "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"}
	if !fsync {
		args = append(args, "--no-sync")
	}
	var out bytes.Buffer
	cmd := who.command(dir, bin.path("initdb"), args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	c, err := startChild(cmd, syscall.SIGTERM)
	if err != nil {
		return fmt.Errorf("initdb: %w", err)
	}
	select {
	case <-c.done:
	case <-ctx.Done():
		c.stop(syscall.SIGTERM, time.Second, syscall.SIGKILL, time.Second)
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
	if err != nil || pid <= 1 || !alive(pid) {
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
			if !alive(pid) {
				return nil
			}
		}
	}
	return fmt.Errorf("process %d still runs on %s and does not stop", pid, data)
}

// alive tells whether the process exists; one of another user does too.
func alive(pid int) bool {
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}

// isPostmaster tells whether the process was started as a Postgres on that data folder.
func isPostmaster(pid int, data string) bool {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		line, err = exec.Command("ps", "-o", "command=", "-p", strconv.Itoa(pid)).Output()
	}
	return err == nil && bytes.Contains(line, []byte("postgres")) && bytes.Contains(line, []byte(data))
}
