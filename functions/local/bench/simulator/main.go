// Simulator is the payment gateway of the local stack in a process of its own, so that its processor time is told apart
// from the front's. Its argument is the secret that callers must show; it prints its URL on a line. Its ledger is in
// memory.
//
// It ends when its standard input does, and so with whoever started it.
package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"stayhold/shared/paymentgateway/paymentgatewaytest"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: simulator secret")
		os.Exit(1)
	}
	if err := serve(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "simulator:", err)
		os.Exit(1)
	}
}

func serve(secret string) error {
	simulator, err := paymentgatewaytest.New(paymentgatewaytest.Options{Secret: secret})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return errors.Join(err, simulator.Close())
	}
	server := &http.Server{Handler: simulator, ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // it is read for its end
		_ = server.Close()
	}()
	fmt.Printf("http://%s\n", listener.Addr())
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return errors.Join(err, simulator.Close())
	}
	return simulator.Close()
}
