// Local runs Stayhold on one machine: the functions that are deployed, behind what stands in for API Gateway, Lambda,
// SQS, EventBridge Scheduler and the payment gateway, with a real Postgres and a real Redis. It is not deployed.
//
// Invariants: routes, queue, schedule, timeouts and environments are those of template.yaml; whatever it starts it also
// stops, and supervises in between; nothing listens but on 127.0.0.1 and, for containers, where ALSO_LISTEN says. With
// AWS_ENDPOINT_URL_LAMBDA it runs no function itself: each call goes to that endpoint.
//
// When a start fails half way, one line says what and what to do, everything is stopped again, and the exit code is 1.
// When it is killed, the kernel ends its children on Linux; elsewhere the environments end themselves, and the servers
// are stopped by the next start. What was acknowledged is in Postgres, and is found again.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"stayhold/functions/local/harness"
)

func main() {
	os.Exit(run())
}

func run() int {
	flags := flag.NewFlagSet("local", flag.ContinueOnError)
	flags.SetOutput(os.Stderr)
	flags.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: local [-dir .local]   (run it where template.yaml is; everything else is set by environment variables, see README.md)")
	}
	dir := flags.String("dir", ".local", "folder of data, logs and the functions' executables")
	err := flags.Parse(os.Args[1:])
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 1
	case flags.NArg() > 0:
		fmt.Fprintf(os.Stderr, "there is no argument %q\n", flags.Arg(0))
		flags.Usage()
		return 1
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	ctx, orphaned := harness.WithParent(ctx)
	defer orphaned()
	if os.Getenv("GOMAXPROCS") == "" {
		// Functions and servers need the other half of the processors, and what is handed from thread to thread costs
		// more than the front does with it. A call that blocks keeps a processor for 20 ms at most.
		runtime.GOMAXPROCS(max(1, runtime.GOMAXPROCS(0)/2))
	}
	out := newPrinter(os.Stdout)
	defer out.close()
	if err := serve(ctx, *dir, os.LookupEnv, out); err != nil {
		out.close()
		fmt.Fprintln(os.Stderr, "cannot run: "+oneLine(err))
		return 1
	}
	return 0
}
