// Bench measures how fast Stayhold is on this machine, and how much of that is its own doing: each handler against its
// floor, the same work on the same Redis and Postgres with nothing around it, and the whole flow over HTTP through the
// local stack.
//
// Invariants: only ratios inside one run are judged, since machines are shared and noisy: handler and floor alternate in
// rounds, and the median over the rounds is told with its range. Every answer is looked at; one that is not as expected
// ends the run, since the speed of failing is of no interest. Servers and data are its own, in a temporary folder.
//
// When it fails half way, or is stopped, one line says why, everything that it started is stopped, the folder is
// removed, no figures are written, and the exit code is 1.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"stayhold/functions/local/harness"
)

func main() {
	os.Exit(start(os.Args[1:]))
}

func start(args []string) int {
	c := config{root: ".", out: os.Stdout}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.StringVar(&c.dir, "dir", ".local", "folder with the built executables; bench.json is written there")
	flags.StringVar(&c.only, "only", "", "measure these only, separated by commas: "+groupNames())
	flags.StringVar(&c.profile, "profile", "", "write a CPU profile of handlers and floors to this file, labelled by leg")
	flags.IntVar(&c.rounds, "rounds", defaultRounds, "how often handler and floor take turns")
	flags.BoolVar(&c.quick, "quick", false, "a tenth of the time: shows that everything works, and judges nothing")
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 1
	case flags.NArg() > 0:
		fmt.Fprintf(os.Stderr, "there is no argument %q\n", flags.Arg(0))
		return 1
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	ctx, orphaned := harness.WithParent(ctx)
	defer orphaned()
	if err := run(ctx, c); err != nil {
		fmt.Fprintln(os.Stderr, "bench: "+strings.ReplaceAll(err.Error(), "\n", "; "))
		return 1
	}
	return 0
}
