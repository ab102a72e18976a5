package paymentgateway

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"stayhold/shared/booking"
)

func wantUnknown(t *testing.T, a booking.Answer) {
	t.Helper()
	if a.Verdict != booking.VerdictUnknown || a.Cause == nil {
		t.Fatalf("got %s (%v), want UNKNOWN with a cause", a.Verdict, a.Cause)
	}
	for _, leak := range []string{testSecret, "dGVzdF9za1", testKey, "chatty"} {
		if strings.Contains(a.Cause.Error(), leak) {
			t.Fatalf("cause shows %q: %v", leak, a.Cause)
		}
	}
}

// rawServer hands every accepted connection to serve, in order, numbered from 1.
func rawServer(t *testing.T, serve func(n int32, conn net.Conn)) *Client {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for n := int32(1); ; n++ {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				serve(n, conn)
			}()
		}
	}()
	c := New(Options{CardURL: "http://" + listener.Addr().String(), CardSecret: testSecret, Timeout: 5 * time.Second})
	t.Cleanup(c.http.CloseIdleConnections)
	return c
}

// readRequest reads one whole request; false when the connection ended.
func readRequest(in *bufio.Reader) bool {
	r, err := http.ReadRequest(in)
	if err != nil {
		return false
	}
	_, err = io.Copy(io.Discard, r.Body)
	return err == nil
}

func reset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// TestBrokenKeepAliveIsOneRequest breaks a kept-alive connection after the second
// request was written, by an end and by a reset. net/http by itself would send a POST
// with an Idempotency-Key again.
func TestBrokenKeepAliveIsOneRequest(t *testing.T) {
	t.Parallel()
	for name, breakOff := range map[string]func(net.Conn){
		"end":   func(c net.Conn) { _ = c.Close() },
		"reset": reset,
	} {
		for call, do := range map[string]func(*Client) booking.Answer{
			"confirm": func(c *Client) booking.Answer { return c.Confirm(t.Context(), charge()) },
			"cancel":  func(c *Client) booking.Answer { return c.Cancel(t.Context(), charge(), "SOLD_OUT") },
		} {
			t.Run(call+" "+name, func(t *testing.T) {
				t.Parallel()
				var requests, connections atomic.Int32
				c := rawServer(t, func(n int32, conn net.Conn) {
					connections.Store(n)
					in := bufio.NewReader(conn)
					for readRequest(in) {
						if requests.Add(1) > 1 {
							breakOff(conn)
							return
						}
						if _, err := io.WriteString(conn, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"); err != nil {
							return
						}
					}
				})
				wantUnknown(t, c.Lookup(t.Context(), charge())) // opens the connection
				wantUnknown(t, do(c))
				if r, n := requests.Load(), connections.Load(); r != 2 || n != 1 {
					t.Fatalf("%d requests on %d connections reached the server, want 2 on 1", r, n)
				}
			})
		}
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	var strayed atomic.Int32
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { strayed.Add(1) }))
	t.Cleanup(elsewhere.Close)
	for _, status := range []int{301, 302, 303, 307, 308} {
		c := client(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", elsewhere.URL+"/chatty")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, object())
		})
		wantUnknown(t, c.Confirm(t.Context(), charge()))
		wantUnknown(t, c.Lookup(t.Context(), charge()))
		wantUnknown(t, c.Cancel(t.Context(), charge(), "SOLD_OUT"))
	}
	if n := strayed.Load(); n != 0 {
		t.Fatalf("%d requests went to the redirect's target", n)
	}
}

