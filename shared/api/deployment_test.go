package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

// stack is where CloudFormation waits for a resource's answer.
type stack struct {
	*httptest.Server
	status int
	told   []object
}

func newStack(t *testing.T) *stack {
	t.Helper()
	s := &stack{status: http.StatusOK}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body object
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || r.Method != http.MethodPut {
			t.Errorf("%s: %v", r.Method, err)
		}
		s.told = append(s.told, body)
		w.WriteHeader(s.status)
	}))
	t.Cleanup(s.Close)
	return s
}

// event is the sample of what CloudFormation sends when a stack makes, changes or deletes a resource.
func (s *stack) event(t *testing.T, kind string) []byte {
	t.Helper()
	text, err := os.ReadFile("../../events/migrate-deployment.json")
	if err != nil {
		t.Fatal(err)
	}
	var event object
	if err := json.Unmarshal(text, &event); err != nil {
		t.Fatal(err)
	}
	event["RequestType"], event["ResponseURL"] = kind, s.URL+"/answer?signature=x"
	out, err := json.Marshal(event)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// A deployment goes on after a migration and stops at one that failed, whose driver's words stay here; the schema stays
// when the stack goes.
func TestDeploymentIsTold(t *testing.T) {
	for name, c := range map[string]struct {
		kind         string
		err          error
		panics       bool
		ran          bool
		status, says string
	}{
		"made":    {kind: "Create", ran: true, status: "SUCCESS"},
		"changed": {kind: "Update", ran: true, status: "SUCCESS"},
		"deleted": {kind: "Delete", status: "SUCCESS"},
		"failed":  {kind: "Update", ran: true, err: errors.New("driver's\nwords"), status: "FAILED", says: "INTERNAL: "},
		"panics":  {kind: "Create", ran: true, panics: true, status: "FAILED", says: "INTERNAL: "},
	} {
		t.Run(name, func(t *testing.T) {
			s, b, ran := newStack(t), newBench(), false
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			end, _ := ctx.Deadline()
			_, err := b.Migrate(func(ctx context.Context) ([]string, int64, error) {
				ran = true
				if own, ok := ctx.Deadline(); !ok || end.Sub(own) < tellTime {
					t.Errorf("it may take until %v, the invocation ends at %v", own, end)
				}
				if c.panics {
					panic("words")
				}
				return []string{"001.sql"}, 1, c.err
			}).Invoke(ctx, s.event(t, c.kind))
			if err != nil || ran != c.ran || len(s.told) != 1 {
				t.Fatalf("ran %v, told %v, %v", ran, s.told, err)
			}
			told, reason := s.told[0], ""
			if told["Reason"] != nil {
				reason = told["Reason"].(string)
			}
			if told["Status"] != c.status || told["PhysicalResourceId"] != "schema" || told["LogicalResourceId"] != "Schema" ||
				!strings.HasSuffix(told["RequestId"].(string), "02") || !strings.HasPrefix(told["StackId"].(string), "arn:aws:cloudformation:") {
				t.Errorf("%v", told)
			}
			if !strings.HasPrefix(reason, c.says) || (c.says == "") != (reason == "") || strings.Contains(reason, "words") {
				t.Errorf("reason %q", reason)
			}
			if c.err != nil && !strings.Contains(b.log.String(), "driver's") {
				t.Errorf("the log does not say why: %s", b.log)
			}
		})
	}
}

// A stack that did not hear waits for an hour: the platform runs the function again.
func TestDeploymentThatHearsNothingIsToldAgain(t *testing.T) {
	s := newStack(t)
	s.status = http.StatusForbidden
	_, err := newBench().Migrate(func(context.Context) ([]string, int64, error) { return nil, 1, nil }).Invoke(t.Context(), s.event(t, "Create"))
	if err == nil || !strings.Contains(err.Error(), "DEPENDENCY_UNAVAILABLE") || len(s.told) != 1 {
		t.Errorf("told %v, %v", s.told, err)
	}
}
