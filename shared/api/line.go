package api

import (
	"context"
	"log/slog"
	"strconv"
	"sync"
	"time"
)

// usualLines is room for a line of log and one of metrics.
const usualLines = 1024

// lineBuffers are what lines are put together in, one after the other.
var lineBuffers = sync.Pool{New: func() any { return new(make([]byte, 0, usualLines)) }}

// end writes the one line of log and the one line of metrics, at once: each write wakes
// whoever collects them.
func (c *call) end(ctx context.Context) {
	now := time.Now()
	var digits [24]byte
	millis := appendMillis(digits[:0], now.Sub(c.began))
	buffer := lineBuffers.Get().(*[]byte)
	defer lineBuffers.Put(buffer)
	lines := (*buffer)[:0]
	if level := c.level(); c.edge.log.Enabled(ctx, level) {
		lines = c.appendLog(lines, now, level, millis)
	}
	lines = c.appendMetrics(lines, now, millis)
	*buffer = lines
	_, _ = c.edge.lines.Write(lines) // there is nowhere else to tell of it
}

func appendMillis(to []byte, took time.Duration) []byte {
	return strconv.AppendFloat(to, float64(took.Microseconds())/1000, 'f', -1, 64)
}

func (c *call) level() slog.Level {
	switch {
	case c.isFault():
		return slog.LevelError
	case c.inner != nil || c.deferred != nil:
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

// appendLog writes the line as the log's own handler would.
func (c *call) appendLog(to []byte, now time.Time, level slog.Level, millis []byte) []byte {
	to = now.AppendFormat(append(to, `{"time":"`...), time.RFC3339Nano)
	to = append(append(to, `","level":"`...), level.String()...)
	to = appendText(append(to, `","msg":"call","requestId":`...), c.requestID, asLog)
	to = appendText(append(to, `,"function":`...), c.function, asLog)
	to = appendText(append(to, `,"route":`...), c.route, asLog)
	to = appendText(append(to, `,"code":`...), c.code, asLog)
	to = append(append(to, `,"millis":`...), millis...)
	to = strconv.AppendBool(append(to, `,"coldStart":`...), c.cold)
	if c.status != 0 {
		to = strconv.AppendInt(append(to, `,"status":`...), int64(c.status), 10)
	}
	if c.userID != 0 {
		to = strconv.AppendInt(append(to, `,"userId":`...), c.userID, 10)
	}
	if c.bookingID != 0 {
		to = strconv.AppendInt(append(to, `,"bookingId":`...), c.bookingID, 10)
	}
	for _, d := range c.details {
		to = append(appendText(append(to, ','), d.Key, asLog), ':')
		to = append(to, d.Value.String()...) // a number or a boolean
	}
	if c.inner != nil {
		to = appendText(append(to, `,"error":`...), clipped(c.inner.Error()), asLog)
	}
	if c.deferred != nil {
		to = appendText(append(to, `,"deferred":`...), clipped(c.deferred.Error()), asLog)
	}
	return append(to, "}\n"...)
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

// ofEveryCall tells CloudWatch which metrics a line bears, of which dimensions. Each set
// of dimensions costs its metrics anew, so the codes have their times alone.
func ofEveryCall(namespace string) string {
	to := appendDirective(nil, namespace, `["Function","Route","Code"]`, metric{"Millis", "Milliseconds"})
	to = appendDirective(append(to, ','), namespace, `["Function"]`, metric{"ColdStart", "Count"}, metric{"Fault", "Count"})
	return string(to)
}

func appendDirective(to []byte, namespace, dimensions string, metrics ...metric) []byte {
	to = appendText(append(to, `{"Namespace":`...), namespace, asHTML)
	to = append(append(to, `,"Dimensions":[`...), dimensions...)
	separator := `],"Metrics":[{"Name":`
	for _, m := range metrics {
		to = appendText(append(to, separator...), m.Name, asHTML)
		to = appendText(append(to, `,"Unit":`...), m.Unit, asHTML)
		separator = `},{"Name":`
	}
	return append(to, "}]}"...)
}

// appendMetrics writes CloudWatch's embedded metric format, one object on one line.
func (c *call) appendMetrics(to []byte, now time.Time, millis []byte) []byte {
	to = strconv.AppendInt(append(to, `{"_aws":{"Timestamp":`...), now.UnixMilli(), 10)
	to = append(append(to, `,"CloudWatchMetrics":[`...), c.edge.watched...)
	if len(c.gauges) > 0 {
		watched := make([]metric, len(c.gauges))
		for i, g := range c.gauges {
			watched[i] = g.metric
		}
		to = appendDirective(append(to, ','), c.edge.namespace, "[]", watched...)
	}
	to = appendText(append(to, `]},"Function":`...), c.function, asHTML)
	to = appendText(append(to, `,"Route":`...), c.route, asHTML)
	to = appendText(append(to, `,"Code":`...), c.code, asHTML)
	to = append(append(to, `,"Millis":`...), millis...)
	to = strconv.AppendInt(append(to, `,"ColdStart":`...), one(c.cold), 10)
	to = strconv.AppendInt(append(to, `,"Fault":`...), one(c.isFault()), 10)
	for _, g := range c.gauges {
		to = append(appendText(append(to, ','), g.Name, asHTML), ':')
		to = strconv.AppendInt(to, g.value, 10)
	}
	return append(to, "}\n"...)
}

func one(is bool) int64 {
	if is {
		return 1
	}
	return 0
}
