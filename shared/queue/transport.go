package queue

import (
	"bytes"
	"crypto/tls"
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

const (
	// An answer bears ten messages of together 1 MiB, of which JSON may make six.
	maxAnswer = 8 << 20 // bytes
	maxHeader = 64 << 10
	idleLife  = 90 * time.Second
)

// newHTTPClient returns a client of its own transport. The SDK's follows a 307 with the
// signed message to any host, asks the proxy that a stray HTTP_PROXY names, and reads
// answers without end.
func newHTTPClient(timeout time.Duration) *http.Client {
	return &http.Client{
		Timeout: timeout,
		Transport: &http.Transport{
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
			MaxIdleConns:           4,
			IdleConnTimeout:        idleLife,
			MaxResponseHeaderBytes: maxHeader,
			DisableCompression:     true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// ownBody lets the transport read a request from a copy. The SDK closes its own
// body as soon as the headers of the answer are there. When the transport has not
// seen the end of it by then, it takes that for a failed write and closes the
// connection, and the answer is lost: a message sent twice, or a batch received by
// nobody until its visibility timeout is over.
type ownBody struct{ next sqs.HTTPClient }

// Do sends the request as the client behind it does, and cuts the answer's body where
// it is longer than any answer.
func (o ownBody) Do(r *http.Request) (*http.Response, error) {
	answer, err := o.do(r)
	if err != nil {
		return nil, err
	}
	answer.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(answer.Body, maxAnswer), answer.Body}
	return answer, nil
}

func (o ownBody) do(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		return o.next.Do(r)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	// A copy of the request as well: closing the original must not reach this body.
	owned := r.WithContext(r.Context())
	owned.Body = io.NopCloser(bytes.NewReader(body))
	return o.next.Do(owned)
}
