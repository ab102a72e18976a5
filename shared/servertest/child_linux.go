package servertest

import (
	"os"
	"strconv"
	"strings"
	"syscall"
)

func setDeathSignal(attr *syscall.SysProcAttr, sig syscall.Signal) { attr.Pdeathsig = sig }

// Capability numbers of linux/capability.h.
const (
	capDACOverride   = 1
	capDACReadSearch = 2
)

// passUnreachable lets a child that runs as another user walk through folders that only root may enter, the weakest
// way that this process has. Without either capability the child fails by itself, with the folder's name.
func passUnreachable(attr *syscall.SysProcAttr) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return
	}
	for _, line := range strings.Split(string(status), "\n") {
		hex, ok := strings.CutPrefix(line, "CapPrm:")
		if !ok {
			continue
		}
		permitted, err := strconv.ParseUint(strings.TrimSpace(hex), 16, 64)
		if err != nil {
			return
		}
		for _, c := range []uintptr{capDACReadSearch, capDACOverride} {
			if permitted&(1<<c) != 0 {
				attr.AmbientCaps = []uintptr{c}
				return
			}
		}
	}
}
