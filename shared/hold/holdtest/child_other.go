//go:build !linux

package holdtest

import "syscall"

// Only Linux knows death signals. Elsewhere a server that outlives its parent is stopped by the next start on its folder.
func setDeathSignal(*syscall.SysProcAttr, syscall.Signal) {}
