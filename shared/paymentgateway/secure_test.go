package paymentgateway

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"stayhold/shared/booking"
	"stayhold/shared/servertest"
)

// secureGateway is a gateway that approves over TLS, on the host given, and a client
// that believes an authority and knows the gateway by that host.
func secureGateway(t *testing.T, shown servertest.Certificate, host string, ca *servertest.Authority) (*Client, *atomic.Int32) {
	t.Helper()
	var requests atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		if r.ProtoMajor != 1 {
			t.Errorf("asked by %s", r.Proto)
		}
		_, _ = io.WriteString(w, object())
	}))
	server.EnableHTTP2 = true
	server.TLS = shown.Config(t)
	server.Config.ErrorLog = servertest.Quiet
	server.StartTLS()
	t.Cleanup(server.Close)
	c := New(Options{CardURL: strings.Replace(server.URL, "127.0.0.1", host, 1), CardSecret: testSecret})
	transport, ok := c.http.Transport.(*http.Transport)
	if !ok {
		t.Fatal("another transport")
	}
	transport.TLSClientConfig.RootCAs = ca.Pool
	t.Cleanup(c.http.CloseIdleConnections)
	return c, &requests
}

// TestOnlyTheNamedGatewayIsSpokenTo has every certificate that a stranger may have. No
// request is sent then, and the answer is UNKNOWN all the same: a refused handshake is
// no answer, and nobody but the gateway says what became of an order.
func TestOnlyTheNamedGatewayIsSpokenTo(t *testing.T) {
	t.Parallel()
	ca, another := servertest.NewAuthority(t), servertest.NewAuthority(t)
	for name, tc := range map[string]struct {
		shown servertest.Certificate
		host  string
		want  string // part of the cause; empty: it is spoken to
	}{
		"the address":      {ca.Issue("127.0.0.1"), "127.0.0.1", ""},
		"the name":         {ca.Issue("localhost"), "localhost", ""},
		"another address":  {ca.Issue("127.0.0.2"), "127.0.0.1", "certificate is valid for 127.0.0.2"},
		"another name":     {ca.Issue("gateway.example"), "localhost", "certificate is valid for gateway.example"},
		"expired":          {ca.Expired("127.0.0.1"), "127.0.0.1", "certificate has expired"},
		"of another":       {another.Issue("127.0.0.1"), "127.0.0.1", "certificate signed by unknown authority"},
		"signed by itself": {servertest.SelfSigned(t, "127.0.0.1"), "127.0.0.1", "certificate signed by unknown authority"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, requests := secureGateway(t, tc.shown, tc.host, ca)
			a := c.Confirm(t.Context(), charge())
			if tc.want == "" {
				if a.Verdict != booking.VerdictApproved || requests.Load() != 1 {
					t.Fatalf("%s after %d requests: %v", a.Verdict, requests.Load(), a.Cause)
				}
				return
			}
			for _, a := range []booking.Answer{a, c.Lookup(t.Context(), charge()), c.Cancel(t.Context(), charge(), "SOLD_OUT")} {
				wantUnknown(t, a)
				if !strings.Contains(a.Cause.Error(), tc.want) {
					t.Errorf("%v, want %s", a.Cause, tc.want)
				}
			}
			if err := c.Charges(t.Context(), func([]booking.LedgerCharge) error { return nil }); !errors.Is(err, booking.ErrNoLedger) {
				t.Errorf("ledger: %v", err)
			}
			if n := requests.Load(); n != 0 {
				t.Errorf("%d requests were sent to a stranger", n)
			}
		})
	}
}

// TestSlowAndEndlessAnswersAreCut has a gateway that sends a head or a body one byte at a
// time, or never ends one: the deadline or the cap cuts it, and little is kept.
func TestSlowAndEndlessAnswersAreCut(t *testing.T) {
	t.Parallel()
	const ok = "HTTP/1.1 200 OK\r\n"
	for name, tc := range map[string]struct {
		first, piece string
		every        time.Duration
	}{
		"a head that drips":   {ok + "X-A: ", "a", 5 * time.Millisecond},
		"a status that drips": {"HTTP/1.1 ", "2", 5 * time.Millisecond},
		"a body that drips":   {ok + "\r\n", " ", 5 * time.Millisecond},
		"a chunk that drips":  {ok + "Transfer-Encoding: chunked\r\n\r\nffff\r\n", " ", 5 * time.Millisecond},
		"an endless header":   {ok + "X-A: ", strings.Repeat("a", 4<<10), time.Nanosecond},
		"endless headers":     {ok, strings.Repeat("X-A: a\r\n", 500), time.Nanosecond},
		"an endless body":     {ok + "\r\n", strings.Repeat(" ", 4<<10), time.Nanosecond},
		"endless chunks":      {ok + "Transfer-Encoding: chunked\r\n\r\n", strings.Repeat("1\r\n \r\n", 500), time.Nanosecond},
		"endless interims":    {"", strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 100), time.Nanosecond},
		"an endless trailer":  {ok + "Transfer-Encoding: chunked\r\n\r\n0\r\n", strings.Repeat("X-A: a\r\n", 500), time.Nanosecond},
		"an endless chunk extension": {
			ok + "Transfer-Encoding: chunked\r\n\r\n1;", strings.Repeat("a", 4<<10), time.Nanosecond,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var sent atomic.Int64
			c := rawServer(t, func(_ int32, conn net.Conn) {
				if !readRequest(bufio.NewReader(conn)) {
					return
				}
				tick := time.NewTicker(tc.every)
				defer tick.Stop()
				_, err := io.WriteString(conn, tc.first)
				for err == nil {
					<-tick.C
					_, err = io.WriteString(conn, tc.piece)
					sent.Add(int64(len(tc.piece)))
				}
			})
			c.timeout = time.Minute
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if tc.every > time.Microsecond {
				ctx, cancel = context.WithTimeout(ctx, 100*time.Millisecond)
				defer cancel()
			}
			began := time.Now()
			wantUnknown(t, c.Confirm(ctx, charge()))
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("took %v", took)
			}
			// The cap, and what the sockets between keep.
			if n := sent.Load(); n > 32<<20 {
				t.Errorf("%d bytes were taken", n)
			}
		})
	}
}

