package paymentgateway

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"stayhold/shared/booking"
)

const (
	maxAnswer = 64 << 10 // bytes of an answer's body; a payment object is about 2 KiB
	maxHeader = 16 << 10

	// A frozen Lambda environment thaws with connections that the gateway closed long
	// ago, and a POST on one of those comes back UNKNOWN. The transport ages idle
	// connections by the wall clock, so a short life means a new connection then.
	idleLife = 5 * time.Second
)

// errNotSent says that no byte of the request left, by our own fault.
var errNotSent = errors.New("not sent")

type request struct {
	verb string
	path string // escaped
	key  string // Idempotency-Key; empty for a GET
	body []byte
}

type reply struct {
	status int
	body   []byte
}

// newHTTPClient returns a client of its own transport. Proxy is left out: a proxy
// taken from a stray HTTP_PROXY would see who pays what, and for plain http the secret
// too. HTTP/2 is left out because it re-sends refused streams by itself.
func newHTTPClient(timeout time.Duration) *http.Client {
	var http1 http.Protocols
	http1.SetHTTP1(true)
	return &http.Client{
		Transport: &http.Transport{
			Protocols:              &http1,
			DialContext:            (&net.Dialer{Timeout: timeout}).DialContext,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    timeout,
			MaxIdleConns:           4,
			MaxIdleConnsPerHost:    2,
			IdleConnTimeout:        idleLife,
			MaxResponseHeaderBytes: maxHeader,
			DisableCompression:     true,
		},
		// A redirect is an answer like any other (UNKNOWN): following a 307 would post
		// the charge, and maybe the secret, to another host.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// exchange sends one request to the method's gateway and reads the whole answer. An
// error means that there is no answer to judge; it is errNotSent when nothing was sent.
func (c *Client) exchange(ctx context.Context, m booking.Method, q request) (reply, error) {
	a, err := c.account(m)
	if err != nil {
		return reply{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	var body io.Reader
	if q.body != nil {
		body = bytes.NewReader(q.body)
	}
	r, err := http.NewRequestWithContext(ctx, q.verb, strings.TrimRight(a.base, "/")+q.path, body)
	if err != nil {
		// The parser's text would quote the URL, and with it a payment key.
		return reply{}, fmt.Errorf("%w: the gateway's URL is malformed", errNotSent)
	}
	a.authorize(r)
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", "stayhold")
	if q.body != nil {
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Idempotency-Key", q.key)
		// net/http takes a POST that bears an Idempotency-Key for repeatable, and sends it
		// again when a kept-alive connection breaks. It cannot without a way to rewind
		// the body (http.Request.GetBody), and whether to repeat is the caller's to decide.
		r.GetBody = nil
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return reply{}, cause(err)
	}
	got, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if closing := resp.Body.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return reply{}, fmt.Errorf("answer %d broke off: %w", resp.StatusCode, cause(err))
	}
	if len(got) > maxAnswer {
		return reply{}, fmt.Errorf("answer %d is longer than %d bytes", resp.StatusCode, maxAnswer)
	}
	return reply{resp.StatusCode, got}, nil
}

// cause names a transport error without the text of net/http, which may quote the URL
// or the gateway's bytes.
func cause(err error) error {
	for _, known := range []error{
		context.DeadlineExceeded, context.Canceled, io.ErrUnexpectedEOF, io.EOF,
		syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EPIPE, syscall.ETIMEDOUT,
		syscall.EHOSTUNREACH, syscall.ENETUNREACH,
	} {
		if errors.Is(err, known) {
			return fmt.Errorf("no answer: %w", known)
		}
	}
	var certificate *tls.CertificateVerificationError
	var name *net.DNSError
	var timeout net.Error
	switch {
	case errors.As(err, &certificate):
		return fmt.Errorf("no answer: %w", certificate)
	case errors.As(err, &name):
		return fmt.Errorf("no answer: %w", name)
	case errors.As(err, &timeout) && timeout.Timeout():
		return errors.New("no answer: timed out")
	}
	return errors.New("no answer: the connection broke or what came is not HTTP")
}
