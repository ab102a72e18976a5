// Package holdtest runs a real Redis from the binary installed on this machine: a durable one for the local stack
// (Start), a fleeting one for each test binary (Main, URL), a cluster of three whose slots can be moved (Cluster), and a
// proxy in front of any of them that counts commands and loses what it is told to lose (Proxy).
//
// Invariants: a server listens on 127.0.0.1 only, never evicts (noeviction) and, but for a cluster's nodes, wants a
// random password; one living process per folder, held by a lock; a server never outlives its parent on Linux, and
// elsewhere no longer than to the next start on its folder. A durable one writes its append-only file to disk every
// second: a kill of the process loses nothing that was answered, a loss of power at most that second.
//
// When it fails half way: a start that fails stops what it started and says why in one line; a torn tail of the file is
// cut off by Redis; a temp folder that a killed test binary left is removed by the next one. Tests share one server:
// each keeps to product ids of its own, and nobody flushes.
package holdtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"stayhold/shared/servertest"
)

// ErrMissing says that no Redis that is new enough is installed on this machine; its text says what to install.
var ErrMissing = errors.New("no Redis 7 or newer is installed: `apt-get install redis-server`, or `brew install redis`")

// Config says where a server runs.
type Config struct {
	Dir  string    // its folder: data, password and lock live below; made when missing
	Port int       // on 127.0.0.1; 0 takes a free one
	Log  io.Writer // the server's own log lines; nil drops them

	Certificate *servertest.Certificate // the server speaks TLS too, on a port of its own, and shows this

	open bool // no password
}

// Server is a running Redis.
type Server struct {
	port     int
	secure   int // the port that speaks TLS; 0: none
	password string
	child    *servertest.Child
	done     <-chan struct{}
	stop     sync.Once
}

// Start starts a durable Redis on cfg.Dir, with what an earlier one left there, and returns once it answers. Errors are
// one line for a person: ErrMissing without the binary, a taken port, a folder in use, or the server's own word.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	return start(ctx, cfg, "appendonly yes", "appendfsync everysec")
}

// start runs a server with more lines of configuration than those that every server has.
func start(ctx context.Context, cfg Config, settings ...string) (*Server, error) {
	srv, err := locked(ctx, cfg, settings)
	if err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	return srv, nil
}

func locked(ctx context.Context, cfg Config, settings []string) (*Server, error) {
	bin, err := findBinary()
	if err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(dir, "data"), 0o700); err != nil {
		return nil, err
	}
	lock, err := servertest.LockFolder(dir)
	if err != nil {
		return nil, err
	}
	srv, err := launch(ctx, cfg, bin, dir, settings)
	if err != nil {
		lock.Free()
		return nil, err
	}
	srv.done = lock.FreeAfter(srv.child)
	return srv, nil
}

// launch starts the server, once more if somebody was quicker to take the free port.
func launch(ctx context.Context, cfg Config, bin, dir string, settings []string) (*Server, error) {
	word := ""
	if !cfg.open {
		var err error
		if word, err = password(filepath.Join(dir, "password")); err != nil {
			return nil, err
		}
	}
	if err := stopOrphan(ctx, dir, word); err != nil {
		return nil, err
	}
	for try := 0; ; try++ {
		port, err := servertest.FreePort(cfg.Port)
		if err != nil {
			return nil, err
		}
		srv, err := launchOnce(ctx, cfg, bin, dir, word, port, settings)
		if err == nil || cfg.Port != 0 || try == 3 || !strings.Contains(err.Error(), "bind") {
			return srv, err
		}
	}
}

func launchOnce(ctx context.Context, cfg Config, bin, dir, word string, port int, settings []string) (*Server, error) {
	err := os.WriteFile(filepath.Join(dir, "port"), fmt.Appendf(nil, "%d\n", port), 0o600)
	if err != nil {
		return nil, err
	}
	lines := append([]string{
		"bind 127.0.0.1", "port " + strconv.Itoa(port), "protected-mode yes", "daemonize no",
		`save ""`, "appendonly no", "maxmemory-policy noeviction",
		"dir " + strconv.Quote(filepath.Join(dir, "data")), "requirepass " + strconv.Quote(word),
	}, settings...)
	secure := 0
	if cfg.Certificate != nil {
		if secure, err = servertest.FreePort(0); err != nil {
			return nil, err
		}
		shown, err := showCertificate(dir, secure, *cfg.Certificate)
		if err != nil {
			return nil, err
		}
		lines = append(lines, shown...)
	}
	log := &servertest.Tail{Next: cfg.Log}
	// The configuration goes in by standard input: a command line would show the password to everybody.
	cmd := exec.Command(bin, "-")
	cmd.Dir = "/"
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	cmd.Stdout, cmd.Stderr = log, log
	c, err := servertest.StartChild(cmd, syscall.SIGTERM)
	if err != nil {
		return nil, err
	}
	srv := &Server{port: port, secure: secure, password: word, child: c}
	if err := srv.await(ctx); err != nil {
		c.Stop(syscall.SIGTERM, 2*time.Second, syscall.SIGKILL, time.Second)
		if errors.Is(err, servertest.ErrExited) {
			return nil, fmt.Errorf("%w: %s", err, log.Worst("FATAL", "Fatal", "Could not", "Failed", "Can't", ">>>"))
		}
		return nil, err
	}
	return srv, nil
}

