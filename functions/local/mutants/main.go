// Mutants shows that the tests can fail: it puts one named fault after the other into the program, as an edit that lives
// only in a build's overlay, and runs the test that has to notice.
//
// Invariants: no file of the repository is ever written. A mutant counts as killed only by a failing test: it must build,
// its killer must be green without it, and a run that hangs, is skipped or finds no such test is no kill. A green killer
// is followed by the package's whole suite, to tell a hole in the tests from a wrong name in the table; both end the run
// with exit code 1, and so does anything that goes wrong half way.
//
// Stopped half way, it ends what it has started, the servers that all runs share too, and leaves a temporary folder at
// most.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"
)

func main() {
	os.Exit(start(os.Args[1:]))
}

func start(args []string) int {
	flags := flag.NewFlagSet("mutants", flag.ContinueOnError)
	table := flags.Bool("table", false, "print the table of mutants as Markdown, and run none")
	parallel := flags.Int("parallel", 2, "how many mutants are at work at once")
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "mutants [flags] [name ...]: all mutants, or those named")
		flags.PrintDefaults()
	}
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 1
	}
	if *table {
		fmt.Print(markdown(mutants()))
		return 0
	}
	chosen, err := choose(mutants(), flags.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		return 1
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := run(ctx, chosen, max(1, *parallel)); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		return 1
	}
	return 0
}

// choose gives the mutants of these names, or all.
func choose(all []mutant, names []string) ([]mutant, error) {
	if len(names) == 0 {
		return all, nil
	}
	var chosen []mutant
	for _, name := range names {
		i := slices.IndexFunc(all, func(m mutant) bool { return m.name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no mutant %q", name)
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}
