package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"stayhold/functions/local/httpapi"
	"stayhold/functions/local/invokeapi"
	"stayhold/functions/local/sandbox"
	"stayhold/functions/local/template"
)

const (
	// environments is how many processes a function may have.
	environments    = 8
	migrateFunction = "MigrateFunction"
	sweepFunction   = "SweepFunction"
	// brought stands for what the template then does not make. No function gets to see it.
	brought = "arn:aws:secretsmanager:local:000000000000:secret:local"
	// requestGrace is how long requests that are under way may take when the stack stops.
	requestGrace = 500 * time.Millisecond
	stopLimit    = 4500 * time.Millisecond
)

// phase is when something is stopped: what serves callers before what it is served by.
type phase int

const (
	callers phase = iota
	functions
	servers
	folder
	phases
)

// stack is everything that runs.
type stack struct {
	settings
	out      *printer
	template *template.Template
	host     *sandbox.Host
	invokers map[string]invoker // by the function's name
	api      *httpapi.Authorizer
	triggers sync.WaitGroup
	undo     [phases][]func(context.Context)
	failure  chan error
	stale    []func(context.Context) error // each empties a part whose memory belongs to another database
	doors    map[int]*door
}

// serve runs the stack until ctx ends. An error means that it did not come up; nothing is left running either way.
func serve(ctx context.Context, dir string, lookup func(string) (string, bool), out *printer) error {
	began := time.Now()
	settings, err := readSettings(dir, lookup)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := &stack{settings: settings, out: out, failure: make(chan error, 8), doors: map[int]*door{}, invokers: map[string]invoker{}}
	err = s.start(ctx, began)
	if err == nil {
		select {
		case <-ctx.Done():
		case err = <-s.failure:
		}
		out.printf("stopping")
	}
	if ctx.Err() != nil {
		err = nil
	}
	cancel()
	s.stop()
	return err
}

// start brings everything up, in the order in which one part needs the other.
func (s *stack) start(ctx context.Context, began time.Time) error {
	for _, step := range []func(context.Context) error{
		s.lock, s.readTemplate, s.listen, s.startDatabase, s.startGate, s.startSimulators, s.openFunctions, s.migrate, s.seed,
		s.prepare, s.writeEnv, s.startTriggers,
	} {
		if err := step(ctx); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	s.openAPI()
	s.out.printf("ready in %.1f s  api %s  invoke %s  payments %s  sqs %s", time.Since(began).Seconds(), s.local(0), s.local(1), s.gatewayURL, s.sqsEndpoint)
	return nil
}

// stop undoes what was started, phase by phase, within five seconds.
func (s *stack) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), stopLimit)
	defer cancel()
	for _, undo := range s.undo {
		var all sync.WaitGroup
		for _, one := range undo {
			all.Go(func() { one(ctx) })
		}
		all.Wait()
	}
}

// later keeps what will stop something that was just started.
func (s *stack) later(p phase, undo func(context.Context)) { s.undo[p] = append(s.undo[p], undo) }

// local is the URL of what listens n ports behind the API.
func (s *stack) local(n int) string { return fmt.Sprintf("http://127.0.0.1:%d", s.port+n) }

// lock keeps a second stack out of the folder.
func (s *stack) lock(context.Context) error {
	unlock, err := lockDir(s.dir)
	if err != nil {
		return err
	}
	s.later(folder, func(context.Context) { unlock() })
	return nil
}

func (s *stack) readTemplate(context.Context) error {
	t, err := template.Read("template.yaml", template.Options{
		Parameters: map[string]string{
			"DatabaseUrlArn": brought, "RedisUrlArn": brought, "JwtIssuer": issuer, "JwtAudience": audience, "CorsAllowOrigins": s.corsOrigins, "UserIdClaim": "sub",
		},
		QueueURL: func(name string) string { return s.local(3) + "/" + template.Account + "/" + name },
	})
	if errors.Is(err, os.ErrNotExist) {
		return errors.New("there is no template.yaml here: run it in the folder that holds it")
	}
	if err != nil {
		return err
	}
	for _, f := range t.Functions {
		path := s.executable(f.Name)
		if _, err := os.Stat(path); err != nil && s.lambda == "" {
			return fmt.Errorf("%s is not built (%s is missing): run `make build`", f.Name, path)
		}
	}
	s.template = t
	s.api, err = httpapi.NewAuthorizer(filepath.Join(s.dir, "token-key.pem"), t.Authority.Issuer, t.Authority.Audiences)
	return err
}

func (s *stack) executable(function string) string {
	return filepath.Join(s.dir, "bin", function, "bootstrap")
}

