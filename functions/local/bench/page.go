package main

import (
	"fmt"
	"html/template"
	"math"
	"os"
	"strconv"
	"strings"
)

// series is one line of a chart; x and y of each point are positive.
type series struct {
	Name   string
	Points [][2]float64
}

// chart is lines over an axis whose steps are powers, and so is the other one's: what is twice as fast stands as far above
// wherever it is.
type chart struct {
	Title, Across, Up string
	Lines             []series
}

// charts are the pictures of what was measured; one of which nothing was is left out.
func (r *report) charts() []chart {
	all := []chart{
		{"Purchases over HTTP", "buyers at a time", "per second", r.flowLines(func(f figures) map[string]float64 {
			return map[string]float64{"flows": f.PerSecond}
		})},
		{"How long a purchase takes", "buyers at a time", "ms", r.flowLines(func(f figures) map[string]float64 {
			return map[string]float64{"median": f.P50Millis, "slowest hundredth": f.P99Millis}
		})},
		{"Latency: so many of a million calls take longer", "calls of a million", "ms", r.latencies("")},
		{"A reserve while something else goes on, admitted: so many of a million take longer", "calls of a million", "ms", r.latencies(tailOf)},
		{"A reserve while something else goes on, refused", "calls of a million", "ms", r.latencies(refusedOf)},
		{"A crowd for ten units, until each has his answer", "buyers", "s", r.byNumber("scale", map[string]string{
			"scale": "handlers", "scale-script": "bare script", "scale-lock": "row lock", "scale-version": "version column",
		})},
		{"Cost as tables grow", "bookings", "µs", r.byNumber("growth", nil)},
		{"Time of a script in the server", "live holds", "µs", r.byNumber("script", nil)},
	}
	var some []chart
	for _, c := range all {
		if len(c.Lines) > 0 {
			some = append(some, c)
		}
	}
	return some
}

// flowLines are numbers of the flow by how many buyers are on their way.
func (r *report) flowLines(of func(figures) map[string]float64) []series {
	var lines lineSet
	for _, m := range r.measures {
		n, ok := strings.CutPrefix(m.ID, "flow-")
		if at, err := strconv.ParseFloat(n, 64); ok && err == nil && m.Figures != nil {
			for name, value := range of(*m.Figures) {
				lines.add(name, at, value)
			}
		}
	}
	return lines.all
}

// latencies are how the calls spread whose ids begin with that; with "", those of the legs of a duel.
func (r *report) latencies(first string) []series {
	var lines lineSet
	for _, m := range r.measures {
		name, ok := strings.CutPrefix(m.ID, first)
		if m.Figures == nil || !ok || first == "" && m.Ratio != nil {
			continue
		}
		for i, ms := range m.Figures.Latency {
			lines.add(name, 1e6*(1-latencyQuantiles[i]), ms)
		}
	}
	return lines.all
}

// byNumber are the measures whose ids are kind-…-n: a line for each kind. Titles name those that are shown; nil: all, by
// what stands between.
func (r *report) byNumber(kind string, titles map[string]string) []series {
	var lines lineSet
	for _, m := range r.measures {
		end := strings.LastIndexByte(m.ID, '-')
		if m.Ratio == nil || end < 0 || !strings.HasPrefix(m.ID, kind) {
			continue
		}
		name := titles[m.ID[:end]]
		if titles == nil {
			name = strings.TrimPrefix(m.ID[:end], kind+"-")
		}
		if at, err := strconv.ParseFloat(m.ID[end+1:], 64); err == nil && name != "" {
			lines.add(name, at, *m.Ratio)
		}
	}
	return lines.all
}

// lineSet keeps lines in the order in which they come.
type lineSet struct{ all []series }

func (l *lineSet) add(name string, x, y float64) {
	if x <= 0 || y <= 0 {
		return
	}
	for i := range l.all {
		if l.all[i].Name == name {
			l.all[i].Points = append(l.all[i].Points, [2]float64{x, y})
			return
		}
	}
	l.all = append(l.all, series{name, [][2]float64{{x, y}}})
}

// The measures of a picture, in its own units.
const plotLeft, plotTop, plotWidth, plotHeight = 60.0, 10.0, 420.0, 220.0

