package postgres_test

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"stayhold/shared/booking"
	"stayhold/shared/postgres"
	"stayhold/shared/postgres/migrations"
	"stayhold/shared/postgres/postgrestest"
	"stayhold/shared/servertest"
)

// secured starts Postgres on a folder, with the certificate that it shows.
func secured(t *testing.T, dir string, shown servertest.Certificate) *postgrestest.Server {
	t.Helper()
	server, err := postgrestest.Start(t.Context(), postgrestest.Config{Dir: dir, Certificate: &shown})
	if errors.Is(err, postgrestest.ErrMissing) && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	return server
}

// saying is a server's URL with another host, unless that is empty, and another sslmode.
func saying(t *testing.T, server, host, mode string) string {
	t.Helper()
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	if host != "" {
		u.Host = net.JoinHostPort(host, u.Port())
	}
	u.RawQuery = url.Values{"sslmode": {mode}}.Encode()
	return u.String()
}

// verified opens a store that believes an authority; nil: the system's.
func verified(t *testing.T, url string, ca *x509.CertPool) *postgres.Store {
	t.Helper()
	store, err := postgres.Open(postgres.Options{URL: url, CA: ca})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	return store
}

// TestServerThatSpeaksTLS starts a real one again and again on one folder, for each
// certificate that it shows.
func TestServerThatSpeaksTLS(t *testing.T) {
	t.Parallel()
	ca, dir := servertest.NewAuthority(t), filepath.Join(t.TempDir(), "postgres")
	t.Run("only the named one is spoken to", func(t *testing.T) { strangersAreRefused(t, ca, dir) })
	t.Run("its connection is used as any other", func(t *testing.T) { secureConnection(t, ca, dir) })
	t.Run("on an address of sixteen bytes", func(t *testing.T) { sixteenBytes(t, ca, dir) })
}

// strangersAreRefused shows every certificate that a stranger may have.
func strangersAreRefused(t *testing.T, ca *servertest.Authority, dir string) {
	another := servertest.NewAuthority(t)
	for _, c := range []struct {
		name  string
		shown servertest.Certificate
		host  string
		want  string // part of the error; empty: it is spoken to
	}{
		{"the address", ca.Issue("127.0.0.1"), "127.0.0.1", ""},
		{"the name", ca.Issue("localhost"), "localhost", ""},
		{"another address", ca.Issue("127.0.0.2"), "127.0.0.1", "certificate is valid for 127.0.0.2"},
		{"another name", ca.Issue("database.example"), "localhost", "certificate is valid for database.example"},
		{"expired", ca.Expired("127.0.0.1"), "127.0.0.1", "certificate has expired"},
		{"of another", another.Issue("127.0.0.1"), "127.0.0.1", "certificate signed by unknown authority"},
		{"signed by itself", servertest.SelfSigned(t, "127.0.0.1"), "127.0.0.1", "certificate signed by unknown authority"},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := secured(t, dir, c.shown)
			defer server.Stop()
			full := saying(t, server.URL(), c.host, "verify-full")
			err := verified(t, full, ca.Pool).Ping(t.Context())
			_, failed := migrations.Run(t.Context(), postgres.Options{URL: full, CA: ca.Pool})
			switch {
			case c.want == "" && (err != nil || failed != nil):
				t.Error(err, failed)
			case c.want != "" && (!errors.Is(err, booking.ErrUnavailable) || !strings.Contains(err.Error(), c.want)):
				t.Errorf("%v, want %s", err, c.want)
			case c.want != "" && (failed == nil || !strings.Contains(failed.Error(), c.want)):
				t.Errorf("migration: %v, want %s", failed, c.want)
			}
			// The system's authorities do not vouch for it.
			if err := verified(t, full, nil).Ping(t.Context()); !errors.Is(err, booking.ErrUnavailable) {
				t.Errorf("without its authority: %v", err)
			}
		})
	}
}

// secureConnection writes and reads over TLS, also after the server has ended the
// connection, and by the authority that the URL names.
func secureConnection(t *testing.T, ca *servertest.Authority, dir string) {
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, ca.PEM, 0o600); err != nil {
		t.Fatal(err)
	}
	server := secured(t, dir, ca.Issue("127.0.0.1"))
	defer server.Stop()
	byFile := saying(t, server.URL(), "", "verify-full") + "&sslrootcert=" + url.QueryEscape(file)
	if _, err := migrations.Run(t.Context(), postgres.Options{URL: byFile}); err != nil {
		t.Fatal(err)
	}
	store := verified(t, byFile, nil)
	room := product(t, store, 5)
	for user := int64(1); user <= 3; user++ {
		if _, err := store.Open(t.Context(), opening(user, room)); err != nil {
			t.Errorf("booking %d: %v", user, err)
		}
		var ended, plain int
		err := postgrestest.Row(t.Context(), server.URL(), `SELECT count(pg_terminate_backend(pid, 5000)), count(*) FILTER (WHERE NOT ssl)
			FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'stayhold'`, &ended, &plain)
		if err != nil || ended != 1 || plain != 0 {
			t.Errorf("%d connections, of which %d in plain text: %v", ended, plain, err)
		}
	}
	if _, err := postgres.Open(postgres.Options{URL: byFile, CA: ca.Pool}); err == nil || !strings.Contains(err.Error(), "given twice") {
		t.Errorf("two authorities: %v", err)
	}
	if _, err := postgres.Open(postgres.Options{URL: byFile + "x"}); err == nil || !strings.Contains(err.Error(), "cannot be read") {
		t.Errorf("no authority: %v", err)
	}
}

