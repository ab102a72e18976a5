package api

import (
	"time"
	"unicode/utf8"
)

// dialect says which characters are escaped in a string beyond those that JSON demands.
type dialect int

const (
	asJSON dialect = iota // encoding/json's, without the escapes for HTML
	asHTML                // encoding/json's own: <, > and & too
	asLog                 // slog's, and the control characters that JSON may leave as they are
)

// appendText writes a text as a JSON string.
func appendText[T ~string | ~[]byte](to []byte, text T, d dialect) []byte {
	to = append(to, '"')
	from := 0
	for i := 0; i < len(text); {
		c := text[i]
		if c > '>' && c < 0x7f && c != '\\' || c >= '(' && c < '<' || c == ' ' { // most of them
			i++
			continue
		}
		r, size := rune(c), 1
		if c >= utf8.RuneSelf {
			r, size = utf8.DecodeRuneInString(string(text[i:min(i+utf8.UTFMax, len(text))]))
		}
		if d.escapes(r, size) {
			to = d.escaped(append(to, text[from:i]...), r)
			from = i + size
		}
		i += size
	}
	return append(append(to, text[from:]...), '"')
}

// escapes says whether a character is not written as it is; of one that is no UTF-8 the
// size is 1.
func (d dialect) escapes(r rune, size int) bool {
	switch {
	case r >= ' ' && r < 0x7f:
		return r == '"' || r == '\\' || d == asHTML && (r == '<' || r == '>' || r == '&')
	case r < ' ':
		return true
	case r <= 0x9f: // DEL and beyond: some terminals obey them
		return d == asLog
	}
	return r == '\u2028' || r == '\u2029' || r == utf8.RuneError && size == 1
}

func (d dialect) escaped(to []byte, r rune) []byte {
	switch r {
	case '"', '\\':
		return append(to, '\\', byte(r))
	case '\n':
		return append(to, `\n`...)
	case '\r':
		return append(to, `\r`...)
	case '\t':
		return append(to, `\t`...)
	case '\b', '\f':
		if d != asLog {
			return append(to, '\\', "b...f"[r-'\b'])
		}
	}
	const hex = "0123456789abcdef"
	return append(to, '\\', 'u', hex[r>>12&0xf], hex[r>>8&0xf], hex[r>>4&0xf], hex[r&0xf])
}

// appendInstant writes a time in UTC with milliseconds, or null for no time at all.
func appendInstant(to []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(to, "null"...)
	}
	return append(t.UTC().AppendFormat(append(to, '"'), milliseconds), '"')
}
