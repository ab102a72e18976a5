package servertest

import (
	"errors"
	"fmt"
	"net"
	"os/exec"
	"regexp"
	"strconv"
	"syscall"
)

// Major asks a program for its --version and returns the number that pattern's first group matches in the answer; false
// if it does not run or says something else.
func Major(program string, pattern *regexp.Regexp) (int, bool) {
	out, err := exec.Command(program, "--version").Output()
	if err != nil {
		return 0, false
	}
	m := pattern.FindSubmatch(out)
	if m == nil {
		return 0, false
	}
	major, err := strconv.Atoi(string(m[1]))
	return major, err == nil
}

// FreePort returns a TCP port of 127.0.0.1 that nobody listens on: want itself unless it is 0. Its error is one line for
// a person.
func FreePort(want int) (int, error) {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", want))
	if err != nil {
		if want != 0 && errors.Is(err, syscall.EADDRINUSE) {
			return 0, fmt.Errorf("port %d is taken: stop what listens there, or choose another port", want)
		}
		return 0, err
	}
	port := l.Addr().(*net.TCPAddr).Port
	return port, l.Close()
}
