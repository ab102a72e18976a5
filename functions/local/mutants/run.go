package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// A killer takes seconds, a whole suite minutes; what takes longer hangs.
const (
	killerPatience = 5 * time.Minute
	suitePatience  = 15 * time.Minute
)

// bench is where mutants are built and run.
type bench struct {
	root string // of the module
	dir  string // for overlays and test binaries

	variables []string // that name the servers

	mu     sync.Mutex // of the lines that are printed
	done   int
	failed int
}

// run puts every mutant to the test, and prints a line for each.
func run(ctx context.Context, list []mutant, parallel int) error {
	began := time.Now()
	root, err := moduleRoot(ctx)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "stayhold-mutants-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	// The database's own user has to get through.
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	variables, stop, err := servers(ctx, dir)
	if err != nil {
		return err
	}
	defer stop()
	b := &bench{root: root, dir: dir, variables: variables}
	if err := b.unmodified(ctx, list); err != nil {
		return err
	}
	fmt.Printf("%d mutants, and every killer is green without them (%.0f s)\n", len(list), time.Since(began).Seconds())

	waiting := make(chan mutant)
	var all sync.WaitGroup
	for range parallel {
		all.Go(func() {
			for m := range waiting {
				b.tell(ctx, m, len(list))
			}
		})
	}
	for _, m := range list {
		waiting <- m
	}
	close(waiting)
	all.Wait()
	if err := ctx.Err(); err != nil {
		return err
	}
	fmt.Printf("%d of %d mutants killed in %.0f s\n", len(list)-b.failed, len(list), time.Since(began).Seconds())
	if b.failed > 0 {
		return fmt.Errorf("%d mutants were not killed by the test that the table names", b.failed)
	}
	return nil
}

func moduleRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	file := strings.TrimSpace(string(out))
	if err != nil || filepath.Base(file) != "go.mod" {
		return "", errors.Join(errors.New("not inside the module"), err)
	}
	return filepath.Dir(file), nil
}

// unmodified runs the killers of the list without any mutant: a broken machine is no kill.
func (b *bench) unmodified(ctx context.Context, list []mutant) error {
	tests := map[string][]string{}
	for _, m := range list {
		if k := m.killer; !slices.Contains(tests[k.dir], k.test) {
			tests[k.dir] = append(tests[k.dir], k.test)
		}
	}
	for dir, names := range tests {
		binary, err := b.build(ctx, killer{dir: dir}, "unmodified", "")
		if err != nil {
			return err
		}
		out, err := b.test(ctx, dir, binary, names, "", suitePatience)
		if err != nil {
			return fmt.Errorf("%s without a mutant: %w\n%s", dir, err, tail(out))
		}
		for _, name := range names {
			if !strings.Contains(out, "--- PASS: "+name+" ") {
				return fmt.Errorf("%s: %s is not green without a mutant\n%s", dir, name, tail(out))
			}
		}
		if err := os.Remove(binary); err != nil {
			return err
		}
	}
	return nil
}

// tell puts one mutant to the test and prints what became of it.
func (b *bench) tell(ctx context.Context, m mutant, of int) {
	began := time.Now()
	err := b.kill(ctx, m)
	b.mu.Lock()
	defer b.mu.Unlock()
	if ctx.Err() != nil {
		return
	}
	b.done++
	verdict := "killed by " + m.killer.test
	if err != nil {
		b.failed++
		verdict = "NOT KILLED: " + err.Error()
	}
	fmt.Printf("%3d/%d  %-34s %5.1f s  %s\n", b.done, of, m.name, time.Since(began).Seconds(), verdict)
}

// kill is nil when the mutant's killer is red.
func (b *bench) kill(ctx context.Context, m mutant) error {
	overlay, err := b.overlay(m)
	if err != nil {
		return err
	}
	binary, err := b.build(ctx, m.killer, m.name, overlay)
	if err != nil {
		return fmt.Errorf("it does not build: %w", err)
	}
	defer os.Remove(binary)
	out, err := b.test(ctx, m.killer.dir, binary, []string{m.killer.test}, overlay, killerPatience)
	if strings.Contains(out, "--- FAIL: "+m.killer.test+" ") {
		return nil
	}
	if err != nil {
		return fmt.Errorf("its killer ended without a verdict: %w\n%s", err, tail(out))
	}
	if out, err = b.test(ctx, m.killer.dir, binary, nil, overlay, suitePatience); err == nil {
		return errors.New("it survives the whole suite of " + m.killer.dir)
	}
	red := failing.FindAllString(out, -1)
	return fmt.Errorf("the table names the wrong test; red are %q", red)
}

var failing = regexp.MustCompile(`(?m)^--- FAIL: \S+`)

// overlay writes the mutant's files and the list that names them to the compiler.
func (b *bench) overlay(m mutant) (string, error) {
	changed, err := m.apply(b.root)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(b.dir, m.name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	replace := map[string]string{}
	for file, text := range changed {
		own := filepath.Join(dir, strings.ReplaceAll(file, "/", "_"))
		if err := os.WriteFile(own, []byte(text), 0o600); err != nil {
			return "", err
		}
		replace[filepath.Join(b.root, filepath.FromSlash(file))] = own
	}
	list, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	name := filepath.Join(dir, "overlay.json")
	return name, os.WriteFile(name, list, 0o600)
}

// build makes the test binary of the killer's package.
func (b *bench) build(ctx context.Context, k killer, name, overlay string) (string, error) {
	binary := filepath.Join(b.dir, name+"-"+strings.ReplaceAll(k.dir, "/", "-")+".test")
	cmd := b.command(ctx, "go", overlay, "test", "-c", "-o", binary, "./"+k.dir)
	cmd.Dir = b.root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, tail(string(out)))
	}
	return binary, nil
}

// test runs tests by their names (none: all) in their package's folder. A server that is missing fails them.
func (b *bench) test(ctx context.Context, dir, binary string, names []string, overlay string, patience time.Duration) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience+time.Minute)
	defer cancel()
	pattern := "."
	if len(names) > 0 {
		pattern = "^(" + strings.Join(names, "|") + ")$"
	}
	cmd := b.command(ctx, binary, overlay, "-test.v", "-test.run", pattern, "-test.timeout", patience.String())
	cmd.Dir = filepath.Join(b.root, filepath.FromSlash(dir))
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// command is one that ends softly when the context does, and whose own builds see the mutant too.
func (b *bench) command(ctx context.Context, name, overlay string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	cmd.Env = append(os.Environ(), append(b.variables, "CI=true")...)
	if overlay != "" {
		cmd.Env = append(cmd.Env, strings.TrimSpace("GOFLAGS="+os.Getenv("GOFLAGS")+" -overlay="+overlay))
	}
	return cmd
}

// tail is the end of what a command said.
func tail(out string) string {
	lines := strings.Split(strings.TrimSpace(out), "\n")
	return strings.Join(lines[max(0, len(lines)-15):], "\n")
}
