package invokeapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"time"

	"stayhold/functions/local/sandbox"
)

// startLimit is how long an environment may take to come up elsewhere, on top of the function's own time.
const startLimit = time.Minute

// Remote is a function that runs elsewhere, behind an Invoke operation that is not ours: that of `sam local
// start-lambda`, of AWS, or of another stack. Endpoint is its address without a path.
type Remote struct {
	Endpoint, Name string
	Timeout        time.Duration
}

// timedOut is what Lambda says of a function whose time is over.
var timedOut = regexp.MustCompile(`Task timed out after [0-9.]+ seconds`)

// Invoke runs the function once. A function that fails is a Result, not an error; an answer that is not JSON is one of
// a function that died, since sam local hands over whatever it had said by then.
func (r Remote) Invoke(ctx context.Context, payload []byte) (sandbox.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, r.Timeout+startLimit)
	defer cancel()
	began := time.Now()
	status, header, body, err := r.post(ctx, payload)
	switch {
	case err != nil:
		return sandbox.Result{}, fmt.Errorf("%s: %s does not answer: %w", r.Name, r.Endpoint, err)
	case status == http.StatusTooManyRequests:
		return sandbox.Result{}, sandbox.ErrBusy
	case status != http.StatusOK:
		return sandbox.Result{}, fmt.Errorf("%s: %s answers %d: %s", r.Name, r.Endpoint, status, strings.TrimSpace(string(body)))
	}
	result := sandbox.Result{Payload: body, Failed: header.Get("X-Amz-Function-Error") != "", Took: time.Since(began)}
	if !json.Valid(body) {
		result.Failed, result.Died, result.Detail = true, true, "it ended without an answer"
	}
	result.TimedOut = result.Failed && timedOut.Match(body)
	return result, nil
}

func (r Remote) post(ctx context.Context, payload []byte) (status int, header http.Header, body []byte, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.Endpoint+"/2015-03-31/functions/"+r.Name+"/invocations", bytes.NewReader(payload))
	if err != nil {
		return 0, nil, nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil, nil, errors.Unwrap(err) // without the address, which is told beside it
	}
	body, err = io.ReadAll(response.Body)
	return response.StatusCode, response.Header, body, errors.Join(err, response.Body.Close())
}
