package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
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

	refundsStuck *int // of a sweep
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
	var told *booking.Error
	switch {
	case errors.As(err, &told):
		if told.Unwrap() == nil && err.Error() == told.Error() {
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

// end writes the one line of log and the one line of metrics.
func (c *call) end(ctx context.Context, more ...slog.Attr) {
	millis := float64(time.Since(c.began).Microseconds()) / 1000
	attrs := []slog.Attr{
		slog.String("requestId", c.requestID),
		slog.String("function", c.function),
		slog.String("route", c.route),
		slog.String("code", c.code),
		slog.Float64("millis", millis),
		slog.Bool("coldStart", c.cold),
	}
	if c.status != 0 {
		attrs = append(attrs, slog.Int("status", c.status))
	}
	if c.userID != 0 {
		attrs = append(attrs, slog.Int64("userId", c.userID))
	}
	if c.bookingID != 0 {
		attrs = append(attrs, slog.Int64("bookingId", c.bookingID))
	}
	attrs = append(attrs, more...)
	level := slog.LevelInfo
	if c.inner != nil {
		attrs = append(attrs, slog.String("error", clipped(c.inner.Error())))
		level = slog.LevelWarn
	}
	if c.deferred != nil {
		attrs = append(attrs, slog.String("deferred", clipped(c.deferred.Error())))
		level = slog.LevelWarn
	}
	if c.status >= 500 || c.code == booking.ErrInternal.Code {
		level = slog.LevelError
	}
	c.edge.log.LogAttrs(ctx, level, "call", attrs...)
	c.measure(millis)
}

// measure writes CloudWatch's embedded metric format, one object on one line.
func (c *call) measure(millis float64) {
	type metric struct {
		Name string
		Unit string
	}
	type directive struct {
		Namespace  string
		Dimensions [][]string
		Metrics    []metric
	}
	type metadata struct {
		Timestamp         int64
		CloudWatchMetrics []directive
	}
	cold := 0
	if c.cold {
		cold = 1
	}
	meta := metadata{time.Now().UnixMilli(), []directive{{
		"Stayhold", [][]string{{"Function", "Route", "Code"}},
		[]metric{{"Millis", "Milliseconds"}, {"ColdStart", "Count"}},
	}}}
	if c.refundsStuck != nil { // an alarm watches it, whatever became of the rest of the sweep
		meta.CloudWatchMetrics = append(meta.CloudWatchMetrics,
			directive{"Stayhold", [][]string{{}}, []metric{{"RefundsStuck", "Count"}}})
	}
	line, err := json.Marshal(struct {
		AWS          metadata `json:"_aws"`
		Function     string
		Route        string
		Code         string
		Millis       float64
		ColdStart    int
		RefundsStuck *int `json:",omitempty"`
	}{meta, c.function, c.route, c.code, millis, cold, c.refundsStuck})
	if err == nil {
		_, err = c.edge.metrics.Write(append(line, '\n'))
	}
	if err != nil {
		c.edge.log.Error("metrics", "error", err.Error())
	}
}

// title makes a code readable: SOLD_OUT becomes "Sold out".
func title(code string) string {
	words := strings.ToLower(strings.ReplaceAll(code, "_", " "))
	return strings.ToUpper(words[:1]) + words[1:]
}