// migrate brings the schema up through MigrateFunction, as the database's owner.
func (s *stack) migrate(ctx context.Context) error {
	i := slices.IndexFunc(s.template.Functions, func(f template.Function) bool { return f.Name == migrateFunction })
	if i < 0 {
		return errors.New("template.yaml has no " + migrateFunction)
	}
	prepare, err := s.add(s.template.Functions[i])
	if err != nil {
		return err
	}
	began := time.Now()
	if err := prepare(ctx); err != nil {
		return err
	}
	result, err := s.invokers[migrateFunction].Invoke(ctx, []byte("{}"))
	if err != nil {
		return err
	}
	if result.Failed {
		return fmt.Errorf("the database cannot be migrated, see MIGRATE_DATABASE_URL or DATABASE_URL (%s: %s)", migrateFunction, failureText(result))
	}
	var done struct{ Applied []string }
	if err := json.Unmarshal(result.Payload, &done); err != nil {
		return fmt.Errorf("%s answered what is no report: %w", migrateFunction, err)
	}
	what := "schema is up to date"
	if len(done.Applied) > 0 {
		what = "applied " + strings.Join(done.Applied, ", ")
	}
	s.out.printf("%-12s %s  (%.1f s)", "migrations", what, time.Since(began).Seconds())
	return nil
}

// failureText is what a function failed with, for a person.
func failureText(r sandbox.Result) string {
	var reported struct {
		Type    string `json:"errorType"`
		Message string `json:"errorMessage"`
	}
	if json.Unmarshal(r.Payload, &reported) != nil || reported.Message == "" {
		return visible(string(r.Payload))
	}
	parts := []string{reported.Type, reported.Message, r.Detail}
	return visible(strings.Trim(strings.Join(parts, " "), " "))
}

// prepare starts one environment of every function, so that what is wrong with its variables is told now.
func (s *stack) prepare(ctx context.Context) error {
	began := time.Now()
	faults := make([]error, len(s.template.Functions))
	var all sync.WaitGroup
	for i, f := range s.template.Functions {
		if f.Name == migrateFunction {
			continue
		}
		prepare, err := s.add(f)
		if err != nil {
			return err
		}
		all.Go(func() { faults[i] = prepare(ctx) })
	}
	all.Wait()
	if err := merged(faults); err != nil {
		return err
	}
	if s.lambda != "" {
		s.out.printf("%-12s %d at %s", "functions", len(faults), s.lambda)
		return nil
	}
	s.out.printf("%-12s %d started  (%.1f s)", "functions", len(faults), time.Since(began).Seconds())
	return nil
}

// merged makes one error of those that functions ended with at their start. The same variable stops many functions with
// the same words, of which once is enough.
func merged(faults []error) error {
	var who, words []string
	for _, err := range faults {
		if err == nil {
			continue
		}
		name, rest, _ := strings.Cut(err.Error(), " did not start: ")
		who = append(who, name)
		for clause := range strings.SplitSeq(rest, "; ") {
			if clause = strings.TrimPrefix(clause, "STAYHOLD configuration: "); !slices.Contains(words, clause) {
				words = append(words, clause)
			}
		}
	}
	switch len(who) {
	case 0:
		return nil
	case 1:
		return fmt.Errorf("%s did not start: %s", who[0], strings.Join(words, "; "))
	}
	return fmt.Errorf("%s and %d more did not start: %s", who[0], len(who)-1, strings.Join(words, "; "))
}

// openAPI begins to answer on the ports of the API and of invoke.
func (s *stack) openAPI() {
	api := httpapi.New(httpapi.Config{
		Routes: s.template.Routes, Cors: s.template.Cors, Authorizer: s.api, Log: s.out.request,
		Invoker: s.forAPI,
	})
	invoke := invokeapi.Handler(func(name string) invokeapi.Invoker {
		if f, ok := s.invokers[name]; ok {
			return f
		}
		return nil
	}, s.invoked)
	s.open(1, invoke)
	s.open(0, httpapi.WithGoroutines(httpapi.WithTokens(s.api, api)))
}

// invoked writes the line of a direct invocation.
func (s *stack) invoked(function string, r sandbox.Result, err error) {
	outcome := "ok"
	switch {
	case err != nil:
		outcome = err.Error()
	case r.Failed:
		outcome = failureText(r)
	}
	cold := ""
	if r.Cold {
		cold = "  cold"
	}
	s.out.printf("%s  %-6s %-44s %s %9.1f ms%s", clock(), "INVOKE", function, outcome,
		float64(r.Took.Microseconds())/1000, cold)
}
