package stacktest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a line of the system's list of processes.
type process struct {
	pid, parent int
	args        string
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
		// One that ends while we read is none.
		stat, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue
		}
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		if len(fields) < 2 || fields[0] == "Z" {
			continue
		}
		parent, err := strconv.Atoi(fields[1])
		if err != nil {
			return nil, err
		}
		args, err := os.ReadFile("/proc/" + e.Name() + "/cmdline")
		if err != nil {
			continue
		}
		all = append(all, process{pid, parent, strings.ReplaceAll(string(args), "\x00", " ")})
	}
	return all, nil
}

func listed() ([]process, error) {
	out, err := exec.Command("ps", "-axo", "pid=,ppid=,args=").Output()
	if err != nil {
		return nil, err
	}
	var all []process
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if len(fields) < 3 {
			continue
		}
		pid, err := strconv.Atoi(fields[0])
		if err != nil {
			return nil, err
		}
		parent, err := strconv.Atoi(fields[1])
		if err != nil {
			return nil, err
		}
		all = append(all, process{pid, parent, strings.Join(fields[2:], " ")})
	}
	return all, nil
}

// descendants are the children of a process, theirs, and so on.
func descendants(of int) ([]process, error) {
	all, err := processes()
	if err != nil {
		return nil, err
	}
	family := map[int]bool{of: true}
	var found []process
	for grown := true; grown; {
		grown = false
		for _, p := range all {
			if family[p.parent] && !family[p.pid] {
				family[p.pid], grown = true, true
				found = append(found, p)
			}
		}
	}
	return found, nil
}

// children are the processes of the stack whose command line has the text, direct children of the front only.
func (s *stack) children(text string) ([]process, error) {
	all, err := processes()
	if err != nil {
		return nil, err
	}
	var found []process
	for _, p := range all {
		if p.parent == s.cmd.Process.Pid && strings.Contains(p.args, text) {
			found = append(found, p)
		}
	}
	return found, nil
}

// nobodyLeft reports those of the processes, and any other that has the folder on its command line, which still run.
// The kernel may need a moment to take them off its list.
func nobodyLeft(dir string, known []process) error {
	deadline := time.Now().Add(2 * time.Second)
	for {
		all, err := processes()
		if err != nil {
			return err
		}
		was := map[process]bool{}
		for _, p := range known {
			was[process{pid: p.pid, args: p.args}] = true
		}
		var left []error
		for _, p := range all {
			if was[process{pid: p.pid, args: p.args}] || strings.Contains(p.args, dir+"/") {
				left = append(left, fmt.Errorf("left running: %d %s", p.pid, p.args))
			}
		}
		if len(left) == 0 || time.Now().After(deadline) {
			return errors.Join(left...)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// gone reports which of the processes still run.
func gone(known []process) error {
	all, err := processes()
	if err != nil {
		return err
	}
	var left []error
	for _, p := range all {
		for _, k := range known {
			if p.pid == k.pid && p.args == k.args {
				left = append(left, fmt.Errorf("still runs: %d %s", p.pid, p.args))
			}
		}
	}
	return errors.Join(left...)
}

func kill9(pid int) error { return syscall.Kill(pid, syscall.SIGKILL) }
