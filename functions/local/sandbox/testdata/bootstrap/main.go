// Bootstrap is a function for tests: it does what its payload says.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

type order struct {
	Do  string          `json:"do"`
	URL string          `json:"url"`
	Say json.RawMessage `json:"say"`
}

func main() {
	if fault := os.Getenv("FAULT"); fault != "" {
		fmt.Fprintln(os.Stderr, "configuration: "+fault)
		os.Exit(1)
	}
	lambda.Start(handle)
}

func handle(ctx context.Context, event json.RawMessage) (any, error) {
	var o order
	// An event of another shape is echoed.
	if json.Unmarshal(event, &o) != nil || o.Do == "" {
		return event, nil
	}
	switch o.Do {
	case "say":
		return o.Say, nil
	case "environment":
		return os.Environ(), nil
	case "context":
		deadline, _ := ctx.Deadline()
		lc, _ := lambdacontext.FromContext(ctx)
		return map[string]any{"id": lc.AwsRequestID, "arn": lc.InvokedFunctionArn, "deadline": deadline.UnixMilli(), "pid": os.Getpid()}, nil
	case "wait":
		return map[string]int{"pid": os.Getpid()}, visit(o.URL)
	case "error":
		return nil, errors.New("it went wrong")
	case "panic":
		panic("at once")
	case "large":
		return strings.Repeat("x", 7<<20), nil
	default:
		fmt.Fprintln(os.Stderr, "last words")
		os.Exit(3)
		return nil, nil
	}
}

// visit holds the function until the test lets it go on.
func visit(url string) error {
	r, err := http.Get(url)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, r.Body)
	return errors.Join(err, r.Body.Close())
}
