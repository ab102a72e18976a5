package hold_test

import (
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"stayhold/shared/booking"
	"stayhold/shared/hold"
)

func TestBadURL(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"":                                        "URL 1 of 1: it is empty",
		"localhost:6379":                          "must begin with redis:// or rediss://",
		"http://:hunter2@h":                       "must begin with redis:// or rediss://",
		"redis://:hunter2@":                       "names no host",
		"redis://:hunter2%zz@h":                   "is not a URL",
		"redis://u:hunter2@h:port":                "is not a URL",
		"redis://:hunter2@h:0":                    "port is not between 1 and 65535",
		"redis://:hunter2@h:70000":                "port is not between 1 and 65535",
		"redis://:hunter2@h/zero":                 "path is not a database number",
		"redis://:hunter2@h?max_retries=3":        "no parameters",
		"rediss://:hunter2@h?skip_verify=true":    "no parameters",
		"redis://:hunter2@h#f":                    "no fragment",
		"redis://:hunter2@h,":                     "URL 2 of 2: it is empty",
		"redis://:hunter2@h,rediss://:hunter2@i":  "URL 2 of 2: scheme, user and password must be those of the first",
		"redis://:hunter2@h,redis://:hunter3@i":   "URL 2 of 2: scheme, user and password must be those of the first",
		"redis://:hunter2@h/3,redis://:hunter2@i": "a cluster has no databases but 0",
		"redis://:hunter2@h,redis://i/1":          "a cluster has no databases but 0",
	} {
		g, err := hold.New(hold.Options{URL: url})
		if g != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", url, err, want)
			continue
		}
		if strings.Contains(err.Error(), "hunter") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: the error shows the password or has several lines: %v", url, err)
		}
	}
}

func TestGoodURL(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"redis://h", "redis://h:6379/", "redis://h/2", "redis://:p@h", "redis://u:p%2Cq@h:1", "rediss://[::1]:6379",
		"redis://a:1,redis://b:2", "redis://u:p@a:1, redis://u:p@b:2", "rediss://u:p@a:1,b:2,c", "redis://a,redis://a",
	} {
		g, err := hold.New(hold.Options{URL: url})
		if err != nil {
			t.Errorf("%q: %v", url, err)
			continue
		}
		if err := g.Close(); err != nil {
			t.Errorf("%q: %v", url, err)
		}
	}
}

// A server whose certificate nobody vouches for is not spoken to, alone or in a
// cluster: no password leaves this process.
func TestUnknownCertificateIsRefused(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	server.StartTLS()
	t.Cleanup(server.Close)
	url := "rediss://:hunter2@" + server.Listener.Addr().String()
	for _, url := range []string{url, url + "," + url} {
		g, err := hold.New(hold.Options{URL: url, Timeout: 5 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		_, err = g.Place(t.Context(), at(1, "a"), long)
		if !errors.Is(err, booking.ErrUnavailable) || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("%v", err)
		}
		if strings.Contains(err.Error(), "hunter") {
			t.Error("the error shows the password")
		}
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	}
}
