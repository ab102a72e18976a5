//go:build !linux

package sandbox

import "syscall"

// processAttributes puts a child in a group of its own, away from the terminal's Ctrl-C.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
