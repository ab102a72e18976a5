package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"text/tabwriter"
)

// The directions of a goal.
const (
	atLeast = ">="
	atMost  = "<="
)

// measure is one line of the table. One without a ratio only tells figures; one without an Op has no goal.
type measure struct {
	ID    string   `json:"id"`
	Name  string   `json:"name"`
	Ratio *float64 `json:"ratio"` // the median; of a measure with a unit the value itself
	Min   *float64 `json:"min"`
	Max   *float64 `json:"max"`
	Goal  *float64 `json:"goal"`
	Op    string   `json:"op"`
	Met   *bool    `json:"met"`
	Unit  string   `json:"unit,omitempty"`

	Figures *figures `json:"figures,omitempty"`
}

// figures are absolute numbers, of this machine and this moment.
type figures struct {
	PerSecond  float64            `json:"perSecond"`
	P50Millis  float64            `json:"p50Millis"`
	P99Millis  float64            `json:"p99Millis"`
	CPUMillis  map[string]float64 `json:"cpuMillis,omitempty"`  // of each call, by who spent it
	StepMillis map[string]float64 `json:"stepMillis,omitempty"` // median of each step
	Latency    []float64          `json:"latency,omitempty"`    // milliseconds at latencyQuantiles
}

// latencyQuantiles are those that a picture shows.
var latencyQuantiles = []float64{0.01, 0.25, 0.50, 0.75, 0.90, 0.95, 0.99, 0.995, 0.999}

// report collects the measures of a run in the order in which they are told.
type report struct {
	measures []measure
	plans    []planned // what the statements of every path did on the largest tables
}

// figures adds absolute numbers.
func (r *report) figures(id, name string, f figures) {
	r.measures = append(r.measures, measure{ID: id, Name: name, Figures: &f})
}

// ratio adds a comparison without a goal.
func (r *report) ratio(id, name string, s spread) {
	r.measures = append(r.measures, measure{ID: id, Name: name, Ratio: rounded(s.median), Min: rounded(s.min), Max: rounded(s.max)})
}

// amount adds a number with a unit, without a goal.
func (r *report) amount(id, name, unit string, s spread) *measure {
	r.ratio(id, name, s)
	m := &r.measures[len(r.measures)-1]
	m.Unit = unit
	return m
}

// aims gives a measure its goal; 0 is none. What is judged is the number as it is shown.
func (m *measure) aims(op string, limit float64) *measure {
	if limit == 0 {
		return m
	}
	return m.judged(op, limit)
}

// judged gives a measure its goal, whatever that is.
func (m *measure) judged(op string, limit float64) *measure {
	limit = *rounded(limit)
	met := *m.Ratio >= limit
	if op == atMost {
		met = *m.Ratio <= limit
	}
	m.Goal, m.Op, m.Met = &limit, op, &met
	return m
}

// goal adds a comparison with one.
func (r *report) goal(id, name string, s spread, op string, limit float64) {
	r.amount(id, name, "", s).judged(op, limit)
}

// rounded leaves two digits behind the point, and two more of what is small.
func rounded(v float64) *float64 {
	unit := 100.0
	if math.Abs(v) < 0.1 {
		unit = 10_000
	}
	v = math.Round(v*unit) / unit
	return &v
}

// shown writes what rounded leaves.
func shown(v float64) string {
	if v != 0 && math.Abs(v) < 0.1 {
		return fmt.Sprintf("%.4f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// print writes the tables for a person: what is compared, then the absolute numbers.
func (r *report) print(to io.Writer) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "\nid\tmeasure\tmedian\trange\tgoal\t\n")
	for _, m := range r.measures {
		if m.Ratio == nil {
			continue
		}
		goal, verdict := "", ""
		if m.Op != "" {
			goal, verdict = fmt.Sprintf("%s %.2f", m.Op, *m.Goal), "met"
			if !*m.Met {
				verdict = "MISSED"
			}
		}
		fmt.Fprintf(w, "%s\t%s\t%s %s\t%s … %s\t%s\t%s\n", m.ID, m.Name, shown(*m.Ratio), m.Unit, shown(*m.Min), shown(*m.Max), goal, verdict)
	}
	fmt.Fprint(w, "\nid\tmeasure\tper second\tp50\tp99\t\n")
	for _, m := range r.measures {
		if f := m.Figures; f != nil {
			fmt.Fprintf(w, "%s\t%s\t%.0f\t%.2f ms\t%.2f ms\t%s\n", m.ID, m.Name, f.PerSecond, f.P50Millis, f.P99Millis, f.details())
		}
	}
	fmt.Fprintln(w)
	return w.Flush()
}

// figuresOf are the absolute numbers of a sample.
func figuresOf(s sample) figures {
	f := figures{PerSecond: s.perSecond(), P50Millis: p50(s), P99Millis: p99(s), CPUMillis: map[string]float64{}}
	for _, q := range latencyQuantiles {
		f.Latency = append(f.Latency, *rounded(s.millis(q)))
	}
	return f
}

// details are the numbers behind the numbers.
func (f figures) details() string {
	var parts []string
	for _, one := range []struct {
		title  string
		values map[string]float64
		order  []string
	}{{"cpu ms", f.CPUMillis, cpuOrder}, {"p50 ms", f.StepMillis, stepOrder}} {
		text := ""
		for _, name := range one.order {
			if v, ok := one.values[name]; ok {
				text += fmt.Sprintf(" %s %.2f", name, v)
			}
		}
		if text != "" {
			parts = append(parts, one.title+":"+text)
		}
	}
	return strings.Join(parts, "   ")
}

// write puts all measures into a file as JSON, whole or not at all.
func (r *report) write(path string) error {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(r.measures); err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", text.Bytes(), 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// unjudged takes the goals back: a quick run shows that everything can be measured, and no more.
func (r *report) unjudged() {
	for i := range r.measures {
		m := &r.measures[i]
		m.Goal, m.Op, m.Met = nil, "", nil
	}
}

// verdict is an error that names the goals which were missed.
func (r *report) verdict() error {
	var missed []string
	for _, m := range r.measures {
		if m.Met != nil && !*m.Met {
			missed = append(missed, m.ID)
		}
	}
	if len(missed) == 0 {
		return nil
	}
	return errors.New("goals missed: " + strings.Join(missed, ", "))
}
