package harness

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// binVariable names a folder that has the executables already, so that several test binaries build them once.
const binVariable = "STAYHOLD_BIN"

// Build builds what `make run` runs, below dir, and returns the folder of the executables. STAYHOLD_BIN names one that has
// them all already.
func Build(root, dir string) (bin string, err error) {
	if ready := os.Getenv(binVariable); ready != "" {
		return filepath.Abs(ready)
	}
	cmd := exec.Command("make", "-C", root, "--no-print-directory", "build", "LOCAL="+dir)
	// Neither this make's flags nor the race detector's are meant for that one.
	for _, v := range os.Environ() {
		switch name, _, _ := strings.Cut(v, "="); name {
		case "MAKEFLAGS", "MFLAGS", "MAKELEVEL", "GOFLAGS":
		default:
			cmd.Env = append(cmd.Env, v)
		}
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("make build: %w\n%s", err, out)
	}
	return filepath.Join(dir, "bin"), nil
}
