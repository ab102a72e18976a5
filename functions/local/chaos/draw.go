package main

import (
	"fmt"
	"strings"
)

// curve is one number of every look.
type curve struct {
	name, color string
	of          func(look) float64
}

// panel is curves that share an axis.
type panel struct {
	title  string
	curves []curve
}

var panels = []panel{
	{"visits a second", []curve{{"visits/s", "#1f77b4", func(l look) float64 { return l.Visits }}}},
	{"processes killed", []curve{{"kills", "#7f7f7f", func(l look) float64 { return l.Kills }}}},
	{"violations", []curve{{"violations", "#d62728", func(l look) float64 { return l.Violations }}}},
	{"memory, MiB", []curve{
		{"front", "#ff7f0e", func(l look) float64 { return l.Front }},
		{"mean of an environment", "#2ca02c", func(l look) float64 { return l.Functions / max(l.Processes, 1) }},
	}},
	{"connections and goroutines", []curve{
		{"environments", "#2ca02c", func(l look) float64 { return l.Processes }},
		{"Postgres connections", "#1f77b4", func(l look) float64 { return l.Database }},
		{"Redis connections", "#d62728", func(l look) float64 { return l.Gate }},
		{"goroutines of the front", "#ff7f0e", func(l look) float64 { return l.Goroutines }},
	}},
	{"rows", []curve{
		{"outbox", "#1f77b4", func(l look) float64 { return l.Outbox }},
		{"idempotency_key", "#9467bd", func(l look) float64 { return l.Keys }},
		{"attempts owed something", "#d62728", func(l look) float64 { return l.Owed }},
		{"payment_attempt", "#8c564b", func(l look) float64 { return l.Attempts }},
		{"booking", "#7f7f7f", func(l look) float64 { return l.Bookings }},
	}},
}

// The picture's measures, in its own units.
const (
	plotLeft, plotWidth    = 60, 700
	panelHeight, panelStep = 90, 130
)

// draw is an SVG of the looks, a panel below the other.
func draw(looks []look) string {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="1000" height="%d" font-family="sans-serif" font-size="12">`+"\n", panelStep*len(panels)+40)
	b.WriteString(`<rect width="100%" height="100%" fill="white"/>` + "\n")
	last := 1.0
	if len(looks) > 0 {
		last = max(last, looks[len(looks)-1].At)
	}
	for i, p := range panels {
		top := 30 + i*panelStep
		most := 1.0
		for _, c := range p.curves {
			for _, l := range looks {
				most = max(most, c.of(l))
			}
		}
		fmt.Fprintf(&b, `<text x="%d" y="%d" font-weight="bold">%s</text>`+"\n", plotLeft, top-6, p.title)
		fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%d" height="%d" fill="none" stroke="#ccc"/>`+"\n", plotLeft, top, plotWidth, panelHeight)
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%.0f</text><text x="%d" y="%d" text-anchor="end">0</text>`+"\n",
			plotLeft-5, top+10, most, plotLeft-5, top+panelHeight)
		for j, c := range p.curves {
			var points []string
			for _, l := range looks {
				points = append(points, fmt.Sprintf("%.1f,%.1f", plotLeft+plotWidth*l.At/last, float64(top)+panelHeight*(1-c.of(l)/most)))
			}
			fmt.Fprintf(&b, `<polyline fill="none" stroke="%s" stroke-width="1.5" points="%s"/>`+"\n", c.color, strings.Join(points, " "))
			fmt.Fprintf(&b, `<text x="%d" y="%d" fill="%s">%s</text>`+"\n", plotLeft+plotWidth+10, top+14+16*j, c.color, c.name)
		}
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%.0f s</text>`+"\n</svg>\n", plotLeft+plotWidth, panelStep*len(panels)+30, last)
	return b.String()
}

// sparkline is a curve in one line of text, with its range.
func sparkline(looks []look, of func(look) float64) string {
	const bars = "▁▂▃▄▅▆▇█"
	if len(looks) == 0 {
		return ""
	}
	low, most := of(looks[0]), of(looks[0])
	for _, l := range looks {
		low, most = min(low, of(l)), max(most, of(l))
	}
	var b strings.Builder
	for _, l := range looks {
		height := 0
		if most > 0 {
			height = int(of(l) / most * 7)
		}
		b.WriteString(string([]rune(bars)[height]))
	}
	return fmt.Sprintf("%s %.1f … %.1f", b.String(), low, most)
}
