package servertest

import (
	"io"
	"strings"
	"sync"
)

// Tail is a server's output: it remembers the last 4 KiB for an error message. The zero value is ready.
type Tail struct {
	Next io.Writer // gets all of it too; nil drops it

	mu    sync.Mutex
	lines []byte
}

// Write takes note of p and passes it on; its errors are those of Next.
func (w *Tail) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines = append(w.lines, p...)
	if over := len(w.lines) - 4096; over > 0 {
		w.lines = append([]byte(nil), w.lines[over:]...)
	}
	if w.Next == nil {
		return len(p), nil
	}
	return w.Next.Write(p)
}

// Worst returns the last line that bears one of the marks, or the last line of all.
func (w *Tail) Worst(marks ...string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(string(w.lines)), "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		for _, mark := range marks {
			if strings.Contains(lines[i], mark) {
				return strings.TrimSpace(lines[i])
			}
		}
	}
	return strings.TrimSpace(lines[len(lines)-1])
}
