package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode"

	"stayhold/shared/booking"
)

// A text from elsewhere cannot break a line, forge another, or steer a terminal.
func TestLogTakesWhateverTextComes(t *testing.T) {
	for _, text := range []string{
		"a\nb\r\t\x00\x1b[31m", "DEL \x7f", "C1 \u0080\u009b31m\u009f", "ends in \xc2", "\"}\n{\"level\":\"ERROR\"}",
		strings.Repeat("é", maxLogged), strings.Repeat("x", maxLogged+1),
	} {
		b := newBench()
		h := b.Sweep(func(context.Context) (booking.SweepReport, error) { return booking.SweepReport{}, errors.New(text) }, nothingLeft)
		if _, err := h.Invoke(context.Background(), nil); err != nil {
			t.Fatal(err)
		}
		line, rest, _ := strings.Cut(b.log.String(), "\n")
		var object map[string]any
		if rest != "" || json.Unmarshal([]byte(line), &object) != nil || strings.ContainsFunc(line, unicode.IsControl) || len(line) > 2*maxLogged {
			t.Errorf("%q: %q", short(text), short(b.log.String()))
		}
		if told, _ := object["error"].(string); len(text) < maxLogged && strings.ToValidUTF8(text, "\ufffd") != told {
			t.Errorf("%q: told as %q", text, told)
		}
	}
}

func short(text string) string { return text[:min(len(text), 200)] }

// The runtime sends a function's error on in a header, and ends the process when it
// cannot.
func TestRefusalsCanStandInAHeader(t *testing.T) {
	for _, name := range []string{"DEL \x7f", "line\nline", strings.Repeat("long ", 2000)} {
		payload, err := json.Marshal(map[string]any{"action": "audit", name: 1})
		if err != nil {
			t.Fatal(err)
		}
		_, err = newBench().Admin(&operator{}).Invoke(context.Background(), payload)
		if err == nil || strings.ContainsFunc(err.Error(), unicode.IsControl) || len(err.Error()) > maxLogged+200 {
			t.Errorf("%q: %q", short(name), err)
		}
	}
}

func TestEscapingTellsHowMuchItTook(t *testing.T) {
	var out bytes.Buffer
	for _, text := range []string{"plain\n", "DEL \x7f\n", "\u0085\n"} {
		if n, err := (escaping{&out}).Write([]byte(text)); n != len(text) || err != nil {
			t.Errorf("%q: %d %v", text, n, err)
		}
	}
	if out.String() != "plain\nDEL \\u007f\n\\u0085\n" {
		t.Errorf("%q", out.String())
	}
}
