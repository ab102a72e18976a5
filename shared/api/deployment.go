package api

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/aws/aws-lambda-go/cfn"
	"github.com/aws/aws-lambda-go/lambda"

	"stayhold/shared/booking"
)

// migrated is what a migration did: the files that it applied now, in order, and the
// version that the schema has.
type migrated struct {
	Applied []string `json:"applied"`
	Version int64    `json:"version"`
}

// Migrate handles a direct invoke, whose payload says nothing, and the event of a
// CloudFormation resource, by which each deployment migrates before its traffic: the
// stack waits for the answer, which goes to a URL of its event, and a failure stops it.
// When the resource is deleted the schema stays.
func (e *Edge) Migrate(run func(context.Context) (applied []string, version int64, err error)) lambda.Handler {
	migrate := func(ctx context.Context) (any, error) {
		applied, version, err := run(ctx)
		if err != nil {
			return nil, err
		}
		for _, name := range applied {
			e.log.LogAttrs(ctx, slog.LevelInfo, "migrated", slog.String("migration", name))
		}
		return migrated{append([]string{}, applied...), version}, nil
	}
	return handler(func(ctx context.Context, payload []byte) ([]byte, error) {
		var deployment cfn.Event
		// Whatever else comes is a direct invoke.
		if json.Unmarshal(payload, &deployment) == nil && deployment.ResponseURL != "" {
			return e.deploy(ctx, deployment, migrate)
		}
		return e.direct(ctx, "migrate", func(ctx context.Context, _ *call) (any, error) {
			if err := misdirected(payload); err != nil {
				return nil, err
			}
			return migrate(ctx)
		})
	})
}

// schemaResource is the schema's name as a resource of a stack: the same for ever, so
// that a migration never replaces it.
const schemaResource = "schema"

// tellTime is what a migration leaves of the invocation's time to tell its stack.
const tellTime = 5 * time.Second

// deploy runs a migration as a resource of a stack, and tells the stack how it ended. An
// answer that does not arrive is the function's error: the platform runs it again.
func (e *Edge) deploy(ctx context.Context, event cfn.Event, migrate func(context.Context) (any, error)) ([]byte, error) {
	return e.direct(ctx, "migrate", func(ctx context.Context, c *call) (result any, err error) {
		told := cfn.LambdaWrap(func(ctx context.Context, event cfn.Event) (string, map[string]any, error) {
			if event.RequestType == cfn.RequestDelete {
				return schemaResource, nil, nil
			}
			if deadline, ok := ctx.Deadline(); ok {
				limited, cancel := context.WithDeadline(ctx, deadline.Add(-tellTime))
				defer cancel()
				ctx = limited
			}
			result, err = guarded(func() (any, error) { return migrate(ctx) })
			if err != nil {
				refusal := c.refuse(err)
				err = fmt.Errorf("%s: %s The function's log says more.", refusal.Type, refusal.Message) //nolint:staticcheck // a person reads it, in the stack's events
			}
			return schemaResource, nil, err
		})
		if _, err := told(ctx, event); err != nil {
			return nil, booking.ErrUnavailable.Because(err)
		}
		return result, nil
	})
}
