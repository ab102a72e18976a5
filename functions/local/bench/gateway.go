package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

const (
	simulatorPackage = "./functions/local/bench/simulator"
	// simulator is how its process is told apart from the functions'.
	simulator     = "simulator"
	gatewaySecret = "bench-gateway-secret"
	// awake keeps the monitor of Go's scheduler from falling asleep whenever its process waits.
	awake = "GODEBUG=schedtrace=2000000000"
)

// startGateway starts the payment simulator as a process of its own, which the lab ends, and gives what functions and
// stack are told of it. It keeps its ledger in memory: a real gateway's flushes do not stand in line with ours.
func (l *lab) startGateway(ctx context.Context, b *bench) (variables []string, err error) {
	p, err := b.build(ctx, simulator, simulatorPackage, "")
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(p.path, gatewaySecret)
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1", awake) // much as the front serves it
	var words strings.Builder
	cmd.Stderr = &words
	alive, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	said, err := cmd.StdoutPipe()
	if err != nil {
		return nil, errors.Join(err, alive.Close())
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	url, err := bufio.NewReader(said).ReadString('\n')
	if err != nil {
		_ = alive.Close() // it is at its end already
		return nil, fmt.Errorf("the payment simulator: %w: %s", errors.Join(err, cmd.Wait()), words.String())
	}
	l.later(func() {
		_ = errors.Join(alive.Close(), cmd.Wait()) // nobody asks for its ledger any more
	})
	return []string{"PAYMENT_GATEWAY_URL=" + strings.TrimSpace(url), "PAYMENT_GATEWAY_SECRET=" + gatewaySecret}, nil
}
