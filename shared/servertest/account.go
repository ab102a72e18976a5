package servertest

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Account is the user that a server runs as; the zero value is ourselves. A server that refuses root is handed to
// somebody else by root.
type Account struct {
	uid, gid uint32
	drop     bool
}

// AccountFor picks who runs a server that refuses root: ourselves, unless we are root. Then it is the owner of data if
// that is there, else the first of the named users that this machine has.
func AccountFor(data string, names ...string) (Account, error) {
	if os.Geteuid() != 0 {
		return Account{}, nil
	}
	if info, err := os.Stat(data); err == nil {
		if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Uid != 0 {
			return Account{uid: st.Uid, gid: st.Gid, drop: true}, nil
		}
	}
	for _, name := range names {
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
		return Account{uid: uint32(uid), gid: uint32(gid), drop: true}, nil
	}
	return Account{}, fmt.Errorf("the server does not run as root and this machine has neither a user %s", strings.Join(names, " nor a user "))
}

// Own gives path to the account.
func (a Account) Own(path string) error {
	if !a.drop {
		return nil
	}
	return os.Chown(path, int(a.uid), int(a.gid))
}

// Command prepares a program that the account runs and that works in dir, with an environment in which no variable of
// ours leads it astray.
func (a Account) Command(dir, program string, args ...string) *exec.Cmd {
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
func (a Account) reaches(dir string) bool {
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
