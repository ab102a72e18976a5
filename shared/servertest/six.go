package servertest

import (
	"io"
	"net"
	"testing"
)

// Six listens on ::1 in front of a server that does not, and returns the address, in brackets and with its port. On a
// machine without IPv6 the test is skipped.
func Six(t testing.TB, server string) string {
	t.Helper()
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Skipf("no IPv6 here: %v", err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			behind, err := net.Dial("tcp", server)
			if err != nil {
				_ = client.Close()
				continue
			}
			for from, to := range map[net.Conn]net.Conn{client: behind, behind: client} {
				go func() {
					_, _ = io.Copy(to, from) // however it ends, both do
					_, _ = to.Close(), from.Close()
				}()
			}
		}
	}()
	return l.Addr().String()
}