func TestAnswersAreCapped(t *testing.T) {
	t.Parallel()
	padded := func(n int) string { // a good answer of exactly n bytes
		short := object("card", `""`)
		return strings.Replace(short, `"card":""`, `"card":"`+strings.Repeat("x", n-len(short))+`"`, 1)
	}
	if a := serve(t, 200, padded(maxAnswer)).Confirm(t.Context(), charge()); a.Verdict != booking.VerdictApproved {
		t.Fatalf("an answer of the cap's length: %s (%v)", a.Verdict, a.Cause)
	}
	wantUnknown(t, serve(t, 200, padded(maxAnswer+1)).Confirm(t.Context(), charge()))
	wantUnknown(t, serve(t, 404, `{"code":"NOT_FOUND_PAYMENT"}`+strings.Repeat(" ", maxAnswer)).Lookup(t.Context(), charge()))
	wantUnknown(t, client(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Chatty", strings.Repeat("chatty", maxHeader))
		_, _ = io.WriteString(w, object())
	}).Confirm(t.Context(), charge()))
}

func TestHugeAmountsAreQuick(t *testing.T) {
	t.Parallel()
	began := time.Now()
	for _, digits := range []int{40, 60_000, 5_000_000} {
		wantUnknown(t, serve(t, 200, object("totalAmount", strings.Repeat("9", digits))).Confirm(t.Context(), charge()))
		wantUnknown(t, serve(t, 200, object("totalAmount", "97000."+strings.Repeat("0", digits))).Lookup(t.Context(), charge()))
	}
	wantUnknown(t, serve(t, 200, object("totalAmount", "1e2000000000")).Lookup(t.Context(), charge()))
	wantUnknown(t, serve(t, 200, object("totalAmount", "1e-2000000000")).Lookup(t.Context(), charge()))
	if took := time.Since(began); took > 5*time.Second {
		t.Fatalf("took %s", took)
	}
}

func TestSilenceIsUnknown(t *testing.T) {
	t.Parallel()
	silent := func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}
	c := client(t, silent)
	c.timeout = 50 * time.Millisecond
	a := c.Confirm(t.Context(), charge())
	wantUnknown(t, a)
	if !errors.Is(a.Cause, context.DeadlineExceeded) {
		t.Fatalf("own timeout: %v", a.Cause)
	}

	c = client(t, silent) // the caller's deadline is the shorter one
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	a = c.Cancel(ctx, charge(), "SOLD_OUT")
	wantUnknown(t, a)
	if !errors.Is(a.Cause, context.DeadlineExceeded) {
		t.Fatalf("caller's deadline: %v", a.Cause)
	}

	gone, stop := context.WithCancel(t.Context())
	stop()
	a = c.Confirm(gone, charge())
	wantUnknown(t, a)
	if !errors.Is(a.Cause, context.Canceled) {
		t.Fatalf("cancelled caller: %v", a.Cause)
	}
}

func TestBrokenAnswersAreUnknown(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"nothing":             "",
		"half a head":         "HTTP/1.1 200 OK\r\nContent-Le",
		"half a body":         "HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n" + object(),
		"half a chunk":        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\n" + object(),
		"not http":            "chatty 220 mail server ready\r\n\r\n",
		"a status of letters": "HTTP/1.1 chatty\r\n\r\n",
		"two lengths":         "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}}",
		"only an interim":     "HTTP/1.1 100 Continue\r\n\r\n",
	} {
		for how, end := range map[string]func(net.Conn){"end": func(c net.Conn) { _ = c.Close() }, "reset": reset} {
			t.Run(name+" "+how, func(t *testing.T) {
				t.Parallel()
				var requests atomic.Int32
				c := rawServer(t, func(_ int32, conn net.Conn) {
					if readRequest(bufio.NewReader(conn)) {
						requests.Add(1)
						_, _ = io.WriteString(conn, answer)
					}
					end(conn)
				})
				wantUnknown(t, c.Confirm(t.Context(), charge()))
				if n := requests.Load(); n != 1 {
					t.Fatalf("%d requests, want 1", n)
				}
			})
		}
	}
}

func TestNobodyThereIsUnknown(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	c := New(Options{CardURL: server.URL, CardSecret: testSecret})
	a := c.Confirm(t.Context(), charge())
	wantUnknown(t, a)
	if !errors.Is(a.Cause, syscall.ECONNREFUSED) {
		t.Fatalf("cause: %v", a.Cause)
	}
}
