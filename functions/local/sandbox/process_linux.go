package sandbox

import "syscall"

// processAttributes puts a child in a group of its own, away from the terminal's Ctrl-C, and has the kernel end it
// when this process is gone.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
