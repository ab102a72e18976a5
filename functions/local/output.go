package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"stayhold/functions/local/httpapi"
)

const (
	// maxPending is how much output may wait for a terminal that does not read; what exceeds it is dropped.
	maxPending = 4 << 20
	// shownPerSecond is how many of a function's error lines are shown; all of them are in its log.
	shownPerSecond = 5
)

// printer writes lines to the terminal without making anybody wait for it.
type printer struct {
	to      io.Writer
	wake    chan struct{}
	done    chan struct{}
	once    sync.Once
	mu      sync.Mutex
	pending []byte
	closed  bool
}

func newPrinter(to io.Writer) *printer {
	p := &printer{to: to, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go p.flush()
	return p
}

func (p *printer) flush() {
	defer close(p.done)
	var spare []byte
	for range p.wake {
		p.mu.Lock()
		lines, closed := p.pending, p.closed
		p.pending = spare[:0]
		p.mu.Unlock()
		// A terminal that is gone is no reason to stop.
		_, _ = p.to.Write(lines)
		spare = lines
		if closed {
			return
		}
	}
}

func (p *printer) printf(format string, args ...any) {
	p.mu.Lock()
	if len(p.pending) < maxPending && !p.closed {
		p.pending = fmt.Appendf(p.pending, format+"\n", args...)
	}
	p.mu.Unlock()
	p.rouse()
}

func (p *printer) rouse() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// close writes what is left and returns when it is written.
func (p *printer) close() {
	p.once.Do(func() {
		p.mu.Lock()
		p.closed = true
		p.mu.Unlock()
		p.rouse()
	})
	<-p.done
}

// clock is the time of day that begins a line.
func clock() string { return time.Now().Format("15:04:05.000") }

// request writes the line of one request.
func (p *printer) request(e httpapi.Entry) {
	cold := ""
	if e.Cold {
		cold = "  cold"
	}
	p.printf("%s  %-6s %-44s %d %9.1f ms  %s%s", e.Time.Format("15:04:05.000"), e.Method, visible(e.Path), e.Status,
		float64(e.Took.Microseconds())/1000, strings.TrimSuffix(e.Function, "Function"), cold)
}

// visible keeps a caller from writing control characters to the terminal.
func visible(text string) string {
	if len(text) > 500 {
		text = text[:500] + "…"
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, text)
}

// functionLog is the log file of one function; its errors are shown on the terminal as well.
type functionLog struct {
	name string
	out  *printer
	file *os.File

	mu     sync.Mutex
	second int64
	shown  int
}

// openLog begins a new log and keeps the one before under the name of it with .1.
func openLog(dir, name string, out *printer) (*functionLog, error) {
	path := filepath.Join(dir, name+".log")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if err := os.Rename(path, path+".1"); err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	file, err := os.Create(path)
	return &functionLog{name: name, out: out, file: file}, err
}

// Write takes whole lines.
func (l *functionLog) Write(lines []byte) (int, error) {
	if bytes.Contains(lines, []byte(`"level":"ERROR"`)) || bytes.Contains(lines, []byte("panic: ")) {
		for line := range bytes.Lines(lines) {
			if bytes.Contains(line, []byte(`"level":"ERROR"`)) || bytes.HasPrefix(line, []byte("panic: ")) {
				l.show(line)
			}
		}
	}
	return l.file.Write(lines)
}

func (l *functionLog) show(line []byte) {
	l.mu.Lock()
	if now := time.Now().Unix(); now != l.second {
		l.second, l.shown = now, 0
	}
	l.shown++
	n := l.shown
	l.mu.Unlock()
	switch {
	case n == shownPerSecond:
		l.out.printf("%s  %s: … more in %s", clock(), l.name, l.file.Name())
	case n < shownPerSecond:
		l.out.printf("%s  %s: %s", clock(), l.name, summary(line))
	}
}

// summary takes the words for a person out of a structured line.
func summary(line []byte) string {
	var entry map[string]any
	if json.Unmarshal(line, &entry) != nil {
		return visible(strings.TrimSpace(string(line)))
	}
	var parts []string
	for _, name := range []string{"msg", "code", "bookingId", "error", "err"} {
		if v, ok := entry[name]; ok && v != "" {
			parts = append(parts, fmt.Sprint(v))
		}
	}
	return visible(strings.Join(parts, "  "))
}
