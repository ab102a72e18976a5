//go:build !linux

package servertest

import "syscall"

// Only Linux knows death signals and ambient capabilities. Elsewhere a server that outlives its parent is stopped by
// the next start on its folder.
func setDeathSignal(*syscall.SysProcAttr, syscall.Signal) {}

func passUnreachable(*syscall.SysProcAttr) {}
