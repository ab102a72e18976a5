package api

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambda/messages"

	"stayhold/shared/booking"
)

// refuse makes a function error: errorType is the code, errorMessage one line with
// every violation.
func (c *call) refuse(err error) messages.InvokeResponse_Error {
	told := c.fail(err, booking.ErrCommitResultUnknown)
	line := told.Detail
	if list, ok := told.Members["errors"].([]booking.Violation); ok {
		var parts []string
		for _, v := range list {
			parts = append(parts, v.Pointer+" "+v.Code)
		}
		line += " (" + strings.Join(parts, ", ") + ")"
	}
	return messages.InvokeResponse_Error{Type: told.Code, Message: oneLine(line)}
}

// direct runs one direct invocation: record, time limit, panics, errors.
func (e *Edge) direct(ctx context.Context, function string, run func(context.Context, *call) (any, error)) ([]byte, error) {
	c := e.begin(ctx, function, "invoke", "")
	limited, cancel := withinTime(ctx)
	defer cancel()
	result, err := guarded(func() (any, error) { return run(limited, c) })
	var out []byte
	if err == nil {
		out, err = marshal(result)
	}
	if err != nil {
		refusal := c.refuse(err)
		c.end(ctx)
		return nil, refusal
	}
	c.end(ctx)
	return out, nil
}

// misdirected refuses an HTTP request and a batch of records: whoever wired those to a
// function of the operator's must not set it to work with each of them.
func misdirected(payload []byte) error {
	var other struct {
		Context json.RawMessage `json:"requestContext"`
		Records json.RawMessage `json:"Records"`
	}
	// What is no object bears neither.
	if json.Unmarshal(payload, &other) == nil && (other.Context != nil || other.Records != nil) {
		return booking.ErrInvalidRequest.Because(errors.New("an event that is meant for another function"))
	}
	return nil
}

// Sweep handles the schedule, whose payload says nothing, and which throws the answer
// away: each fault is a line of the log. A run that failed in part answers with its
// report, and its code is in log and metrics. What is outstanding after it is there for
// the alarms; where it cannot be read it is missing.
func (e *Edge) Sweep(run func(context.Context) (booking.SweepReport, error), outstanding func(context.Context) (booking.Outstanding, error)) lambda.Handler {
	return handler(func(ctx context.Context, payload []byte) ([]byte, error) {
		return e.direct(ctx, "sweep", func(ctx context.Context, c *call) (any, error) {
			if err := misdirected(payload); err != nil {
				return nil, err
			}
			report, err := run(ctx)
			c.details = []slog.Attr{
				slog.Int("lapsed", report.Lapsed), slog.Int("sent", report.Sent), slog.Int("settled", report.Settled),
				slog.Int("stuck", report.Stuck), slog.Int("reconciled", report.Reconciled), slog.Int64("purged", report.Purged), slog.Bool("unfinished", report.Unfinished),
			}
			for _, fault := range report.Faults {
				e.log.LogAttrs(ctx, slog.LevelWarn, "fault", slog.String("requestId", c.requestID), slog.String("error", clipped(fault)))
			}
			left, unread := outstanding(ctx)
			if unread == nil {
				c.watch(report, left)
			}
			if err = errors.Join(err, unread); err != nil {
				_ = c.fail(err, booking.ErrUnavailable) // log and metrics tell of it
				if len(report.Faults) > 0 {
					c.inner = unread // the rest is told above, one by one
				}
			}
			return report, nil
		})
	})
}

// watch has the alarms see what a sweep found and what it left.
func (c *call) watch(report booking.SweepReport, left booking.Outstanding) {
	c.gauges = []gauge{
		{metric{"GateDrift", "Count"}, int64(report.Reconciled)},
		{metric{"RefundsStuck", "Count"}, left.StuckRefunds},
		{metric{"UnknownChargeAge", "Seconds"}, left.UnknownCharge},
		{metric{"PendingRefundAge", "Seconds"}, left.PendingRefund},
		{metric{"UnsentMessageAge", "Seconds"}, left.UnsentMessage},
		{metric{"LapsedHoldAge", "Seconds"}, left.LapsedHold},
	}
}
