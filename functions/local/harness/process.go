package harness

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path"
	"strconv"
	"strings"
	"time"
)

// tick is the unit in which Linux tells processor time; it is the same on every machine that Go runs on.
const tick = 10 * time.Millisecond

// Process is a line of the system's list of processes.
type Process struct {
	PID, Parent int
	Args        string
	CPU         time.Duration // its own; 0 without /proc
	ChildCPU    time.Duration // of its children that have ended

	rss int64 // KiB, where the list tells it
}

// Processes lists what runs on this machine: from /proc where there is one, otherwise from ps.
func Processes() ([]Process, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return listed()
	}
	var all []Process
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		// One that ends while it is read is none.
		stat, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue
		}
		args, err := os.ReadFile("/proc/" + e.Name() + "/cmdline")
		if err != nil {
			continue
		}
		p := Process{PID: pid, Args: string(bytes.ReplaceAll(args, []byte{0}, []byte{' '}))}
		if p.readStat(string(stat)) {
			all = append(all, p)
		}
	}
	return all, nil
}

// readStat reads the fields behind the name, which may hold anything.
func (p *Process) readStat(stat string) bool {
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 15 || fields[0] == "Z" {
		return false
	}
	var n [5]int64
	for i, at := range []int{1, 11, 12, 13, 14} {
		var err error
		if n[i], err = strconv.ParseInt(fields[at], 10, 64); err != nil {
			return false
		}
	}
	p.Parent, p.CPU, p.ChildCPU = int(n[0]), time.Duration(n[1]+n[2])*tick, time.Duration(n[3]+n[4])*tick
	return true
}

func listed() ([]Process, error) {
	out, err := exec.Command("ps", "-axo", "pid=,ppid=,rss=,args=").Output()
	if err != nil {
		return nil, fmt.Errorf("ps: %w", err)
	}
	var all []Process
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if len(fields) < 4 {
			continue
		}
		var n [3]int64
		for i := range n {
			if n[i], err = strconv.ParseInt(fields[i], 10, 64); err != nil {
				return nil, fmt.Errorf("ps: %w", err)
			}
		}
		all = append(all, Process{PID: int(n[0]), Parent: int(n[1]), rss: n[2], Args: strings.Join(fields[3:], " ")})
	}
	return all, nil
}

// Family is a process, its children, theirs, and so on.
func Family(of int, all []Process) []Process {
	members := map[int]bool{}
	var found []Process
	for grown := true; grown; {
		grown = false
		for _, p := range all {
			if !members[p.PID] && (p.PID == of || members[p.Parent]) {
				members[p.PID], grown = true, true
				found = append(found, p)
			}
		}
	}
	return found
}

// Function is the name of the function whose environment the process is; empty if it is none.
func (p Process) Function() string {
	command, _, _ := strings.Cut(p.Args, " ")
	if path.Base(command) != "bootstrap" {
		return ""
	}
	return path.Base(path.Dir(command))
}

// Memory is what a process has in memory now, and the most that it ever had, in MiB. Without /proc both are the present
// one. False: the process is gone.
func (p Process) Memory() (now, peak float64, ok bool) {
	if p.rss > 0 {
		return float64(p.rss) / 1024, float64(p.rss) / 1024, true
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID))
	if err != nil {
		return 0, 0, false
	}
	read := func(name string) (v float64) {
		for line := range strings.Lines(string(status)) {
			if rest, found := strings.CutPrefix(line, name+":"); found {
				if kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64); err == nil {
					v = float64(kib) / 1024
				}
			}
		}
		return v
	}
	now, peak = read("VmRSS"), read("VmHWM")
	return now, peak, now > 0 && peak > 0
}
