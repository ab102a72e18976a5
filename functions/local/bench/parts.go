package main

import (
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"time"
)

// cpuOrder is who spends processor time: in this process's duels, then in the local stack.
var cpuOrder = []string{"process", "all", "buyers", "front", "functions", "postgres", "redis"}

// parts sorts the processes of a stack: the front, its functions' environments, and its servers with their children.
func parts(front int, all []process) map[string][]process {
	sorted := map[string][]process{}
	for _, p := range family(front, all) {
		switch {
		case p.pid == front:
			sorted["front"] = append(sorted["front"], p)
		case p.parent != front:
			// Only Postgres has children of its own.
			sorted["postgres"] = append(sorted["postgres"], p)
		case functionOf(p) != "":
			sorted["functions"] = append(sorted["functions"], p)
		case strings.Contains(p.args, "redis-server"):
			sorted["redis"] = append(sorted["redis"], p)
		default:
			sorted["postgres"] = append(sorted["postgres"], p)
		}
	}
	return sorted
}

// functionOf is the name of the function whose environment the process is; empty if it is none.
func functionOf(p process) string {
	command, _, _ := strings.Cut(p.args, " ")
	if path.Base(command) != "bootstrap" {
		return ""
	}
	return path.Base(path.Dir(command))
}

// spent is the processor time of each part so far; empty where the system does not tell.
func (m *mall) spent() (map[string]time.Duration, error) {
	all, err := processes()
	if err != nil {
		return nil, err
	}
	total := map[string]time.Duration{}
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		return total, nil
	}
	for name, members := range parts(m.front.cmd.Process.Pid, all) {
		for _, p := range members {
			total[name] += p.cpu
			if name != "front" {
				total[name] += p.childCPU
			}
		}
	}
	return total, nil
}

// memories is what the environments of each function had in memory, in MiB: the largest at any look, and its peak.
type memories map[string]struct{ now, peak float64 }

// look notes what they have now.
func (m memories) look(front int) error {
	all, err := processes()
	if err != nil {
		return err
	}
	for _, p := range parts(front, all)["functions"] {
		now, peak, ok := p.memory()
		if !ok {
			continue // it ended in this moment
		}
		most := m[functionOf(p)]
		most.now, most.peak = max(most.now, now), max(most.peak, peak)
		m[functionOf(p)] = most
	}
	return nil
}

// report judges the peak: the limit holds at every moment.
func (m memories) report(r *report) {
	for _, name := range slices.Sorted(maps.Keys(m)) {
		most := m[name]
		r.limit("memory-"+strings.TrimSuffix(name, "Function"), "largest environment of "+name+": peak memory", "MiB",
			spread{median: most.peak, min: most.now, max: most.peak}, memoryLimit)
	}
}
