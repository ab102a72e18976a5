package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// tick is the unit in which Linux tells processor time; it is the same on every machine that Go runs on.
const tick = 10 * time.Millisecond

// process is a line of the system's list of processes.
type process struct {
	pid, parent int
	args        string
	cpu         time.Duration // its own; 0 without /proc
	childCPU    time.Duration // of its children that have ended
	rss         int64         // KiB, where the list tells it
}

// processes lists what runs on this machine: from /proc where there is one, otherwise from ps.
func processes() ([]process, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return listed()
	}
	var all []process
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
		p := process{pid: pid, args: string(bytes.ReplaceAll(args, []byte{0}, []byte{' '}))}
		if p.readStat(string(stat)) {
			all = append(all, p)
		}
	}
	return all, nil
}

// readStat reads the fields behind the name, which may hold anything.
func (p *process) readStat(stat string) bool {
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
	p.parent, p.cpu, p.childCPU = int(n[0]), time.Duration(n[1]+n[2])*tick, time.Duration(n[3]+n[4])*tick
	return true
}

func listed() ([]process, error) {
	out, err := exec.Command("ps", "-axo", "pid=,ppid=,rss=,args=").Output()
	if err != nil {
		return nil, fmt.Errorf("ps: %w", err)
	}
	var all []process
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
		all = append(all, process{pid: int(n[0]), parent: int(n[1]), rss: n[2], args: strings.Join(fields[3:], " ")})
	}
	return all, nil
}

// family is a process, its children, theirs, and so on.
func family(of int, all []process) []process {
	members := map[int]bool{}
	var found []process
	for grown := true; grown; {
		grown = false
		for _, p := range all {
			if !members[p.pid] && (p.pid == of || members[p.parent]) {
				members[p.pid], grown = true, true
				found = append(found, p)
			}
		}
	}
	return found
}

// memory is what a process has in memory now, and the most that it ever had, in MiB. Without /proc both are the present
// one. False: the process is gone.
func (p process) memory() (now, peak float64, ok bool) {
	if p.rss > 0 {
		return float64(p.rss) / 1024, float64(p.rss) / 1024, true
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid))
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

// clocks is processor time spent so far: by this process, and by it and all that it started (0 without /proc).
type clocks struct{ own, family time.Duration }

func readClocks() clocks {
	var c clocks
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) == nil {
		c.own = time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	}
	all, err := processes()
	if err != nil {
		return c // what is not known is not told
	}
	for _, p := range family(os.Getpid(), all) {
		if p.pid == os.Getpid() && p.cpu > 0 {
			p.cpu = c.own // to the microsecond
		}
		c.family += p.cpu + p.childCPU
	}
	return c
}
