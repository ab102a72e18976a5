// Apifuzz has a third party's fuzzer, schemathesis, read shared/api/openapi.yaml and send the local stack what it finds in
// there, and what it finds forbidden there.
//
// The stack is one of its own, in a temporary folder and on free ports, and is stopped at the end however that comes.
// The seed is fixed unless another is given, so that a failure comes again; the answers still depend on what earlier
// requests did to the stack.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"stayhold/functions/local/harness"
)

// What the fuzzer reads.
const (
	description = "shared/api/openapi.yaml"
	settings    = "functions/local/apifuzz/schemathesis.toml"
)

func main() {
	fuzzer := flag.String("fuzzer", "", "the schemathesis program, from the repository's root")
	seed := flag.Int("seed", 1, "seed of the inputs")
	seconds := flag.Int("seconds", 60, "how long it may take")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *fuzzer, *seed, *seconds); err != nil {
		fmt.Fprintln(os.Stderr, "fuzz-api:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, fuzzer string, seed, seconds int) (err error) {
	work, err := os.MkdirTemp("", "stayhold-apifuzz-")
	if err != nil {
		return err
	}
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	front, err := harness.Open(ctx, harness.Options{Root: ".", Bin: ".local/bin", Work: filepath.Join(work, "stack"), Log: io.Discard})
	if err != nil {
		return err
	}
	defer front.Stop()
	token, err := harness.NewShop(front).Token(ctx, 7)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(root, fuzzer), "--config-file", filepath.Join(root, settings), "run", filepath.Join(root, description),
		"--url", front.API, "--header", "Authorization: Bearer "+token, "--seed", strconv.Itoa(seed), "--max-time", strconv.Itoa(seconds),
		"--generation-database", "none", "--continue-on-failure", "--no-color")
	cmd.Dir = work // it leaves caches where it runs
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	// Asked to stop, it prints what it has found.
	cmd.Cancel, cmd.WaitDelay = func() error { return cmd.Process.Signal(os.Interrupt) }, 10*time.Second
	if err := cmd.Run(); err != nil {
		return errors.Join(err, tell(filepath.Join(work, "stack", "log")))
	}
	return nil
}

// tell prints what the functions logged as errors: an answer of 5xx does not say why.
func tell(logs string) error {
	paths, err := filepath.Glob(filepath.Join(logs, "*"))
	for _, path := range paths {
		text, unread := os.ReadFile(path)
		err = errors.Join(err, unread)
		for line := range strings.Lines(string(text)) {
			if strings.Contains(line, `"level":"ERROR"`) {
				fmt.Print(filepath.Base(path), ": ", line)
			}
		}
	}
	return err
}
