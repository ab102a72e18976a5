package main

import (
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"stayhold/functions/local/harness"
)

// cpuOrder is who spends processor time: in this process's duels, then in the local stack.
var cpuOrder = []string{"process", "all", "buyers", "front", "functions", "postgres", "redis"}

// parts sorts the processes of a stack: the front, its functions' environments, and its servers with their children.
func parts(front int, all []harness.Process) map[string][]harness.Process {
	sorted := map[string][]harness.Process{}
	for _, p := range harness.Family(front, all) {
		switch {
		case p.PID == front:
			sorted["front"] = append(sorted["front"], p)
		case p.Parent != front:
			// Only Postgres has children of its own.
			sorted["postgres"] = append(sorted["postgres"], p)
		case p.Function() != "":
			sorted["functions"] = append(sorted["functions"], p)
		case strings.Contains(p.Args, "redis-server"):
			sorted["redis"] = append(sorted["redis"], p)
		default:
			sorted["postgres"] = append(sorted["postgres"], p)
		}
	}
	return sorted
}

// spent is the processor time of each part so far; empty where the system does not tell.
func (m *mall) spent() (map[string]time.Duration, error) {
	all, err := harness.Processes()
	if err != nil {
		return nil, err
	}
	total := map[string]time.Duration{}
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		return total, nil
	}
	for name, members := range parts(m.front.Pid(), all) {
		for _, p := range members {
			total[name] += p.CPU
			if name != "front" {
				total[name] += p.ChildCPU
			}
		}
	}
	return total, nil
}

// memories is what the environments of each function had in memory, in MiB: the largest at any look, and its peak.
type memories map[string]struct{ now, peak float64 }

// look notes what they have now.
func (m memories) look(front int) error {
	all, err := harness.Processes()
	if err != nil {
		return err
	}
	for _, p := range parts(front, all)["functions"] {
		now, peak, ok := p.Memory()
		if !ok {
			continue // it ended in this moment
		}
		most := m[p.Function()]
		most.now, most.peak = max(most.now, now), max(most.peak, peak)
		m[p.Function()] = most
	}
	return nil
}

// report judges the peak: goal and limit hold at every moment.
func (m memories) report(r *report) {
	for _, name := range slices.Sorted(maps.Keys(m)) {
		most := m[name]
		r.goal("12b-"+strings.ToLower(strings.TrimSuffix(name, "Function")), "largest environment of "+name+": peak memory",
			spread{median: most.peak, min: most.now, max: most.peak}, atMost, memoryGoal)
		m := &r.measures[len(r.measures)-1]
		m.Unit, m.binding = "MiB", most.peak > memoryLimit
	}
}
