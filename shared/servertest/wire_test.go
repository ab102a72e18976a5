package servertest

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// lines is a protocol of which each line is a request, answered by a line in two pieces.
type lines struct{ waiting bool }

func (l *lines) Greet(client, _ net.Conn) error {
	_, err := client.Write([]byte("hello\n"))
	return err
}

func (l *lines) Asked(piece []byte, note func(string), begin func() bool) bool {
	for line := range strings.Lines(string(piece)) {
		note(strings.TrimSpace(line))
		if l.waiting {
			continue
		}
		l.waiting = true
		if !begin() {
			return false
		}
	}
	return true
}

func (l *lines) Answered(piece []byte) bool {
	ended := bytes.HasSuffix(piece, []byte("\n"))
	l.waiting = l.waiting && !ended
	return ended
}

// echo answers each line, and hands on what it was asked once the answer is on its way.
func echo(t *testing.T) (addr string, asked <-chan string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	all := make(chan string, 100)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				for s := bufio.NewScanner(conn); s.Scan(); {
					all <- s.Text()
					if _, err := fmt.Fprint(conn, "re: "); err != nil {
						return
					}
					if _, err := fmt.Fprintln(conn, s.Text()); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String(), all
}

func wired(t *testing.T) (*Wire[string], <-chan string) {
	t.Helper()
	addr, asked := echo(t)
	w, err := NewWire(&url.URL{Scheme: "lines", Host: addr, Path: "/x"}, "1", func() Session[string] { return &lines{} })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w, asked
}

// dial opens a connection through the wire and reads its greeting; nil if there is none.
func dial(t *testing.T, w *Wire[string]) *bufio.ReadWriter {
	t.Helper()
	u, err := url.Parse(w.URL())
	if err != nil || u.Scheme != "lines" || u.Path != "/x" {
		t.Fatalf("the URL is %q: %v", w.URL(), err)
	}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	rw := bufio.NewReadWriter(bufio.NewReader(conn), bufio.NewWriter(conn))
	if line, err := rw.ReadString('\n'); err != nil || line != "hello\n" {
		return nil
	}
	return rw
}

// ask sends a line and returns the answer, "" when the connection ends instead.
func ask(rw *bufio.ReadWriter, line string) string {
	// A connection that is cut shows when it is read.
	_, _ = rw.WriteString(line + "\n")
	_ = rw.Flush()
	answer, err := rw.ReadString('\n')
	if err != nil {
		return ""
	}
	return strings.TrimSpace(answer)
}

func TestWireCountsAndTraces(t *testing.T) {
	t.Parallel()
	w, _ := wired(t)
	rw := dial(t, w)
	for _, line := range []string{"one", "two"} {
		if got := ask(rw, line); got != "re: "+line {
			t.Fatalf("the answer is %q", got)
		}
	}
	if w.Trips() != 2 || w.Received() != len("re: one\nre: two\n") || w.Connections() != 1 || !slices.Equal(w.Trace(), []string{"one", "two"}) {
		t.Errorf("%d trips and %d bytes on %d connections: %q", w.Trips(), w.Received(), w.Connections(), w.Trace())
	}
	w.Reset()
	if w.Trips() != 0 || w.Received() != 0 || w.Connections() != 0 || len(w.Trace()) != 0 || ask(rw, "three") != "re: three" {
		t.Error("Reset keeps something, or not the connection")
	}
}

func TestWireLosesWhatItIsToldTo(t *testing.T) {
	t.Parallel()
	w, asked := wired(t)
	rw := dial(t, w)
	w.LoseReply(2)
	if ask(rw, "kept") == "" || ask(rw, "reply lost") != "" {
		t.Error("it is not the second answer that is lost")
	}
	rw = dial(t, w)
	w.LoseRequest(1)
	if ask(rw, "request lost") != "" {
		t.Error("the lost request was answered")
	}
	if ask(dial(t, w), "last") == "" {
		t.Error("the loss goes on")
	}
	w.Close()
	var got []string
	for len(asked) > 0 {
		got = append(got, <-asked)
	}
	if !slices.Equal(got, []string{"kept", "reply lost", "last"}) {
		t.Errorf("the server was asked %q", got)
	}
}

func TestWireRefusesCutsDelaysAndCloses(t *testing.T) {
	t.Parallel()
	w, _ := wired(t)
	rw := dial(t, w)
	w.Refuse(true)
	if dial(t, w) != nil {
		t.Error("a refused connection stands")
	}
	if ask(rw, "open") == "" {
		t.Error("Refuse ends an open connection")
	}
	w.Cut()
	if ask(rw, "cut") != "" {
		t.Error("a cut connection answers")
	}
	w.Reset()
	rw = dial(t, w)
	w.Delay(30 * time.Millisecond)
	begin := time.Now()
	if ask(rw, "late") == "" || time.Since(begin) < 30*time.Millisecond {
		t.Errorf("a delayed answer took %v", time.Since(begin))
	}
	w.Close()
	w.Close()
	if ask(rw, "closed") != "" {
		t.Error("a closed proxy answers")
	}
}
