package postgrestest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"stayhold/shared/servertest"
)

// ErrPoolerMissing says that PgBouncer is not installed on this machine; its text says what to install.
var ErrPoolerMissing = errors.New("PgBouncer is not installed: `apt-get install pgbouncer`, or `brew install pgbouncer`")

// PoolerConfig says where a pooler runs and what stands behind it.
type PoolerConfig struct {
	Dir         string    // its folder; made when missing
	DatabaseURL string    // a URL with host, port, user, password and database
	Size        int       // connections to the database
	Log         io.Writer // PgBouncer's own log lines; nil drops them
}

// Pooler is a running PgBouncer in transaction mode: a client has a connection to the database for the length of a
// transaction, and the next one on another.
type Pooler struct {
	url   string
	child *servertest.Child
}

// StartPooler starts PgBouncer on a free port and returns once a query has gone through it. Errors are one line for a
// person: ErrPoolerMissing without the program, or the pooler's own word.
func StartPooler(ctx context.Context, cfg PoolerConfig) (*Pooler, error) {
	p, err := startPooler(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("pgbouncer: %w", err)
	}
	return p, nil
}

func startPooler(ctx context.Context, cfg PoolerConfig) (*Pooler, error) {
	bin, err := findPooler()
	if err != nil {
		return nil, err
	}
	direct, err := url.Parse(cfg.DatabaseURL)
	if err != nil || direct.User == nil {
		return nil, errors.New("the database URL must begin with postgres:// and name a user")
	}
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	who, err := servertest.AccountFor(filepath.Join(dir, "pgbouncer.ini"), "postgres", "nobody")
	if err != nil {
		return nil, err
	}
	port, err := servertest.FreePort(0)
	if err != nil {
		return nil, err
	}
	ini, err := writeSettings(dir, who, direct, port, cfg.Size)
	if err != nil {
		return nil, err
	}
	log := &servertest.Tail{Next: cfg.Log}
	cmd := who.Command(dir, bin, "--quiet", ini)
	cmd.Stdout, cmd.Stderr = log, log
	child, err := servertest.StartChild(cmd, syscall.SIGINT)
	if err != nil {
		return nil, err
	}
	through := *direct
	through.Host = fmt.Sprintf("127.0.0.1:%d", port)
	p := &Pooler{url: through.String(), child: child}
	if err := p.await(ctx); err != nil {
		p.Stop()
		if errors.Is(err, servertest.ErrExited) {
			return nil, fmt.Errorf("%w: %s", err, log.Worst("FATAL", "ERROR"))
		}
		return nil, err
	}
	return p, nil
}

// writeSettings writes PgBouncer's two files, which bear the passwords of the owner and of the functions, for the account alone to read.
func writeSettings(dir string, who servertest.Account, direct *url.URL, port, size int) (ini string, err error) {
	ini, users := filepath.Join(dir, "pgbouncer.ini"), filepath.Join(dir, "users.txt")
	word, _ := direct.User.Password()
	for path, lines := range map[string][]string{
		users: {
			fmt.Sprintf(`"%s" "%s"`, direct.User.Username(), word),
			fmt.Sprintf(`"%s" "%s"`, login, wordOfLogin(direct)),
		},
		ini: {
			"[databases]",
			fmt.Sprintf("%s = host=%s port=%s", strings.TrimPrefix(direct.Path, "/"), direct.Hostname(), direct.Port()),
			"[pgbouncer]",
			"listen_addr = 127.0.0.1", fmt.Sprintf("listen_port = %d", port), "unix_socket_dir =",
			"auth_type = scram-sha-256", "auth_file = " + users,
			"pool_mode = transaction", fmt.Sprintf("default_pool_size = %d", size), "max_client_conn = 500",
			// What a dead server left is noticed at the next login, not a quarter of a minute later.
			"server_login_retry = 1",
		},
	} {
		if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
			return "", err
		}
		if err := who.Own(path); err != nil {
			return "", err
		}
	}
	return ini, nil
}

// await polls until a query has been answered; in a mode that keeps no statement by name, since the next is answered on
// another connection.
func (p *Pooler) await(ctx context.Context) error {
	config, err := pgx.ParseConfig(p.url)
	if err != nil {
		return err
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	return p.child.Await(ctx, 20*time.Millisecond, func() error {
		conn, err := pgx.ConnectConfig(ctx, config)
		if err != nil {
			return err
		}
		_, err = conn.Exec(ctx, "SELECT 1")
		return errors.Join(err, conn.Close(ctx))
	})
}

// findPooler returns the pgbouncer on PATH, or where packages put it.
func findPooler() (string, error) {
	for _, name := range []string{"pgbouncer", "/usr/sbin/pgbouncer", "/opt/homebrew/bin/pgbouncer", "/usr/local/bin/pgbouncer", "/home/linuxbrew/.linuxbrew/bin/pgbouncer"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", ErrPoolerMissing
}

// URL is the database's URL with the pooler's address in it. Its Functions pass the pooler too.
func (p *Pooler) URL() string { return p.url }

// Stop ends the pooler within 2 seconds. Safe to repeat.
func (p *Pooler) Stop() {
	p.child.Stop(syscall.SIGTERM, time.Second, syscall.SIGKILL, 500*time.Millisecond)
}
