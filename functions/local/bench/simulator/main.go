// Simulator is the payment gateway of the local stack in a process of its own, so that its processor time is told apart
// from the front's. Its arguments are its folder and the secret that callers must show; it prints its URL on a line.
//
// It ends when its standard input does, and so with whoever started it. What it has answered is on disk.
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
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: simulator folder secret")
		os.Exit(1)
	}
	if err := serve(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "simulator:", err)
		os.Exit(1)
	}
}

func serve(dir, secret string) error {
	simulator, err := paymentgatewaytest.New(paymentgatewaytest.Options{Dir: dir, Secret: secret})
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
