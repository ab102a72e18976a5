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
	details   []slog.Attr // of one function's own
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
func (c *call) end(ctx context.Context) {
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
	attrs = append(attrs, c.details...)
	level := slog.LevelInfo
	if c.inner != nil {
		attrs = append(attrs, slog.String("error", clipped(c.inner.Error())))
		level = slog.LevelWarn
	}
	if c.deferred != nil {
		attrs = append(attrs, slog.String("deferred", clipped(c.deferred.Error())))
		level = slog.LevelWarn
	}
	if c.isFault() {
		level = slog.LevelError
	}
	c.edge.log.LogAttrs(ctx, level, "call", attrs...)
	c.measure(millis)
}

// metric is one value's name and unit.
type metric struct {
	Name string
	Unit string
}

// gauge is a value of the whole deployment that an alarm watches.
type gauge struct {
	metric
	value int64
}

// measure writes CloudWatch's embedded metric format, one object on one line. Each set of
// dimensions costs its metrics anew, so the codes have their times alone.
func (c *call) measure(millis float64) {
	type directive struct {
		Namespace  string
		Dimensions [][]string
		Metrics    []metric
	}
	type metadata struct {
		Timestamp         int64
		CloudWatchMetrics []directive
	}
	space := c.edge.namespace
	meta := metadata{time.Now().UnixMilli(), []directive{
		{space, [][]string{{"Function", "Route", "Code"}}, []metric{{"Millis", "Milliseconds"}}},
		{space, [][]string{{"Function"}}, []metric{{"ColdStart", "Count"}, {"Fault", "Count"}}},
	}}
	var values []byte
	if len(c.gauges) > 0 {
		watched := directive{Namespace: space, Dimensions: [][]string{{}}}
		for _, g := range c.gauges {
			watched.Metrics = append(watched.Metrics, g.metric)
			values = fmt.Appendf(values, ",%q:%d", g.Name, g.value)
		}
		meta.CloudWatchMetrics = append(meta.CloudWatchMetrics, watched)
	}
	line, err := json.Marshal(struct {
		AWS       metadata `json:"_aws"`
		Function  string
		Route     string
		Code      string
		Millis    float64
		ColdStart int
		Fault     int
	}{meta, c.function, c.route, c.code, millis, one(c.cold), one(c.isFault())})
	if err == nil {
		line = append(append(line[:len(line)-1], values...), "}\n"...)
		_, err = c.edge.metrics.Write(line)
	}
	if err != nil {
		c.edge.log.Error("metrics", "error", err.Error())
	}
}

// isFault says that the call ended in what is ours to put right, not the caller's.
func (c *call) isFault() bool { return c.status >= 500 || c.code == booking.ErrInternal.Code }

func one(is bool) int {
	if is {
		return 1
	}
	return 0
}

// title makes a code readable: SOLD_OUT becomes "Sold out".
func title(code string) string {
	words := strings.ToLower(strings.ReplaceAll(code, "_", " "))
	return strings.ToUpper(words[:1]) + words[1:]
}