// TestEndlessLedgerIsCut has a charge whose order id never ends.
func TestEndlessLedgerIsCut(t *testing.T) {
	t.Parallel()
	var sent atomic.Int64
	c := rawServer(t, func(_ int32, conn net.Conn) {
		if !readRequest(bufio.NewReader(conn)) {
			return
		}
		_, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n"+`{"charges":[{"orderId":"`)
		for piece := bytes.Repeat([]byte("a"), 64<<10); err == nil; sent.Add(int64(len(piece))) {
			_, err = conn.Write(piece)
		}
	})
	err := c.Charges(t.Context(), func([]booking.LedgerCharge) error { return nil })
	if !errors.Is(err, booking.ErrNoLedger) || sent.Load() > 32<<20 {
		t.Errorf("%v after %d bytes", err, sent.Load())
	}
}

// TestCompressedAnswersAreNotUnpacked sends small answers that are huge once unpacked,
// and a good one, though nobody asked for it: what is not JSON as it comes is UNKNOWN.
func TestCompressedAnswersAreNotUnpacked(t *testing.T) {
	t.Parallel()
	for name, plain := range map[string][]byte{
		"a bomb": bytes.Repeat([]byte(" "), 16<<20), "a good answer": []byte(object()),
	} {
		var packed bytes.Buffer
		z := gzip.NewWriter(&packed)
		if _, err := z.Write(plain); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		c := client(t, func(w http.ResponseWriter, r *http.Request) {
			if encoding := r.Header.Get("Accept-Encoding"); encoding != "" {
				t.Errorf("%s: asked for %s", name, encoding)
			}
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(packed.Bytes())
		})
		wantUnknown(t, c.Confirm(t.Context(), charge()))
		wantUnknown(t, c.Lookup(t.Context(), charge()))
	}
}

// TestProxiesAreNotAsked runs itself with a proxy in its environment: the gateway's name
// leads nowhere, and the proxy hears nothing, neither of plain http nor of a tunnel.
func TestProxiesAreNotAsked(t *testing.T) {
	if os.Getenv("TEST_PROXY") != "" {
		for _, url := range []string{"http://gateway.invalid", "https://gateway.invalid"} {
			c := New(Options{CardURL: url, CardSecret: testSecret, Timeout: 5 * time.Second})
			wantUnknown(t, c.Confirm(t.Context(), charge()))
			wantUnknown(t, c.Lookup(t.Context(), charge()))
		}
		return
	}
	var asked atomic.Int32
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.WriteHeader(http.StatusTeapot)
	}))
	t.Cleanup(proxy.Close)
	self := exec.Command(os.Args[0], "-test.run=^TestProxiesAreNotAsked$")
	self.Env = []string{"TEST_PROXY=1", "HTTP_PROXY=" + proxy.URL, "HTTPS_PROXY=" + proxy.URL, "http_proxy=" + proxy.URL}
	if out, err := self.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("the proxy was asked %d times", n)
	}
}

// TestAddressOfSixteenBytes has the gateway on ::1, over plain http and over TLS.
func TestAddressOfSixteenBytes(t *testing.T) {
	t.Parallel()
	ca := servertest.NewAuthority(t)
	c, _ := secureGateway(t, ca.Issue("::1"), "127.0.0.1", ca)
	plain := serve(t, 200, object())
	for _, c := range []*Client{c, plain} {
		scheme, address, _ := strings.Cut(c.card.base, "://")
		c.card.base = scheme + "://" + servertest.Six(t, address)
		if a := c.Confirm(t.Context(), charge()); a.Verdict != booking.VerdictApproved {
			t.Errorf("%s: %s (%v)", scheme, a.Verdict, a.Cause)
		}
	}
}
