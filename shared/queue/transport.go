package queue

import (
	"bytes"
	"io"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

// ownBody lets the transport read a request from a copy. The SDK closes its own
// body as soon as the headers of the answer are there. When the transport has not
// seen the end of it by then, it takes that for a failed write and closes the
// connection, and the answer is lost: a message sent twice, or a batch received by
// nobody until its visibility timeout is over.
type ownBody struct{ next sqs.HTTPClient }

// Do sends the request as the client behind it does.
func (o ownBody) Do(r *http.Request) (*http.Response, error) {
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
