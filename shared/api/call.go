package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"

	"stayhold/shared/booking"
)

// call is one invocation, as log and metrics tell of it.
type call struct {
	edge      *Edge
	function  string
	route     string
	requestID string
	userID    int64
	bookingID int64
	code      string
	status    int // 0 where there is no HTTP
	inner     error
	deferred  error // what failed after the commit, and rows still command
	began     time.Time
	cold      bool
	details   []slog.Attr // of one function's own: numbers and booleans
	gauges    []gauge
}

// begin starts the record of an invocation. Without a requestID that can be one it bears
// the invocation's own.
func (e *Edge) begin(ctx context.Context, function, route, requestID string) *call {
	if !isRequestID(requestID) {
		requestID = ""
		if lc, ok := lambdacontext.FromContext(ctx); ok {
			requestID = lc.AwsRequestID
		}
	}
	return &call{
		edge: e, function: function, route: route, requestID: requestID, code: okCode,
		began: time.Now(), cold: !e.warm.Swap(true),
	}
}

// The codes of calls that end without an error.
const (
	okCode      = "OK"
	pendingCode = "PENDING"
)

// fail turns whatever a step returned into the error that the caller is told of, and
// keeps the inner text for the log. late is what a step that ran out of time means.
func (c *call) fail(err error, late *booking.Error) *booking.Error {
	c.inner = err
	told, ok := errors.AsType[*booking.Error](err)
	switch {
	case ok:
		if told.Unwrap() == nil && (err == error(told) || err.Error() == told.Error()) { //nolint:errorlint // what wraps it is asked for its text
			c.inner = nil // the code says it all
		}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		told = late
	default:
		told = booking.ErrInternal
	}
	c.code = told.Code
	return told
}

// recovered turns a panic into an error. The environment goes on: nothing that a step
// keeps outlives its invocation.
func recovered(panicked any) error {
	return fmt.Errorf("panic: %v\n%s", panicked, debug.Stack())
}

// isFault says that the call ended in what is ours to put right, not the caller's.
func (c *call) isFault() bool {
	switch c.code {
	case booking.ErrInternal.Code, booking.ErrUnavailable.Code, booking.ErrCommitResultUnknown.Code:
		return true
	}
	return c.status >= 500
}
