package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"stayhold/functions/local/template"
)

// report is the line in which SAM tells what an invocation took. What it calls memory used is the limit. On a busy machine
// it removes the container, now and then, before it has read that far.
var report = regexp.MustCompile(`REPORT RequestId: \S+\s+(?:Init Duration: ([0-9.]+) ms\s+)?Duration: ([0-9.]+) ms.*Memory Size: (\d+) MB\s+Max Memory Used: (\d+) MB`)

// atOnce is how many samples are under way: half of the time of `sam local invoke` is waiting for its container.
const atOnce = 4

// events has `sam local invoke` run each function with each of its samples.
func (s *session) events(ctx context.Context, t *template.Template) error {
	paths, err := filepath.Glob(filepath.Join("events", "*.json"))
	if err != nil {
		return err
	}
	for _, f := range t.Functions {
		if !slices.ContainsFunc(paths, func(path string) bool { return functionOf(path) == f.Name }) {
			return fmt.Errorf("%s has no sample in events/", f.Name)
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	next := make(chan string)
	faults := make(chan error, len(paths))
	var all sync.WaitGroup
	for range atOnce {
		all.Go(func() {
			for path := range next {
				if err := s.event(ctx, path); err != nil {
					faults <- err
					cancel()
				}
			}
		})
	}
	for _, path := range paths {
		if ctx.Err() != nil {
			break
		}
		next <- path
	}
	close(next)
	all.Wait()
	select {
	case err := <-faults: // what the first one cancelled is no news
		return err
	default:
		return nil
	}
}

// functionOf is the function that a sample is for: events/admin-audit.json is AdminFunction's.
func functionOf(path string) string {
	first, _, _ := strings.Cut(strings.TrimSuffix(filepath.Base(path), ".json"), "-")
	return strings.ToUpper(first[:1]) + first[1:] + "Function"
}

func (s *session) event(ctx context.Context, path string) error {
	function := functionOf(path)
	cmd := s.command(ctx, s.local("invoke", "--event", path, function)...)
	var answer, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &answer, &log
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("sam local invoke %s --event %s: %w\n%s%s", function, path, err, log.String(), answer.String())
	}
	event, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := judge(path, string(event), bytes.TrimSpace(answer.Bytes())); err != nil {
		return fmt.Errorf("sam local invoke %s --event %s: %w\n%s", function, path, err, log.String())
	}
	took := "SAM was quicker than its own report"
	if m := report.FindStringSubmatch(log.String()); m != nil {
		took = fmt.Sprintf("init %6s ms, run %7s ms, memory %s of %s MB", m[1], m[2], m[4], m[3])
	}
	s.say("%-34s %s", path, took)
	return nil
}

// judge says what is wrong with the answer to a sample. What it names need not be there: that may be refused, and
// nothing may crash.
func judge(path, event string, answer []byte) error {
	var got struct {
		StatusCode int
		ErrorType  string
	}
	if err := json.Unmarshal(answer, &got); err != nil && string(answer) != "null" {
		return fmt.Errorf("its answer is no JSON: %w: %s", err, answer)
	}
	// A deployment whose stack does not hear of it is run again.
	unheard := strings.Contains(event, `"ResponseURL"`) && got.ErrorType == "DEPENDENCY_UNAVAILABLE"
	switch {
	case got.ErrorType != "" && !unheard && (functionOf(path) != "AdminFunction" || !strings.HasSuffix(got.ErrorType, "_NOT_FOUND")):
		return fmt.Errorf("it failed: %s", answer)
	case strings.Contains(event, `"requestContext"`) && (got.StatusCode < 200 || got.StatusCode >= 500):
		return fmt.Errorf("it answered %s", answer)
	case strings.Contains(path, "malformed"):
		return partial(answer)
	}
	if len(answer) == 0 {
		return errors.New("it did not answer")
	}
	return nil
}
