package servertest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// lockName is the file in a server's folder that is locked while the server runs, and bears the owner's pid.
const lockName = "lock"

// Lock says that this process works in a folder; it lives no longer than the process.
type Lock struct{ file *os.File }

// LockFolder takes the lock of the folder dir, which must be there. Its error is one line for a person and bears dir; that
// for a folder in use names the process that works there.
func LockFolder(dir string) (*Lock, error) {
	f, err := lockFile(filepath.Join(dir, lockName))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	return &Lock{file: f}, nil
}

func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		owner := make([]byte, 20)
		n, _ := f.Read(owner)
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("in use by process %s", strings.TrimSpace(string(owner[:n])))
		}
		return nil, err
	}
	if err := f.Truncate(0); err != nil {
		_ = f.Close()
		return nil, err
	}
	if _, err := fmt.Fprintf(f, "%d\n", os.Getpid()); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// Free gives the lock back and leaves the file empty, which says that nobody works there.
func (l *Lock) Free() {
	_ = l.file.Truncate(0)
	// Closing alone would leave the lock to a child that is being forked at this moment, until it runs its program.
	_ = syscall.Flock(int(l.file.Fd()), syscall.LOCK_UN)
	_ = l.file.Close()
}

// FreeAfter frees the lock when the child has ended. The channel closes then: the folder may be used again.
func (l *Lock) FreeAfter(c *Child) <-chan struct{} {
	freed := make(chan struct{})
	go func() {
		<-c.Done()
		l.Free()
		close(freed)
	}()
	return freed
}
