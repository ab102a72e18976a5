package template

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
)

// search is an expression that finds the metrics of one name under every value of some dimensions.
var search = regexp.MustCompile(`SEARCH\('\{([^,}]+),([^}]+)\} MetricName="(\w+)"`)

// shown are the metrics of a dashboard's widgets; a dot repeats what stands above it.
func (s *ownStack) shown(t *testing.T, dashboard string) []measured {
	t.Helper()
	var out []measured
	for _, w := range s.widgets(t, dashboard) {
		var above []any
		for _, row := range w.Properties.Metrics {
			var line []any
			for i, cell := range row {
				if text, ok := cell.(string); ok && text == "." && i < len(above) {
					cell = above[i]
				}
				if options, ok := cell.(map[string]any); ok {
					if match := search.FindStringSubmatch(scalar(options["expression"])); match != nil {
						out = append(out, measured{space: match[1], search: match[2], name: match[3]})
					}
					continue
				}
				line = append(line, cell)
			}
			if len(line) >= 2 {
				m := measured{space: scalar(line[0]), name: scalar(line[1]), dimensions: map[string]string{}}
				for i := 2; i+1 < len(line); i += 2 {
					m.dimensions[scalar(line[i])] = scalar(line[i+1])
				}
				out, above = append(out, m), line
			}
		}
	}
	return out
}

// widget is what of a dashboard's widget a test looks at.
type widget struct {
	Type       string
	Properties struct {
		Region, Title string
		Metrics       [][]any
		Alarms        []string
	}
}

func (s *ownStack) widgets(t *testing.T, dashboard string) []widget {
	t.Helper()
	var body struct{ Widgets []widget }
	if err := json.Unmarshal([]byte(scalar(s.get(dashboard, "DashboardBody"))), &body); err != nil || len(body.Widgets) == 0 {
		t.Fatalf("%s: %d widgets, %v", dashboard, len(body.Widgets), err)
	}
	return body.Widgets
}

func TestOwnTemplateDashboards(t *testing.T) {
	everyStack(t, func(t *testing.T, s *ownStack) {
		for _, dashboard := range s.of("AWS::CloudWatch::Dashboard") {
			for _, w := range s.widgets(t, dashboard) {
				p := w.Properties
				if w.Type == "metric" && (len(p.Metrics) == 0 || p.Region != Region) || w.Type == "alarm" && len(p.Alarms) == 0 || p.Title == "" {
					t.Errorf("%s: %+v", dashboard, w)
				}
				for _, alarm := range p.Alarms {
					if name := strings.TrimPrefix(alarm, arn("")); s.made[name].Type != "AWS::CloudWatch::Alarm" {
						t.Errorf("%s shows %q, which is no alarm", dashboard, alarm)
					}
				}
			}
			for _, m := range s.shown(t, dashboard) {
				for name, of := range m.dimensions {
					_, there := s.refs[strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(of, "-001"), "-0001"), ".QueueName")]
					if name != "Function" && !there && !strings.Contains(of, "Queue") {
						t.Errorf("%s: %s of %s is %q", dashboard, m.name, name, of)
					}
				}
			}
		}
	})
}
