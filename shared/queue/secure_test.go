package queue_test

import (
	"bytes"
	"context"
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

	"stayhold/shared/queue"
	"stayhold/shared/queue/queuetest"
	"stayhold/shared/servertest"
)

func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	var strayed atomic.Int32
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { strayed.Add(1) }))
	t.Cleanup(elsewhere.Close)
	for _, status := range []int{301, 302, 303, 307, 308} {
		s, count := sender(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", elsewhere.URL)
			w.WriteHeader(status)
		}), 0)
		if err := s.Send(limit(t), messages(1)...); err == nil {
			t.Errorf("%d: sent", status)
		}
		if n := count.single.Load(); n != 1 {
			t.Errorf("%d: %d attempts", status, n)
		}
	}
	if n := strayed.Load(); n != 0 {
		t.Errorf("%d messages went to the redirect's target", n)
	}
}

// TestEndlessAnswersAreCut has a server whose answer never ends, in its head or in its
// body: it is cut long before the attempt's time is over.
func TestEndlessAnswersAreCut(t *testing.T) {
	t.Parallel()
	for name, head := range map[string]string{
		"body": "HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.0\r\n\r\n" + `{"MessageId":"`,
		"head": "HTTP/1.1 200 OK\r\nX-A: ",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var sent atomic.Int64
			s, _ := sender(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				conn, _, err := http.NewResponseController(w).Hijack()
				if err != nil {
					return
				}
				defer func() { _ = conn.Close() }()
				_, err = io.WriteString(conn, head)
				for piece := bytes.Repeat([]byte("a"), 64<<10); err == nil; sent.Add(int64(len(piece))) {
					_, err = conn.Write(piece)
				}
			}), time.Hour)
			if err := s.Send(limit(t), messages(1)...); err == nil {
				t.Error("sent")
			}
			// Two attempts, and what the sockets between keep.
			if n := sent.Load(); n > 64<<20 {
				t.Errorf("%d bytes were taken", n)
			}
		})
	}
}

// TestOnlyTheNamedServerIsSpokenTo has certificates that a stranger may have. Nobody
// vouches for a queue but the system's authorities, so that all of them are refused.
func TestOnlyTheNamedServerIsSpokenTo(t *testing.T) {
	t.Parallel()
	ca := servertest.NewAuthority(t)
	for name, shown := range map[string]servertest.Certificate{
		"of another": ca.Issue("127.0.0.1"), "expired": ca.Expired("127.0.0.1"), "signed by itself": servertest.SelfSigned(t, "127.0.0.1"),
	} {
		var asked atomic.Int32
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
		server.TLS = shown.Config(t)
		server.Config.ErrorLog = servertest.Quiet
		server.StartTLS()
		t.Cleanup(server.Close)
		s := queue.New(queue.Options{QueueURL: server.URL + "/000000000000/q", Endpoint: server.URL, AccessKeyID: "a", SecretAccessKey: "b"})
		if err := s.Send(limit(t), messages(1)...); err == nil || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("%s: %v", name, err)
		}
		if n := asked.Load(); n != 0 {
			t.Errorf("%s: the message was sent to a stranger", name)
		}
	}
}

// TestProxiesAreNotAsked runs itself with a proxy in its environment: the queue's name
// leads nowhere, and the proxy hears nothing.
func TestProxiesAreNotAsked(t *testing.T) {
	if os.Getenv("TEST_PROXY") != "" {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		s := queue.New(queue.Options{QueueURL: "http://queue.invalid/q", Endpoint: "http://queue.invalid", AccessKeyID: "a", SecretAccessKey: "b"})
		if err := s.Send(ctx, messages(1)...); err == nil {
			t.Error("somebody answered")
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
	self.Env = []string{"TEST_PROXY=1", "HTTP_PROXY=" + proxy.URL, "HTTPS_PROXY=" + proxy.URL}
	if out, err := self.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("the proxy was asked %d times", n)
	}
}

func TestAddressOfSixteenBytes(t *testing.T) {
	t.Parallel()
	server := queuetest.Start(t, queuetest.Options{})
	if err := server.EnsureQueue("q", nil); err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(server)
	t.Cleanup(web.Close)
	at := "http://" + servertest.Six(t, web.Listener.Addr().(*net.TCPAddr).String())
	s := queue.New(queue.Options{QueueURL: at + "/000000000000/q", Endpoint: at, AccessKeyID: "a", SecretAccessKey: "b"})
	if err := s.Send(limit(t), messages(2)...); err != nil {
		t.Error(err)
	}
}
