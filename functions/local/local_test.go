package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"stayhold/functions/local/harness"
	"stayhold/functions/local/httpapi"
	"stayhold/functions/local/template"
)

func lookup(variables map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { v, ok := variables[name]; return v, ok }
}

func TestSettings(t *testing.T) {
	s, err := readSettings("d", lookup(map[string]string{"PORT": "4000", "SWEEP_INTERVAL": "1s", "HOLD_TTL": "5s", "SECRET": "x"}))
	if err != nil || s.port != 4000 || s.sweepInterval != time.Second || len(s.passed) != 1 || s.passed["HOLD_TTL"] != "5s" {
		t.Errorf("%+v, %v", s, err)
	}
	if s, err := readSettings("d", lookup(nil)); err != nil || s.port != 3000 {
		t.Errorf("by default: %+v, %v", s, err)
	}
	_, err = readSettings("d", lookup(map[string]string{
		"AWS_ENDPOINT_URL_LAMBDA": "http://127.0.0.1:3005/x", "ALSO_LISTEN": "0.0.0.0",
		"PORT": "65533", "SWEEP_INTERVAL": "soon", "CORS_ALLOW_ORIGINS": "https://shop.example/", "AWS_ENDPOINT_URL_SQS": "http://x", "PAYMENT_GATEWAY_URL": "http://x",
	}))
	if err == nil {
		t.Fatal("no error")
	}
	line := oneLine(err)
	for _, name := range []string{"PORT", "SWEEP_INTERVAL", "CORS_ALLOW_ORIGINS", "COMPENSATION_QUEUE_URL", "PAYMENT_GATEWAY_SECRET", "AWS_ENDPOINT_URL_LAMBDA", "ALSO_LISTEN"} {
		if !strings.Contains(line, name) || strings.Contains(line, "\n") {
			t.Errorf("%q does not name %s on one line", line, name)
		}
	}
}

