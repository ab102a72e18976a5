// Package hold is the gate on Redis: it places, extends, confirms and releases holds,
// each by one atomic script of package lua, and keeps the names of the keys.
//
// Invariants: a call is one command, run once: nothing here sends a command again
// after a lost reply, on a single server or on a cluster, and only an answer that
// proves that nothing ran (NOSCRIPT, TRYAGAIN, a redirection) leads to another send. Time is
// Redis's own. What is free is counted from the holds inside the script and never
// kept. No answer is ever guessed: any failure is booking.ErrUnavailable (of Place, where
// the unit may be held all the same, booking.ErrCommitResultUnknown), and nobody is
// admitted without the gate.
//
// A call that fails half way either ran whole or not at all, and the caller does not
// know which. Each may be repeated with the same token or nonce: a second run leaves
// what one run leaves. A hold that nobody comes back for lapses by itself.
package hold

import (
	"context"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"stayhold/shared/booking"
)

const (
	defaultTimeout = 2 * time.Second

	// warmTTL bounds how long a caller that died while warming keeps others waiting:
	// they ask for 4 s before they give up.
	warmTTL = 3 * time.Second
	// markTTL bounds how long a reconcile that died leaves its marks behind; a living
	// one takes far less from its marks to its corrections.
	markTTL = time.Minute
)

// Options say which Redis is the gate and how long one command may take.
type Options struct {
	// URL is redis://[user:password@]host[:port][/database], or rediss:// for TLS with
	// the server's certificate and name verified. A comma-separated list is a cluster;
	// one whose nodes are found through a single endpoint has that endpoint twice.
	URL string
	// CA is who vouches for a server's certificate; nil: the system's authorities.
	CA *x509.CertPool
	// Timeout bounds a dial, a write and a read each, beneath the deadline of the
	// call's context; 0 means 2 s.
	Timeout time.Duration
	// Prefix stands before every key, so that tests share a server.
	Prefix string
}

// Gate implements booking.Gate. It is safe for concurrent use, and opens connections
// when they are needed.
type Gate struct {
	client redis.UniversalClient
	prefix string
	opened chan struct{} // closed when Connect is done; nil without Connect
	dial   time.Duration
}

var _ booking.Gate = (*Gate)(nil)

// New makes a gate and does not connect. A URL that cannot be used is an error of one
// line, which never shows the password.
func New(o Options) (*Gate, error) {
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	target, err := parseURL(o.URL)
	if err != nil {
		return nil, err
	}
	return &Gate{client: newClient(target, o.CA, o.Timeout), prefix: o.Prefix, dial: o.Timeout}, nil
}

// Close closes every connection; calls that are running fail.
func (g *Gate) Close() error {
	if err := g.client.Close(); err != nil {
		return fmt.Errorf("gate: %w", err)
	}
	return nil
}

// Connect begins to open one connection (to each master of a cluster) and returns at
// once. It is called at most once, in init and before any other call; the first call
// that needs the connection waits for it. A failure is not reported: that call dials
// for itself.
func (g *Gate) Connect(ctx context.Context) {
	opened := make(chan struct{})
	g.opened = opened
	go func() {
		defer close(opened)
		ctx, cancel := context.WithTimeout(ctx, g.dial)
		defer cancel()
		// The error is dropped on purpose: who calls next meets it and reports it.
		_ = g.ping(ctx)
	}()
}

// Ping asks the server whether it is there: nil, or an error that wraps
// booking.ErrUnavailable. On a cluster every master has to answer.
func (g *Gate) Ping(ctx context.Context) error {
	if err := g.await(ctx); err != nil {
		return unavailable("ping", err)
	}
	if err := g.ping(ctx); err != nil {
		return unavailable("ping", err)
	}
	return nil
}

func (g *Gate) ping(ctx context.Context) error {
	if c, ok := g.client.(*redis.ClusterClient); ok {
		return c.ForEachMaster(ctx, func(ctx context.Context, master *redis.Client) error {
			return master.Ping(ctx).Err()
		})
	}
	return g.client.Ping(ctx).Err()
}

// await lets a connection that Connect is opening become usable.
func (g *Gate) await(ctx context.Context) error {
	if g.opened == nil {
		return nil
	}
	select {
	case <-g.opened:
		return nil
	case <-ctx.Done():
		return unreached{ctx.Err()}
	}
}
