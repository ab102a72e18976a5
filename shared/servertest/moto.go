package servertest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// motoPackages are installed together once per version: a virtual environment is used again as long as its stamp names
// them. The translator turns our template into what CloudFormation reads, as SAM does.
var motoPackages = []string{"moto[cloudformation]==5.2.5", "flask==3.1.3", "flask-cors==6.0.5", "aws-sam-translator==1.115.0"}

// Moto gives a Python that has moto, a third party's AWS, and SAM's translator. Without them the test is skipped for a
// person and fails in CI.
func Moto(t testing.TB) (python string) {
	t.Helper()
	python, err := installMoto()
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("moto, a third party's AWS, is missing: %v", err)
		}
		t.Skipf("moto, a third party's AWS, is missing: %v", err)
	}
	return python
}

// installMoto gives the interpreter of a virtual environment that holds moto.
func installMoto() (string, error) {
	local, err := localFolder()
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(local, 0o755); err != nil {
		return "", err
	}
	lock, err := os.OpenFile(filepath.Join(local, "venv-moto.lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", err
	}
	// Closing it lets the next test process in.
	defer func() { _ = lock.Close() }()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", err
	}
	venv := filepath.Join(local, "venv-moto")
	python := filepath.Join(venv, "bin", "python")
	stamp := filepath.Join(venv, "installed")
	want := strings.Join(motoPackages, "\n")
	if have, err := os.ReadFile(stamp); err == nil && string(have) == want {
		return python, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	if err := run(ctx, "python3", "-m", "venv", "--clear", venv); err != nil {
		return "", fmt.Errorf("python3 with its venv module is needed: %w", err)
	}
	pip := append([]string{"-m", "pip", "install", "--quiet", "--disable-pip-version-check"}, motoPackages...)
	if err := run(ctx, python, pip...); err != nil {
		return "", fmt.Errorf("pip does not install it: %w", err)
	}
	return python, os.WriteFile(stamp, []byte(want), 0o644)
}

// localFolder is .local beside the go.mod that the test's package is under.
func localFolder() (string, error) {
	root, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
			return filepath.Join(root, ".local"), nil
		}
		if root == filepath.Dir(root) {
			return "", errors.New("this is not run inside of the repository")
		}
		root = filepath.Dir(root)
	}
}

func run(ctx context.Context, name string, args ...string) error {
	command := exec.CommandContext(ctx, name, args...)
	command.WaitDelay = 5 * time.Second
	output, err := command.CombinedOutput()
	if err != nil {
		lines := strings.Split(strings.TrimSpace(string(output)), "\n")
		return fmt.Errorf("%s: %w: %s", name, err, lines[len(lines)-1])
	}
	return nil
}
