package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"stayhold/functions/local/harness"
)

// cpuOrder is who spends processor time: in this process's duels, then in the local stack.
var cpuOrder = []string{"process", "all", "buyers", "front", "functions", "simulator", "postgres", "redis"}

// parts sorts what a process has started: the front of a stack, its functions' environments, the payment simulator, and
// the servers with their children.
func parts(root, front int, all []harness.Process) map[string][]harness.Process {
	sorted := map[string][]harness.Process{}
	for _, p := range harness.Family(root, all) {
		name := "postgres"
		switch {
		case p.PID == root:
			continue
		case p.PID == front:
			name = "front"
		case p.Function() == simulator:
			name = simulator
		case p.Function() != "":
			name = "functions"
		case strings.Contains(p.Args, "redis-server"):
			name = "redis"
		}
		sorted[name] = append(sorted[name], p)
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
	for name, members := range parts(os.Getpid(), m.front.Pid(), all) {
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
	for _, p := range parts(os.Getpid(), front, all)["functions"] {
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

// used tells what all environments together have in memory now, in MB; most 0: there is no goal.
func (m *mall) used(id, name string, most float64) error {
	all, err := harness.Processes()
	if err != nil {
		return err
	}
	functions := parts(os.Getpid(), m.front.Pid(), all)["functions"]
	sum := 0.0
	for _, p := range functions {
		now, _, _ := p.Memory() // one that ends in this moment has none
		sum += now * 1.048576
	}
	m.report.amount(id, fmt.Sprintf("%s: %d environments", name, len(functions)), "MB", spreadOf([]float64{sum})).aims(atMost, most)
	return nil
}

// report judges the peak: the goal holds at every moment.
func (m memories) report(r *report) {
	for _, name := range slices.Sorted(maps.Keys(m)) {
		most := m[name]
		r.amount("12b-"+strings.ToLower(strings.TrimSuffix(name, "Function")), "largest environment of "+name+": peak memory", "MiB",
			spread{median: most.peak, min: most.now, max: most.peak}).judged(atMost, memoryGoal)
	}
}
