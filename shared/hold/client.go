package hold

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// target is what a URL says: one address is a server, unless cluster is set.
type target struct {
	addrs    []string
	cluster  bool
	tls      bool
	username string
	password string
	database int
}

// parseURL reads one URL, or a comma-separated list. Of a list, later addresses may be
// bare host:port. Parameters are refused: they could switch on what this package must
// switch off (retries, unverified TLS). No error quotes the text, which may hold a
// password.
func parseURL(text string) (target, error) {
	parts := strings.Split(text, ",")
	var all target
	for i, part := range parts {
		part = strings.TrimSpace(part)
		if i > 0 && part != "" && !strings.Contains(part, "://") {
			part = "redis://" + part
			if all.tls {
				part = "rediss" + strings.TrimPrefix(part, "redis")
			}
		}
		one, err := parseOne(part)
		if err != nil {
			return target{}, fmt.Errorf("redis URL %d of %d: %w", i+1, len(parts), err)
		}
		if i == 0 {
			all = one
			continue
		}
		bare := one.username == "" && one.password == ""
		if one.tls != all.tls || !bare && (one.username != all.username || one.password != all.password) {
			return target{}, fmt.Errorf("redis URL %d of %d: scheme, user and password must be those of the first", i+1, len(parts))
		}
		all.addrs = append(all.addrs, one.addrs...)
		all.database += one.database
	}
	all.cluster = len(parts) > 1
	if all.cluster && all.database != 0 {
		return target{}, errors.New("redis URL: a cluster has no databases but 0")
	}
	return all, nil
}

func parseOne(text string) (target, error) {
	u, err := url.Parse(text)
	switch {
	case text == "":
		return target{}, errors.New("it is empty")
	case err != nil:
		return target{}, errors.New("it is not a URL (special characters of a password are percent-encoded)")
	case u.Scheme != "redis" && u.Scheme != "rediss":
		return target{}, errors.New("it must begin with redis:// or rediss://")
	case u.Hostname() == "":
		return target{}, errors.New("it names no host")
	case u.RawQuery != "" || u.Fragment != "":
		return target{}, errors.New("it must have no parameters and no fragment")
	}
	one := target{tls: u.Scheme == "rediss", username: u.User.Username()}
	one.password, _ = u.User.Password()
	port := u.Port()
	if port == "" {
		port = "6379"
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return target{}, errors.New("its port is not between 1 and 65535")
	}
	one.addrs = []string{net.JoinHostPort(u.Hostname(), port)}
	if path := strings.Trim(u.Path, "/"); path != "" {
		one.database, err = strconv.Atoi(path)
		if err != nil || one.database < 0 {
			return target{}, errors.New("its path is not a database number")
		}
	}
	return one, nil
}

// idleLimit is well below the time after which load balancers and firewalls forget a
// silent connection: a thawed environment would write into nothing and wait.
const idleLimit = 5 * time.Minute

// newClient switches off whatever in the library sends a command twice, ignores a
// deadline, or costs a round trip that nobody asked for. RESP2, because RESP3 looks
// for pushed messages before each command. Its lines of log are switched off as well:
// each failure is returned, and told once, at the edge.
func newClient(t target, ca *x509.CertPool, timeout time.Duration) redis.UniversalClient {
	logging.Disable()
	var secure *tls.Config
	if t.tls {
		// Without a ServerName each node's own name is verified.
		secure = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: ca}
	}
	dialer := reaching(redis.NewDialer(&redis.Options{DialTimeout: timeout, TLSConfig: secure}))
	quiet := &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	if t.cluster {
		return redis.NewClusterClient(&redis.ClusterOptions{
			Addrs:                    t.addrs,
			Protocol:                 2,
			Username:                 t.username,
			Password:                 t.password,
			MaxRetries:               -1,
			DialTimeout:              timeout,
			DialerRetries:            1,
			ReadTimeout:              timeout,
			WriteTimeout:             timeout,
			PoolTimeout:              timeout,
			ContextTimeoutEnabled:    true,
			PoolSize:                 2,
			PipelinePoolSize:         -1,
			ConnMaxIdleTime:          idleLimit,
			TLSConfig:                secure,
			Dialer:                   dialer,
			DisableIdentity:          true,
			DisableRoutingPolicies:   true, // else it asks for the table of commands
			MaintNotificationsConfig: quiet,
		})
	}
	return redis.NewClient(&redis.Options{
		Addr:                     t.addrs[0],
		Protocol:                 2,
		Username:                 t.username,
		Password:                 t.password,
		DB:                       t.database,
		MaxRetries:               -1,
		DialTimeout:              timeout,
		DialerRetries:            1,
		ReadTimeout:              timeout,
		WriteTimeout:             timeout,
		PoolTimeout:              timeout,
		ContextTimeoutEnabled:    true,
		PoolSize:                 2,
		PipelinePoolSize:         -1,
		ConnMaxIdleTime:          idleLimit,
		TLSConfig:                secure,
		Dialer:                   dialer,
		DisableIdentity:          true,
		MaintNotificationsConfig: quiet,
	})
}

// unreached is the failure of a call that has not left.
type unreached struct{ error }

func (u unreached) Unwrap() error { return u.error }

type dialer = func(ctx context.Context, network, address string) (net.Conn, error)

// reaching tells a dial that failed from a call that did.
func reaching(dial dialer) dialer {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, unreached{err}
		}
		return conn, nil
	}
}

// unheard says that a call may have been carried out: it has left, and Redis has not said
// no.
func unheard(err error) bool {
	var no redis.Error
	var away unreached
	return !errors.As(err, &no) && !errors.As(err, &away) && !errors.Is(err, redis.ErrPoolTimeout)
}
