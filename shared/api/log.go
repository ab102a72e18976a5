package api

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// newLog makes the process's log, one JSON object a line, and gives what the lines are
// written to. Without a writer that is stderr, and what the runtime and the libraries
// print becomes lines of it.
func newLog(w io.Writer, level slog.Level) (*slog.Logger, io.Writer) {
	own := w == nil
	if own {
		w = os.Stderr
	}
	w = &oneByOne{Writer: w}
	log := slog.New(slog.NewJSONHandler(escaping{w}, &slog.HandlerOptions{Level: level}))
	if own {
		slog.SetDefault(log)
		slog.SetLogLoggerLevel(slog.LevelError) // they print little, and mostly last words
	}
	return log, w
}

// oneByOne has lines written in one piece, whoever writes.
type oneByOne struct {
	io.Writer
	mu sync.Mutex
}

func (w *oneByOne) Write(lines []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.Writer.Write(lines)
}

// escaping writes JSON, and escapes the control characters that JSON may leave as they
// are: DEL, and those from U+0080 to U+009F, which some terminals obey.
type escaping struct{ io.Writer }

func (w escaping) Write(line []byte) (int, error) {
	if bytes.IndexByte(line, 0x7f) >= 0 || bytes.IndexByte(line, 0xc2) >= 0 {
		var out strings.Builder
		for _, r := range string(line) {
			if r != '\n' && unicode.IsControl(r) {
				_, _ = fmt.Fprintf(&out, `\u%04x`, r)
			} else {
				out.WriteRune(r)
			}
		}
		_, err := io.WriteString(w.Writer, out.String())
		return len(line), err
	}
	return w.Writer.Write(line)
}

// maxLogged bounds a text from elsewhere in a line of log: a line is kept in one piece.
const maxLogged = 4 << 10

// clipped is a text that is no longer than a line can bear.
func clipped(text string) string {
	if len(text) <= maxLogged {
		return text
	}
	end := maxLogged
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}

// oneLine is a text without control characters, and no longer than a line can bear: the
// runtime sends it on in a header.
func oneLine(text string) string {
	return clipped(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '?'
		}
		return r
	}, text))
}

// isRequestID says that an event's id is one that API Gateway may have made, whose own
// are some times shorter than the limit, which is the column's: it goes into log, answer
// and, with a key, the database.
func isRequestID(id string) bool {
	strange := func(r rune) bool { return r <= ' ' || r > '~' }
	return id != "" && len(id) <= 100 && !strings.ContainsFunc(id, strange)
}
