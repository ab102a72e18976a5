package stacktest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"stayhold/functions/local/harness"
)

// descendants are the children of a process, theirs, and so on.
func descendants(of int) ([]harness.Process, error) {
	all, err := harness.Processes()
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(harness.Family(of, all), func(p harness.Process) bool { return p.PID == of }), nil
}

// children are the processes of the stack whose command line has the text, direct children of the front only.
func (s *stack) children(text string) ([]harness.Process, error) {
	all, err := harness.Processes()
	if err != nil {
		return nil, err
	}
	var found []harness.Process
	for _, p := range all {
		if p.Parent == s.cmd.Process.Pid && strings.Contains(p.Args, text) {
			found = append(found, p)
		}
	}
	return found, nil
}

// nobodyLeft reports those of the processes, and any other that has the folder on its command line, which still run.
// The kernel may need a moment to take them off its list.
func nobodyLeft(dir string, known []harness.Process) error {
	deadline := time.Now().Add(2 * time.Second)
	for {
		all, err := harness.Processes()
		if err != nil {
			return err
		}
		type one struct {
			pid  int
			args string
		}
		was := map[one]bool{}
		for _, p := range known {
			was[one{p.PID, p.Args}] = true
		}
		var left []error
		for _, p := range all {
			if was[one{p.PID, p.Args}] || strings.Contains(p.Args, dir+"/") {
				left = append(left, fmt.Errorf("left running: %d %s", p.PID, p.Args))
			}
		}
		if len(left) == 0 || time.Now().After(deadline) {
			return errors.Join(left...)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// gone reports which of the processes still run.
func gone(known []harness.Process) error {
	all, err := harness.Processes()
	if err != nil {
		return err
	}
	var left []error
	for _, p := range all {
		for _, k := range known {
			if p.PID == k.PID && p.Args == k.Args {
				left = append(left, fmt.Errorf("still runs: %d %s", p.PID, p.Args))
			}
		}
	}
	return errors.Join(left...)
}

func kill9(pid int) error { return syscall.Kill(pid, syscall.SIGKILL) }
