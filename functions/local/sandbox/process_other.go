//go:build !linux

package sandbox

import (
	"os"
	"syscall"
)

// processAttributes puts a child in a group of its own, away from the terminal's Ctrl-C.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

// killGroup ends a child and whatever it started. One that is gone already is no error.
func killGroup(p *os.Process) { _ = syscall.Kill(-p.Pid, syscall.SIGKILL) }