// sixteenBytes has the wire on ::1, since the server is not.
func sixteenBytes(t *testing.T, ca *servertest.Authority, dir string) {
	server := secured(t, dir, ca.Issue("::1"))
	defer server.Stop()
	u, err := url.Parse(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	u.Host = servertest.Six(t, u.Host)
	for mode, asked := range map[string]*x509.CertPool{"disable": nil, "verify-full": ca.Pool} {
		if err := verified(t, saying(t, u.String(), "", mode), asked).Ping(t.Context()); err != nil {
			t.Errorf("%s: %v", mode, err)
		}
	}
}

// TestDowngradeIsRefused has a stranger say that the server has no TLS, or answer with
// an error, or with nothing: not a byte follows the question, on that connection or on
// another, and no hang its deadline. The URL's own timeout is far longer.
func TestDowngradeIsRefused(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"no TLS":     "N",
		"an error":   "E\x00\x00\x00\x13SFATAL\x00C0A000\x00\x00",
		"plain text": "R\x00\x00\x00\x08\x00\x00\x00\x00",
		"silence":    "",
	} {
		for _, mode := range []string{"verify-full", "verify-ca", "require"} {
			t.Run(name+" to "+mode, func(t *testing.T) {
				t.Parallel()
				addr, asked, heard := stranger(t, answer)
				store := verified(t, "postgres://u:hunter2@"+addr+"/d?connect_timeout=20&sslmode="+mode, nil)
				ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
				defer cancel()
				began := time.Now()
				if err := store.Ping(ctx); !errors.Is(err, booking.ErrUnavailable) || strings.Contains(err.Error(), "hunter2") {
					t.Error(err)
				}
				if took := time.Since(began); took > 5*time.Second {
					t.Errorf("a call with 200 ms took %v", took)
				}
				<-asked
				store.Close()
				for _, got := range heard() {
					if len(got) > 8 {
						t.Errorf("the stranger heard %q", got)
					}
				}
			})
		}
	}
}

// stranger answers the question for TLS of each connection. It tells that it was asked,
// and what it heard on each connection when all have ended.
func stranger(t *testing.T, answer string) (addr string, asked <-chan struct{}, heard func() [][]byte) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	first := make(chan struct{})
	var once sync.Once
	var all [][]byte
	var mu sync.Mutex
	var open sync.WaitGroup
	listen := func(conn net.Conn) {
		defer func() { _ = conn.Close() }()
		question := make([]byte, 8)
		n, err := io.ReadFull(conn, question)
		question = question[:n]
		once.Do(func() { close(first) })
		if _, failed := io.WriteString(conn, answer); err == nil && failed == nil {
			rest, _ := io.ReadAll(conn) // a reset is an end, too
			question = append(question, rest...)
		}
		mu.Lock()
		defer mu.Unlock()
		all = append(all, question)
	}
	open.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			open.Go(func() { listen(conn) })
		}
	})
	return listener.Addr().String(), first, func() [][]byte {
		_ = listener.Close()
		open.Wait()
		return all
	}
}

// An authority that is given and that nobody would ask is a fault, and no comfort.
func TestAuthorityThatNobodyAsksIsAFault(t *testing.T) {
	t.Parallel()
	ca := servertest.NewAuthority(t).Pool
	for mode, asks := range map[string]bool{"disable": false, "require": false, "verify-ca": true, "verify-full": true} {
		_, err := postgres.Open(postgres.Options{URL: "postgres://u:hunter2@database.example/d?sslmode=" + mode, CA: ca})
		if (err == nil) != asks || err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", mode, err)
		}
	}
}

// TestNothingFallsBack has URLs by which the driver would try TLS and go on without it.
func TestNothingFallsBack(t *testing.T) {
	t.Parallel()
	for _, parameters := range []string{"", "?sslmode=prefer", "?sslmode=allow", "?sslmode=prefer&host=a,b"} {
		url := "postgres://u:hunter2@database.example/d" + parameters
		_, err := postgres.Open(postgres.Options{URL: url})
		_, failed := migrations.Run(t.Context(), postgres.Options{URL: url})
		for _, err := range []error{err, failed} {
			if err == nil || !strings.Contains(err.Error(), "falls back to plain text") || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%q: %v", parameters, err)
			}
		}
	}
}
