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
	result, err := shielded(limited, c, run)
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

func shielded(ctx context.Context, c *call, run func(context.Context, *call) (any, error)) (result any, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = recovered(p)
		}
	}()
	return run(ctx, c)
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

// Sweep handles the schedule, whose payload says nothing. A run that failed in part
// answers with its report, and its code is in log and metrics.
func (e *Edge) Sweep(run func(context.Context) (booking.SweepReport, error)) lambda.Handler {
	return handler(func(ctx context.Context, payload []byte) ([]byte, error) {
		return e.direct(ctx, "sweep", func(ctx context.Context, c *call) (any, error) {
			if err := misdirected(payload); err != nil {
				return nil, err
			}
			report, err := run(ctx)
			c.refundsStuck = &report.Stuck
			if err != nil {
				_ = c.fail(err, booking.ErrUnavailable) // log and metrics tell of it
			}
			return report, nil
		})
	})
}

// Migrate handles a deployment's invoke, whose payload says nothing. The result is what
// was applied now, in order, and the version that the schema has.
func (e *Edge) Migrate(run func(context.Context) (applied []string, version int64, err error)) lambda.Handler {
	return handler(func(ctx context.Context, payload []byte) ([]byte, error) {
		return e.direct(ctx, "migrate", func(ctx context.Context, _ *call) (any, error) {
			if err := misdirected(payload); err != nil {
				return nil, err
			}
			applied, version, err := run(ctx)
			if err != nil {
				return nil, err
			}
			for _, name := range applied {
				e.log.LogAttrs(ctx, slog.LevelInfo, "migrated", slog.String("migration", name))
			}
			return struct {
				Applied []string `json:"applied"`
				Version int64    `json:"version"`
			}{append([]string{}, applied...), version}, nil
		})
	})
}
