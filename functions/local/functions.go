package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"stayhold/functions/local/httpapi"
	"stayhold/functions/local/invokeapi"
	"stayhold/functions/local/sandbox"
	"stayhold/functions/local/template"
)

const (
	// endpointWithin is how long the endpoint of functions that run elsewhere may take to answer.
	endpointWithin = 2 * time.Minute
	// fromContainers is this machine's name in a container, see docker's --add-host.
	fromContainers = "host.docker.internal"
)

// invoker runs a function: in environments of this machine, or elsewhere.
type invoker interface {
	Invoke(ctx context.Context, payload []byte) (sandbox.Result, error)
}

// openFunctions says where functions run. No process starts yet.
func (s *stack) openFunctions(ctx context.Context) error {
	if s.lambda != "" {
		return s.openElsewhere(ctx)
	}
	host, err := sandbox.Listen()
	if err != nil {
		return err
	}
	s.host = host
	s.later(functions, func(ctx context.Context) {
		if err := host.Close(ctx); err != nil {
			s.out.printf("%v", err)
		}
	})
	return nil
}

// openElsewhere writes down the environment that the functions need there, and waits until somebody answers.
func (s *stack) openElsewhere(ctx context.Context) error {
	path, err := s.writeVariables()
	if err != nil {
		return err
	}
	if s.endpointAnswers(ctx) {
		return nil
	}
	s.out.printf("%-12s waiting for %s, at most %v  (sam local start-lambda --env-vars %s)", "lambda", s.lambda, endpointWithin, path)
	return s.awaitEndpoint(ctx, endpointWithin)
}

func (s *stack) awaitEndpoint(ctx context.Context, within time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, within, fmt.Errorf("AWS_ENDPOINT_URL_LAMBDA: %s does not answer: "+
		"start sam local start-lambda there, or unset AWS_ENDPOINT_URL_LAMBDA to have the functions run here", s.lambda))
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
			if s.endpointAnswers(ctx) {
				return nil
			}
		}
	}
}

// endpointAnswers says that something speaks HTTP at the endpoint.
func (s *stack) endpointAnswers(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.lambda, nil)
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	_ = response.Body.Close()
	return true
}

// writeVariables writes the functions' environments in the form of sam local's --env-vars, where each variable of the
// template stands, and an empty one for none. In a container this machine is not 127.0.0.1.
func (s *stack) writeVariables() (path string, err error) {
	all := map[string]map[string]string{}
	for _, f := range s.template.Functions {
		own := map[string]string{}
		for name := range f.Environment {
			own[name] = ""
		}
		for _, pair := range s.variables(f) {
			name, value, _ := strings.Cut(pair, "=")
			if strings.Contains(name, "_URL") {
				value = seenFromContainers(value)
			}
			own[name] = value
		}
		all[f.Name] = own
	}
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return "", err
	}
	path = filepath.Join(s.dir, "functions.json")
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return "", err
	}
	s.later(folder, func(context.Context) {
		if err := os.Remove(path); err != nil {
			s.out.printf("%v", err)
		}
	})
	return path, os.Rename(path+".new", path)
}

// seenFromContainers is a URL, or a comma-separated list of them, with this machine's name there.
func seenFromContainers(list string) string {
	for _, before := range []string{"//", "@"} {
		for _, here := range []string{"127.0.0.1", "localhost"} {
			list = strings.ReplaceAll(list, before+here+":", before+fromContainers+":")
		}
	}
	return list
}

// add gives a function its environments, or says where it runs. Everything that its variables name must be known by then.
func (s *stack) add(f template.Function) (prepare func(context.Context) error, err error) {
	if s.lambda != "" {
		s.invokers[f.Name] = invokeapi.Remote{Endpoint: s.lambda, Name: f.Name, Timeout: f.Timeout}
		return func(context.Context) error { return nil }, nil
	}
	log, err := openLog(filepath.Join(s.dir, "log"), f.Name, s.out)
	if err != nil {
		return nil, err
	}
	pool := s.host.Add(sandbox.Function{
		Name: f.Name, Executable: s.executable(f.Name), Handler: f.Handler, Timeout: f.Timeout, Memory: f.Memory,
		Variables: s.variables(f), Output: log,
	}, environments)
	s.invokers[f.Name] = pool
	return pool.Prepare, nil
}

// told is a function whose failures for the API's callers are told here: what its process says is elsewhere.
type told struct {
	invoker
	tell func(sandbox.Result, error)
}

// Invoke runs it.
func (f told) Invoke(ctx context.Context, payload []byte) (sandbox.Result, error) {
	result, err := f.invoker.Invoke(ctx, payload)
	if (err != nil || result.Failed) && ctx.Err() == nil {
		f.tell(result, err)
	}
	return result, err
}

// forAPI is the function as the API calls it.
func (s *stack) forAPI(function string) httpapi.Invoker {
	if s.lambda == "" {
		return s.invokers[function]
	}
	return told{s.invokers[function], func(r sandbox.Result, err error) { s.invoked(function, r, err) }}
}

// variables is a function's environment: what the template says, with local values for what is the account's, and
// with what the environment of the stack overrides. What the template leaves empty is not there, and a secret is given
// itself: its ARN is the account's.
func (s *stack) variables(f template.Function) []string {
	database := s.functionsURL
	if f.Name == migrateFunction {
		database = s.databaseURL
	}
	own := map[string]string{
		"DATABASE_URL": database, "REDIS_URL": s.redisURL,
		"PAYMENT_GATEWAY_URL": s.gatewayURL, "PAYMENT_GATEWAY_SECRET": s.gatewaySecret,
		"YPAY_GATEWAY_URL": s.ypayURL, "YPAY_GATEWAY_SECRET": s.ypaySecret,
		"COMPENSATION_QUEUE_URL": s.queueURL, "AWS_ENDPOINT_URL_SQS": s.sqsEndpoint,
		"FUNCTIONS_LOGIN": s.functionsLogin,
		// What is brought may be a container's, on a network of this machine.
		"TLS_REQUIRED": "false",
	}
	var out []string
	for name, value := range f.Environment {
		if v, ok := own[name]; ok {
			value = v
		}
		if v, ok := s.passed[name]; ok {
			value = v
		}
		if value != "" {
			out = append(out, name+"="+value)
		}
	}
	return out
}