func TestVariablesAreTheTemplatesWithLocalValues(t *testing.T) {
	s := &stack{settings: settings{
		databaseURL: "postgres://owner", functionsURL: "postgres://d", gatewaySecret: "s", gatewayURL: "http://g", queueURL: "http://q/c", sqsEndpoint: "http://q",
		passed: map[string]string{"HOLD_TTL": "5s", "MAX_OPEN_HOLDS": "9"},
	}}
	got := s.variables(template.Function{Environment: map[string]string{
		"DATABASE_URL": "", "DATABASE_URL_ARN": "", "PAYMENT_GATEWAY_SECRET": "", "PAYMENT_GATEWAY_SECRET_ARN": "",
		"PAYMENT_GATEWAY_URL": "https://real", "COMPENSATION_QUEUE_URL": "http://template", "AWS_ENDPOINT_URL_SQS": "",
		"HOLD_TTL": "300s", "USER_ID_CLAIM": "sub",
	}})
	slices.Sort(got)
	want := []string{
		"AWS_ENDPOINT_URL_SQS=http://q", "COMPENSATION_QUEUE_URL=http://q/c", "DATABASE_URL=postgres://d", "HOLD_TTL=5s",
		"PAYMENT_GATEWAY_SECRET=s", "PAYMENT_GATEWAY_URL=http://g", "USER_ID_CLAIM=sub",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	owner := s.variables(template.Function{Name: migrateFunction, Environment: map[string]string{"DATABASE_URL": "", "DATABASE_URL_ARN": ""}})
	if !slices.Equal(owner, []string{"DATABASE_URL=postgres://owner"}) {
		t.Errorf("the migration's: %v", owner)
	}
}

// What sam local is told has every variable of the template, and shows this machine as containers see it.
func TestVariablesForContainers(t *testing.T) {
	s := &stack{settings: settings{
		dir: t.TempDir(), functionsURL: "postgres://u:w@127.0.0.1:5/d", redisURL: "redis://:w@localhost:1,redis://127.0.0.1:2",
		gatewayURL: "https://gateway.example", passed: map[string]string{"HOLD_TTL": "5s"},
	}, template: &template.Template{Functions: []template.Function{{Name: "F", Environment: map[string]string{
		"DATABASE_URL": "", "DATABASE_URL_ARN": "", "REDIS_URL": "", "PAYMENT_GATEWAY_URL": "", "HOLD_TTL": "300s", "USER_ID_CLAIM": "sub",
	}}}}}
	path, err := s.writeVariables()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]map[string]string
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]map[string]string{"F": {
		"DATABASE_URL": "postgres://u:w@host.docker.internal:5/d", "DATABASE_URL_ARN": "",
		"REDIS_URL": "redis://:w@host.docker.internal:1,redis://host.docker.internal:2", "PAYMENT_GATEWAY_URL": "https://gateway.example",
		"HOLD_TTL": "5s", "USER_ID_CLAIM": "sub",
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// Whoever uses the AWS CLI on this stack may have the variable in his shell.
func TestTheStacksOwnEndpointIsRefused(t *testing.T) {
	for _, own := range []string{"http://127.0.0.1:4001", "http://localhost:4001/"} {
		if _, err := readSettings("d", lookup(map[string]string{"PORT": "4000", "AWS_ENDPOINT_URL_LAMBDA": own})); err == nil || !strings.Contains(err.Error(), "own invoke API") {
			t.Errorf("%s: %v", own, err)
		}
	}
	s, err := readSettings("d", lookup(map[string]string{"PORT": "4000", "AWS_ENDPOINT_URL_LAMBDA": "http://127.0.0.1:4004/"}))
	if err != nil || s.lambda != "http://127.0.0.1:4004" {
		t.Errorf("another one: %q, %v", s.lambda, err)
	}
}

func TestAnEndpointThatNeverAnswersIsGivenUp(t *testing.T) {
	s := &stack{settings: settings{lambda: fmt.Sprintf("http://127.0.0.1:%d", harness.FreePorts())}}
	err := s.awaitEndpoint(t.Context(), 500*time.Millisecond)
	if err == nil || !strings.HasPrefix(err.Error(), "AWS_ENDPOINT_URL_LAMBDA: "+s.lambda+" does not answer: start ") {
		t.Errorf("%v", err)
	}
}

func TestReachNamesWhatDoesNotAnswerAndShowsNoPassword(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := reach("REDIS_URL", "redis://"+address+", redis://u:p@"+address, "6379", "redis", "rediss"); err != nil {
		t.Errorf("a server that answers: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, url := range []string{"postgres://u:hush@" + address + "/d", "mysql://u:hush@" + address, "hush", "postgres://"} {
		err := reach("DATABASE_URL", url, "5432", "postgres", "postgresql")
		if err == nil || !strings.HasPrefix(err.Error(), "DATABASE_URL: ") || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v", url, err)
		}
	}
}

// refuse runs a stack in folder d that cannot come up and returns its one line.
func refuse(t *testing.T, variables map[string]string) string {
	t.Helper()
	var text strings.Builder
	out := newPrinter(&text)
	err := serve(t.Context(), "d", lookup(variables), out)
	out.close()
	if err == nil {
		t.Fatal("it came up")
	}
	return oneLine(err)
}

func TestWhatCannotRunSaysWhyAndLeavesNothing(t *testing.T) {
	t.Chdir(t.TempDir())
	if line := refuse(t, nil); !strings.Contains(line, "template.yaml") {
		t.Errorf("no template: %s", line)
	}
	const own = `
Resources:
  MigrateFunction: {Type: AWS::Serverless::Function}
  Api:
    Type: AWS::Serverless::HttpApi
    Properties:
      Auth: {DefaultAuthorizer: J, Authorizers: {J: {JwtConfiguration: {issuer: i, audience: [a]}}}}
`
	if err := os.WriteFile("template.yaml", []byte(own), 0o600); err != nil {
		t.Fatal(err)
	}
	if line := refuse(t, nil); !strings.Contains(line, "MigrateFunction is not built") || !strings.Contains(line, "make build") {
		t.Errorf("nothing built: %s", line)
	}
	path := filepath.Join("d", "bin", "MigrateFunction", "bootstrap")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho 'no way' >&2\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := taken.Close(); err != nil {
			t.Error(err)
		}
	}()
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	if line := refuse(t, map[string]string{"PORT": port}); !strings.Contains(line, "port "+port) || !strings.Contains(line, "is taken") {
		t.Errorf("a taken port: %s", line)
	}
	free := fmt.Sprint(harness.FreePorts())
	variables := map[string]string{"PORT": free, "DATABASE_URL": "postgres://" + taken.Addr().String() + "/d", "REDIS_URL": "redis://" + taken.Addr().String()}
	if line := refuse(t, variables); line != "MigrateFunction did not start: no way" {
		t.Errorf("a function that does not start: %s", line)
	}
	if l, err := net.Listen("tcp", "127.0.0.1:"+free); err != nil {
		t.Errorf("the port is still taken: %v", err)
	} else if err := l.Close(); err != nil {
		t.Error(err)
	}
	unlock, err := lockDir("d")
	if err != nil {
		t.Fatalf("the folder is still locked: %v", err)
	}
	defer unlock()
	if line := refuse(t, nil); !strings.Contains(line, fmt.Sprintf("another stack runs in d (process %d)", os.Getpid())) {
		t.Errorf("a second stack: %s", line)
	}
}

func TestMergedSaysEveryFaultOnce(t *testing.T) {
	err := merged([]error{
		nil, errors.New("A did not start: STAYHOLD configuration: X: bad; Y: bad"), errors.New("B did not start: STAYHOLD configuration: Y: bad"),
	})
	if err == nil || err.Error() != "A and 1 more did not start: X: bad; Y: bad" {
		t.Errorf("%v", err)
	}
	if err := merged(make([]error, 3)); err != nil {
		t.Error(err)
	}
}

func TestOutput(t *testing.T) {
	var text strings.Builder
	p := newPrinter(&text)
	p.request(httpapi.Entry{Method: "GET", Path: "/a\x1b[2J", Status: 200, Took: 1500 * time.Microsecond, Function: "QueryFunction", Cold: true})
	dir := t.TempDir()
	for _, line := range []string{"old\n", "new\n" + `{"level":"ERROR","msg":"call","code":"INTERNAL"}` + "\n"} {
		l, err := openLog(dir, "F", p)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Write([]byte(line)); err != nil {
			t.Fatal(err)
		}
	}
	p.close()
	p.printf("too late")
	got := text.String()
	if !strings.Contains(got, "GET    /a?[2J") || !strings.Contains(got, "200       1.5 ms  Query  cold\n") || !strings.Contains(got, "F: call  INTERNAL\n") {
		t.Errorf("%q", got)
	}
	for name, want := range map[string]string{"F.log.1": "old\n", "F.log": "new\n"} {
		if text, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !strings.HasPrefix(string(text), want) {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
}

func TestWithoutMakeNobodyIsWatched(t *testing.T) {
	t.Setenv("MAKELEVEL", "")
	ctx, cancel := harness.WithParent(t.Context())
	if ctx.Err() != nil {
		t.Error("it ended at once")
	}
	cancel()
	if !errors.Is(ctx.Err(), context.Canceled) {
		t.Errorf("%v", ctx.Err())
	}
}