// showCertificate writes the certificate's files, and gives the lines of configuration that name them.
func showCertificate(dir string, port int, c servertest.Certificate) ([]string, error) {
	lines := []string{"tls-port " + strconv.Itoa(port), "tls-auth-clients no"}
	for name, content := range map[string][]byte{"cert": c.Chain, "key": c.Key} {
		path := filepath.Join(dir, name+".pem")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return nil, err
		}
		lines = append(lines, "tls-"+name+"-file "+strconv.Quote(path))
	}
	return lines, nil
}

// await polls until the server answers; while it loads its file it refuses.
func (s *Server) await(ctx context.Context) error {
	client := connect(s.port, s.password)
	defer func() { _ = client.Close() }()
	return s.child.Await(ctx, 10*time.Millisecond, func() error {
		if !listening(s.port) {
			return errSilent
		}
		return client.Ping(ctx).Err()
	})
}

var errSilent = errors.New("it does not listen yet")

// listening tells whether somebody takes connections on the port: asked first, since the client library logs each
// connection that it cannot make.
func listening(port int) bool {
	conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), time.Second)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

// connect is a client of the server on that port.
func connect(port int, word string) *redis.Client {
	return redis.NewClient(careful(&redis.Options{Addr: fmt.Sprintf("127.0.0.1:%d", port), Password: word}))
}

// careful has a client say everything once and keep to its context.
func careful(o *redis.Options) *redis.Options {
	o.Protocol, o.MaxRetries, o.DialerRetries = 2, -1, 1
	o.DialTimeout, o.ContextTimeoutEnabled, o.DisableIdentity = 2*time.Second, true, true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return o
}

// stopOrphan stops a server that an earlier parent left running on this folder. The caller holds the folder's lock; who
// listens on the port written there and takes this folder's password is that server and nobody else.
func stopOrphan(ctx context.Context, dir, word string) error {
	content, err := os.ReadFile(filepath.Join(dir, "port"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	port, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil {
		return nil // torn by a death while it was written: the server had not been started yet
	}
	client := connect(port, word)
	defer func() { _ = client.Close() }()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	asked := false
	for listening(port) {
		err := client.Ping(ctx).Err()
		switch {
		case err == nil && !asked:
			// It answers by closing the connection.
			_ = client.ShutdownNoSave(ctx).Err()
			asked = true
		case err == nil || strings.HasPrefix(err.Error(), "LOADING"):
		case !errors.Is(err, context.DeadlineExceeded):
			return nil // nobody, or a stranger who does not know the password
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("an earlier server still runs on %s, port %d, and does not stop", dir, port)
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}

// password reads the password of this folder, and makes it when there is none.
func password(path string) (string, error) {
	b, err := os.ReadFile(path)
	if word := strings.TrimSpace(string(b)); err == nil && word != "" {
		return word, nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	word := rand.Text()
	return word, os.WriteFile(path, []byte(word+"\n"), 0o600)
}

var versionPattern = regexp.MustCompile(`v=(\d+)\.`)

// findBinary returns the first redis-server of version 7 or newer: on PATH, then where packages put it.
func findBinary() (string, error) {
	for _, name := range []string{"redis-server", "/usr/bin/redis-server", "/usr/local/bin/redis-server", "/opt/homebrew/bin/redis-server", "/opt/homebrew/opt/redis/bin/redis-server", "/usr/local/opt/redis/bin/redis-server", "/home/linuxbrew/.linuxbrew/bin/redis-server"} {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		if major, ok := servertest.Major(path, versionPattern); ok && major >= 7 {
			return path, nil
		}
	}
	return "", ErrMissing
}

// URL is redis://… with the password; it does not change over the server's life.
func (s *Server) URL() string { return s.address("redis", s.port) }

// SecureURL is rediss://… with the password, for a server that shows a certificate.
func (s *Server) SecureURL() string { return s.address("rediss", s.secure) }

func (s *Server) address(scheme string, port int) string {
	u := url.URL{Scheme: scheme, Host: fmt.Sprintf("127.0.0.1:%d", port)}
	if s.password != "" {
		u.User = url.UserPassword("", s.password)
	}
	return u.String()
}

// Port is the port on 127.0.0.1: give it to Start again to bring a dead server back under the same URL.
func (s *Server) Port() int { return s.port }

// Pid is the server's process id.
func (s *Server) Pid() int { return s.child.Pid() }

// Done closes when the server has ended, asked or not, and its folder may be used again.
func (s *Server) Done() <-chan struct{} { return s.done }

// Stop ends the server within 4 seconds, in good order if it can. Safe to repeat.
func (s *Server) Stop() {
	s.stop.Do(func() { s.child.Stop(syscall.SIGTERM, 3*time.Second, syscall.SIGKILL, 300*time.Millisecond) })
	select {
	case <-s.done:
	case <-time.After(200 * time.Millisecond):
	}
}
