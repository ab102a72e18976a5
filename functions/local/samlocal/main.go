// Samlocal runs the functions as `sam build` makes them and as `sam local` runs them, in containers of Lambda's own image,
// behind the local front: for a person until he stops it, or with -check for every function, route and step of a sale.
//
// Invariants: nothing is loaded from a registry that is here already; servers, queue and simulator are reached from
// containers only while this runs, and only at the Docker bridge's address; no container outlives it.
//
// When it fails, or is told to stop half way, it stops what it started, removes the containers whose code is that of its
// build, and says in one line what went wrong. Killed, it leaves SAM and its containers, which the next run removes.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"stayhold/functions/local/harness"
)

// local is where `make` keeps what it builds, and the stack of a person its data.
const local = ".local"

func main() {
	program := flag.String("sam", "", "the sam program")
	flags := flag.String("goflags", "", "GOFLAGS of sam build")
	check := flag.Bool("check", false, "go through everything once, on a stack in a temporary folder")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	do := serve
	if *check {
		do = tryAll
	}
	err := do(ctx, *program, *flags)
	switch {
	case ctx.Err() != nil && !*check:
	case err != nil:
		fmt.Fprintln(os.Stderr, "samlocal:", err)
		stop()
		os.Exit(1)
	}
}

// serve keeps the stack up until ctx ends.
func serve(ctx context.Context, program, flags string) (err error) {
	port, err := strconv.Atoi(cmp.Or(os.Getenv("PORT"), "3000"))
	if err != nil {
		return fmt.Errorf("PORT: %q is not a port", os.Getenv("PORT"))
	}
	if err := nobodyElse(filepath.Join(local, "lock")); err != nil {
		return err
	}
	s := &session{sam: program, flags: flags, work: local, build: filepath.Join(".aws-sam", "build"), began: time.Now()}
	if err := s.prepare(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	err = s.open(ctx, port+4, harness.Options{Root: ".", Bin: filepath.Join(local, "bin"), Work: local, Port: port, Vars: os.Environ(), Log: os.Stdout})
	if err != nil {
		return err
	}
	s.say("SAM runs the functions; what they print is in %s", s.log)
	s.say("one of them alone, in another terminal: %s local invoke QueryFunction -e events/query-health.json %s", s.sam, strings.Join(s.overrides(), " "))
	select {
	case <-ctx.Done():
		return nil
	case <-s.front.Done():
		return errors.New("the local front ended: " + s.front.Tail())
	case <-s.lambda.done:
		return fmt.Errorf("sam local start-lambda ended: %s", s.lambda.tail())
	}
}

// nobodyElse says that no stack runs in the folder of that lock: it would lose its containers to this one.
func nobodyElse(lock string) error {
	f, err := os.OpenFile(lock, os.O_RDONLY|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		return fmt.Errorf("a stack runs in %s already: stop it first", filepath.Dir(lock))
	}
	return nil
}
