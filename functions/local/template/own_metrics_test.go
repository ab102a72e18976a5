package template

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"stayhold/shared/api"
	"stayhold/shared/booking"
)

// ownSpace is the namespace of a stack's own metrics, as the functions are told of it.
const ownSpace = "stayhold-local"

// emission is one metric under one set of dimensions; function is who wrote it, where that is a dimension.
type emission struct{ name, dimensions, function string }

// operations audits, and does nothing else.
type operations struct{ api.Operations }

func (operations) Audit(context.Context, int64) ([]booking.Breach, error) { return nil, nil }

// emitted are the metrics that the edge of each function writes, found by calling it.
func emitted(t *testing.T) (all map[emission]bool) {
	t.Helper()
	var out bytes.Buffer
	edge := api.New(api.Options{Namespace: ownSpace, Log: &out, LogLevel: slog.LevelError + 1})
	all = map[emission]bool{}
	for function, handler := range map[string]lambda.Handler{
		"ReserveFunction": edge.Reserve(nil), "RegisterFunction": edge.Register(nil), "ApproveFunction": edge.Approve(nil),
		"CompleteFunction": edge.Complete(nil), "CancelFunction": edge.Cancel(nil), "QueryFunction": edge.Query(booking.Query{}),
		"CompensateFunction": edge.Batch(time.Second, nil, nil), "AdminFunction": edge.Admin(operations{}),
		"SweepFunction": edge.Sweep(
			func(context.Context) (booking.SweepReport, error) { return booking.SweepReport{}, nil },
			func(context.Context) (booking.Outstanding, error) { return booking.Outstanding{}, nil },
		),
		"MigrateFunction": edge.Migrate(func(context.Context) ([]string, int64, error) { return nil, 0, nil }),
	} {
		out.Reset()
		// Most refuse an event that says so little, and measure the refusal.
		_, _ = handler.Invoke(t.Context(), []byte(`{"action":"audit"}`))
		for line := range strings.Lines(out.String()) {
			for e := range emissions(t, line) {
				if e.function != "" {
					e.function += " of " + function
				}
				all[e] = true
			}
		}
		if out.Len() == 0 {
			t.Errorf("%s measures nothing", function)
		}
	}
	return all
}

// emissions reads a line of CloudWatch's embedded metric format.
func emissions(t *testing.T, line string) map[emission]bool {
	t.Helper()
	var members map[string]any
	var meta struct {
		AWS struct {
			CloudWatchMetrics []struct {
				Namespace  string
				Dimensions [][]string
				Metrics    []struct{ Name string }
			}
		} `json:"_aws"`
	}
	if json.Unmarshal([]byte(line), &meta) != nil || json.Unmarshal([]byte(line), &members) != nil {
		t.Fatalf("metrics %q", line)
	}
	all := map[emission]bool{}
	for _, directive := range meta.AWS.CloudWatchMetrics {
		for _, m := range directive.Metrics {
			if _, ok := members[m.Name].(float64); !ok || directive.Namespace != ownSpace || len(directive.Dimensions) == 0 {
				t.Errorf("%s of %q under %q is %v", m.Name, directive.Namespace, directive.Dimensions, members[m.Name])
			}
			for _, dimensions := range directive.Dimensions {
				e := emission{name: m.Name, dimensions: strings.Join(dimensions, ",")}
				if slices.Contains(dimensions, "Function") {
					e.function, _ = members["Function"].(string)
				}
				all[e] = true
			}
		}
	}
	return all
}

// watched are the stack's own metrics that an alarm or a dashboard names.
func (s *ownStack) watched(t *testing.T) map[emission]string {
	t.Helper()
	all := map[emission]string{}
	add := func(where, space string, e emission) {
		if space == ownSpace {
			all[e] = where
		}
	}
	for _, alarm := range s.of("AWS::CloudWatch::Alarm") {
		for _, m := range s.metricsOf(alarm) {
			e := emission{name: m.name}
			for _, name := range []string{"Function", "Route", "Code"} {
				if value, ok := m.dimensions[name]; ok {
					e.dimensions = strings.TrimPrefix(e.dimensions+","+name, ",")
					if name == "Function" {
						e.function = value + " of " + s.functionOf(alarm)
					}
				}
			}
			add(alarm, m.space, e)
		}
	}
	for _, dashboard := range s.of("AWS::CloudWatch::Dashboard") {
		for _, m := range s.shown(t, dashboard) {
			e := emission{name: m.name}
			if function, ok := m.dimensions["Function"]; ok {
				e.dimensions, e.function = "Function", function+" of "+strings.ToUpper(function[:1])+function[1:]+"Function"
			}
			if m.search != "" {
				e = emission{name: m.name, dimensions: m.search}
			}
			add(dashboard, m.space, e)
		}
	}
	return all
}

// functionOf is the function that an alarm is about.
func (s *ownStack) functionOf(alarm string) string {
	for _, m := range s.metricsOf(alarm) {
		if m.space == "AWS/Lambda" {
			return m.dimensions["FunctionName"]
		}
	}
	return ""
}

// An alarm on a metric that nobody writes stays silent for ever, and a metric that nobody looks at is paid for in vain.
func TestOwnTemplateWatchesWhatTheFunctionsMeasure(t *testing.T) {
	written, looked := emitted(t), own(t, nil).watched(t)
	if len(looked) < 15 {
		t.Errorf("%d metrics of our own are looked at: %v", len(looked), looked)
	}
	for e, where := range looked {
		searched := where == "Dashboard" && e.function == "" && e.dimensions != ""
		if written[e] || searched && slices.ContainsFunc(slicesOf(written), func(w emission) bool {
			return w.name == e.name && w.dimensions == e.dimensions
		}) {
			continue
		}
		t.Errorf("%s names %+v, which no function writes", where, e)
	}
	for e := range written {
		if _, ok := looked[e]; !ok && (e.dimensions == "" || e.name == "Fault") {
			t.Errorf("nobody looks at %+v", e)
		}
	}
}

func slicesOf(all map[emission]bool) []emission {
	var out []emission
	for e := range all {
		out = append(out, e)
	}
	return out
}
