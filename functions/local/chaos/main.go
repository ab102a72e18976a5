// Chaos sells rooms through the local stack while it kills what the stack stands on: functions' processes, Postgres and
// Redis with -9, at random; Redis forgets everything, or comes back with what it knew some time ago; the queue loses
// messages and delivers others twice. Then it lets everything come to rest, and holds rows, gate, gateway's ledger and
// whatever a buyer was told against the invariants. With -soak it does so gently and for long, and looks at the
// invariants, memory, connections and table sizes while it goes on.
//
// Invariants: servers and data are its own, in a temporary folder, and on 127.0.0.1 only; it kills no process that it, or
// its stack, did not start; a run in which some kind of fault did not happen, or nothing was sold, has failed.
//
// The seed decides which faults come and what buyers want; when each of them meets the other, the machine decides. When
// it fails half way, or is stopped, one line says why, everything that it started is stopped, and the exit code is 1.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

func main() {
	os.Exit(start(os.Args[1:]))
}

func start(args []string) int {
	c := config{root: ".", pace: chaosPace, kills: leastKills, out: os.Stdout}
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	flags.StringVar(&c.dir, "dir", ".local", "folder with the built executables; what a soak measures is written there")
	flags.Uint64Var(&c.seed, "seed", rand.Uint64N(1_000_000), "decides faults and buyers")
	minutes := flags.Float64("minutes", 1, "how long the faults go on")
	flags.IntVar(&c.buyers, "buyers", 8, "how many are at work at a time")
	flags.BoolVar(&c.soak, "soak", false, "few faults, and a look at invariants, memory, connections and tables every ten seconds")
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 1
	case flags.NArg() > 0 || *minutes <= 0 || c.buyers < 1:
		fmt.Fprintln(os.Stderr, "chaos: no arguments, and some minutes and buyers, please")
		return 1
	}
	c.bin, c.length = filepath.Join(c.dir, "bin"), time.Duration(*minutes*float64(time.Minute))
	if c.soak {
		// A short soak has every kind of fault too, twice at least.
		c.pace, c.kills = min(soakPace, c.length/time.Duration(2*len(deck))), 0
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if _, err := execute(ctx, c); err != nil {
		fmt.Fprintln(os.Stderr, "chaos: "+strings.ReplaceAll(err.Error(), "\n", "; "))
		return 1
	}
	return 0
}
