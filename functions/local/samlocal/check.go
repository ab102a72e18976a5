package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"stayhold/functions/local/harness"
	"stayhold/functions/local/template"
)

// maxPackage is how large a function's package may be, zipped, in bytes: what is larger takes longer to start.
const maxPackage = 6_000_000

// tryAll goes through all that SAM can do with the functions, on a stack of its own.
func tryAll(ctx context.Context, program, flags string) (err error) {
	work, err := os.MkdirTemp("", "stayhold-sam-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	if work, err = filepath.EvalSymlinks(work); err != nil {
		return err
	}
	s := &session{sam: program, flags: flags, work: filepath.Join(work, "stack"), build: filepath.Join(work, "build"), began: time.Now()}
	t, err := template.Read("template.yaml", template.Options{
		Parameters: map[string]string{"JwtIssuer": "https://issuer.example", "JwtAudience": "stayhold"},
		QueueURL:   func(name string) string { return name },
	})
	if err != nil {
		return err
	}
	if err := s.run(ctx, "validate", "--lint"); err != nil {
		return err
	}
	s.say("sam validate --lint finds nothing")
	if err := s.prepare(ctx); err != nil {
		return err
	}
	if err := s.weigh(t.Functions); err != nil {
		return err
	}
	port, err := freePort()
	if err != nil {
		return err
	}
	defer func() {
		if err != nil && s.lambda != nil {
			err = fmt.Errorf("%w\nwhat the functions said last:\n%s", err, s.lambda.tail())
		}
		err = errors.Join(err, s.close())
	}()
	err = s.open(ctx, port, harness.Options{Root: ".", Bin: filepath.Join(local, "bin"), Work: s.work, Vars: []string{"SWEEP_INTERVAL=10s"}})
	if err != nil {
		return err
	}
	for _, step := range []func(context.Context, *template.Template) error{s.sale, s.batch, s.events, s.routes, s.audit} {
		if err := step(ctx, t); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return s.end(ctx)
}

// weigh holds each function's package against the limit.
func (s *session) weigh(functions []template.Function) error {
	for _, f := range functions {
		size, err := zipped(filepath.Join(s.build, f.Name, "bootstrap"))
		if err != nil {
			return err
		}
		s.say("%-20s %5.2f MB zipped", f.Name, float64(size)/1e6)
		if size > maxPackage {
			return fmt.Errorf("%s: its package has %d bytes, more than %d", f.Name, size, maxPackage)
		}
	}
	return nil
}

var parameter = regexp.MustCompile(`\{[A-Za-z]+\}`)

// routes calls each route over `sam local start-api`, which hands on no identity, whatever token a call bears: but for
// the health page a function has to refuse each of them.
func (s *session) routes(ctx context.Context, t *template.Template) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	api, err := s.start(ctx, s.log+".api", "start-api", port)
	if err != nil {
		return err
	}
	defer api.stop()
	shop := harness.NewShop(s.front)
	token, err := shop.Token(ctx, 7)
	if err != nil {
		return err
	}
	for _, r := range t.Routes {
		path, body := parameter.ReplaceAllString(r.Path, "1"), ""
		if r.Method == http.MethodPost {
			body = "{}"
		}
		a, err := shop.Send(ctx, r.Method, fmt.Sprintf("http://127.0.0.1:%d%s", port, path), body, "Authorization", "Bearer "+token)
		if err != nil {
			return fmt.Errorf("start-api: %w; %s", err, api.tail())
		}
		status, code, kind := http.StatusUnauthorized, "UNAUTHENTICATED", "application/problem+json"
		if r.Open {
			status, code, kind = http.StatusOK, "", "application/json"
		}
		if a.Status != status || a.Code() != code || !strings.HasPrefix(a.Header.Get("Content-Type"), kind) {
			return fmt.Errorf("start-api: %s %s is answered %d %s %s, want %d %s of %s; %s", r.Method, path, a.Status, a.Header.Get("Content-Type"), a.Body, status, code, kind, api.tail())
		}
	}
	s.say("start-api: %d routes, each but the health page refuses a caller without an identity (401 UNAUTHENTICATED)", len(t.Routes))
	return nil
}

// audit asks for what is not as it should be.
func (s *session) audit(ctx context.Context, _ *template.Template) error {
	var found struct{ Violations []any }
	if err := harness.NewShop(s.front).Admin(ctx, map[string]string{"action": "audit"}, &found); err != nil {
		return err
	}
	if len(found.Violations) > 0 {
		return fmt.Errorf("the audit finds %v", found.Violations)
	}
	s.say("the audit finds nothing")
	return nil
}

// end stops everything and looks whether SAM has taken its containers along.
func (s *session) end(ctx context.Context) error {
	s.front.Stop()
	s.lambda.stop()
	left, err := removeContainers(ctx, s.build)
	if err != nil {
		return err
	}
	if left > 0 {
		return fmt.Errorf("SAM left %d containers behind", left)
	}
	s.say("no container is left")
	return nil
}