var colors = []string{"#1f77b4", "#d62728", "#2ca02c", "#ff7f0e", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f"}

// axis is where numbers from low to high stand, by their logarithm, on a length.
type axis struct{ low, high float64 }

func (c chart) axis(of int) axis {
	a := axis{math.Inf(1), 0}
	for _, l := range c.Lines {
		for _, p := range l.Points {
			a.low, a.high = min(a.low, p[of]), max(a.high, p[of])
		}
	}
	// Whole powers of ten at both ends, and room where all is one number.
	a.low, a.high = math.Pow(10, math.Floor(math.Log10(a.low))), math.Pow(10, math.Ceil(math.Log10(a.high)))
	if a.low == a.high {
		a.high *= 10
	}
	return a
}

func (a axis) at(v float64) float64 { return math.Log10(v/a.low) / math.Log10(a.high/a.low) }

// SVG draws it.
func (c chart) SVG() template.HTML {
	x, y := c.axis(0), c.axis(1)
	var b strings.Builder
	text := func(at, down float64, anchor, s string) {
		fmt.Fprintf(&b, `<text x="%.0f" y="%.0f" text-anchor="%s">%s</text>`, at, down, anchor, template.HTMLEscapeString(s))
	}
	fmt.Fprintf(&b, `<svg viewBox="0 0 660 280" width="660" height="280" role="img"><rect x="%g" y="%g" width="%g" height="%g" fill="none" stroke="#ccc"/>`,
		plotLeft, plotTop, plotWidth, plotHeight)
	for v := x.low; v <= x.high*1.01; v *= 10 {
		at := plotLeft + plotWidth*x.at(v)
		fmt.Fprintf(&b, `<path d="M%.1f %g v%g" stroke="#eee"/>`, at, plotTop, plotHeight)
		text(at, plotTop+plotHeight+15, "middle", strconv.FormatFloat(v, 'g', -1, 64))
	}
	for v := y.low; v <= y.high*1.01; v *= 10 {
		down := plotTop + plotHeight*(1-y.at(v))
		fmt.Fprintf(&b, `<path d="M%g %.1f h%g" stroke="#eee"/>`, plotLeft, down, plotWidth)
		text(plotLeft-5, down+4, "end", strconv.FormatFloat(v, 'g', -1, 64))
	}
	text(plotLeft+plotWidth/2, plotTop+plotHeight+35, "middle", c.Across)
	text(plotLeft, plotTop+plotHeight+35, "middle", c.Up+" ↑")
	for i, l := range c.Lines {
		color := colors[i%len(colors)]
		var path []string
		for _, p := range l.Points {
			px, py := plotLeft+plotWidth*x.at(p[0]), plotTop+plotHeight*(1-y.at(p[1]))
			path = append(path, fmt.Sprintf("%.1f,%.1f", px, py))
			fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"><title>%s: %g, %g</title></circle>`, px, py, color, template.HTMLEscapeString(l.Name), p[0], p[1])
		}
		fmt.Fprintf(&b, `<polyline fill="none" stroke="%s" stroke-width="1.5" points="%s"/><g fill="%s">`, color, strings.Join(path, " "), color)
		text(plotLeft+plotWidth+10, plotTop+14+16*float64(i), "start", l.Name)
		b.WriteString("</g>")
	}
	b.WriteString("</svg>")
	return template.HTML(b.String()) //nolint:gosec // every text in it is escaped above
}

// bar is a measure beside its goal: how much of the goal it is, with its range, on a scale that ends at twice the goal.
type bar struct {
	measure
	Value, Low, High float64 // percent of the scale, of which the goal is the middle
}

func (r *report) bars() []bar {
	var all []bar
	for _, m := range r.measures {
		if m.Goal == nil || *m.Goal == 0 {
			continue
		}
		share := func(v float64) float64 { return min(100, 50*v / *m.Goal) }
		all = append(all, bar{m, share(*m.Ratio), share(*m.Min), share(*m.Max)})
	}
	return all
}

var page = template.Must(template.New("page").Parse(`<!doctype html><html lang="en"><meta charset="utf-8"><title>Stayhold: how fast</title>
<style>body{font:14px sans-serif;margin:2em;max-width:1400px}svg{font:12px sans-serif}figure{display:inline-block;margin:0 1em 1em 0}
td{padding:1px 8px}.scale{position:relative;width:300px;height:12px;background:#eee}.scale i{position:absolute;top:0;height:12px}
.goal{left:50%;width:2px;background:#000}.range{opacity:.35}.met{background:#2ca02c}.missed{background:#d62728}</style>
<h1>How fast</h1>
{{if .Bars}}<p>Each measure beside its goal, which is the black line; the pale part is its range over the rounds.</p>
<table>{{range .Bars}}<tr><td>{{.ID}}<td>{{.Name}}<td>{{.Ratio}} {{.Unit}}<td>{{.Op}} {{.Goal}}<td><div class="scale">
<i class="{{if .Met}}met{{else}}missed{{end}}" style="left:0;width:{{.Value}}%"></i><i class="range {{if .Met}}met{{else}}missed{{end}}" style="left:0;width:{{.High}}%"></i>
<i class="goal"></i></div>{{end}}</table>{{end}}
{{range .Charts}}<figure><figcaption>{{.Title}}</figcaption>{{.SVG}}</figure>{{end}}</html>
`))

// picture writes the page of charts, whole or not at all.
func (r *report) picture(path string) error {
	f, err := os.Create(path + ".new")
	if err != nil {
		return err
	}
	err = page.Execute(f, struct {
		Bars   []bar
		Charts []chart
	}{r.bars(), r.charts()})
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
