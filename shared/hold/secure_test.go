package hold_test

import (
	"context"
	"crypto/x509"
	"errors"
	"strings"
	"testing"
	"time"

	"stayhold/shared/booking"
	"stayhold/shared/hold"
	"stayhold/shared/hold/holdtest"
	"stayhold/shared/servertest"
)

// trusting is a gate that believes an authority; nil: the system's.
func trusting(t *testing.T, url string, ca *x509.CertPool) *hold.Gate {
	t.Helper()
	g, err := hold.New(hold.Options{URL: url, CA: ca, Timeout: 20 * time.Second, Prefix: prefix(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Close() })
	return g
}

// TestOnlyTheNamedServerIsSpokenTo has real servers with every certificate that a
// stranger may have.
func TestOnlyTheNamedServerIsSpokenTo(t *testing.T) {
	t.Parallel()
	ca, another := servertest.NewAuthority(t), servertest.NewAuthority(t)
	for name, c := range map[string]struct {
		shown servertest.Certificate
		host  string
		want  string // part of the error; empty: it is spoken to
	}{
		"the address":      {ca.Issue("127.0.0.1"), "127.0.0.1", ""},
		"the name":         {ca.Issue("localhost"), "localhost", ""},
		"another address":  {ca.Issue("127.0.0.2"), "127.0.0.1", "certificate is valid for 127.0.0.2"},
		"another name":     {ca.Issue("redis.example"), "localhost", "certificate is valid for redis.example"},
		"expired":          {ca.Expired("127.0.0.1"), "127.0.0.1", "certificate has expired"},
		"of another":       {another.Issue("127.0.0.1"), "127.0.0.1", "certificate signed by unknown authority"},
		"signed by itself": {servertest.SelfSigned(t, "127.0.0.1"), "127.0.0.1", "certificate signed by unknown authority"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := holdtest.Secure(t, c.shown)
			url := strings.Replace(server.SecureURL(), "127.0.0.1", c.host, 1)
			err := trusting(t, url, ca.Pool).Ping(t.Context())
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (!errors.Is(err, booking.ErrUnavailable) || !strings.Contains(err.Error(), c.want)):
				t.Errorf("%v, want %s", err, c.want)
			}
			// The system's authorities do not vouch for it.
			if err := trusting(t, url, nil).Ping(t.Context()); !errors.Is(err, booking.ErrUnavailable) {
				t.Errorf("without its authority: %v", err)
			}
		})
	}
}

// TestEachNodeIsVerified has a cluster of which one node shows another host's
// certificate: its products are not served, and the others' are.
func TestEachNodeIsVerified(t *testing.T) {
	t.Parallel()
	ca := servertest.NewAuthority(t)
	cluster := holdtest.SecureCluster(t, ca, [3]servertest.Certificate{
		ca.Issue("127.0.0.1"), ca.Issue("127.0.0.2"), ca.Issue("127.0.0.1"),
	})
	g := trusting(t, cluster.URL(), ca.Pool)
	served, refused := 0, 0
	for id := int64(1); id <= 30; id++ {
		p, err := g.Place(t.Context(), booking.Hold{ProductID: id, UserID: 1, Token: token("a")}, long)
		switch {
		case err == nil && p.Code == booking.PlaceCold:
			served++
		case errors.Is(err, booking.ErrUnavailable) && strings.Contains(err.Error(), "certificate is valid for 127.0.0.2"):
			refused++
		default:
			t.Errorf("product %d: %v, %v", id, p.Code, err)
		}
	}
	if served < 5 || refused < 5 {
		t.Errorf("%d products served and %d refused", served, refused)
	}
}

// TestPlainTextAndTLSDoNotMeet speaks the one to a port of the other.
func TestPlainTextAndTLSDoNotMeet(t *testing.T) {
	t.Parallel()
	ca := servertest.NewAuthority(t)
	server := holdtest.Secure(t, ca.Issue("127.0.0.1"))
	for name, url := range map[string]string{
		"plain text to TLS": "redis" + strings.TrimPrefix(server.SecureURL(), "rediss"),
		"TLS to plain text": "rediss" + strings.TrimPrefix(server.URL(), "redis"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := trusting(t, url, ca.Pool)
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			began := time.Now()
			if _, err := g.Place(ctx, at(1, "a"), long); !errors.Is(err, booking.ErrUnavailable) {
				t.Error(err)
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("a call with 200 ms took %v", took)
			}
		})
	}
}

// TestAddressesOfSixteenBytes has the wire on ::1, since the servers here are not.
func TestAddressesOfSixteenBytes(t *testing.T) {
	t.Parallel()
	ca := servertest.NewAuthority(t)
	server := holdtest.Secure(t, ca.Issue("::1"))
	_, plain, _ := strings.Cut(server.URL(), "@")
	_, secure, _ := strings.Cut(server.SecureURL(), "@")
	for to, url := range map[string]string{plain: server.URL(), secure: server.SecureURL()} {
		through := strings.Replace(url, to, servertest.Six(t, to), 1)
		if err := trusting(t, through, ca.Pool).Ping(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
