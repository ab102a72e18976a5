package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The README's table stands between these two lines.
const (
	tableBegins = "<!-- mutants: printed by go run ./functions/local/mutants -table -->\n"
	tableEnds   = "<!-- end of mutants -->\n"
)

func TestReadmeNamesEveryMutant(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, after, begun := strings.Cut(string(raw), tableBegins)
	table, _, ended := strings.Cut(after, tableEnds)
	if !begun || !ended {
		t.Fatalf("README.md has no table of mutants between %q and %q", tableBegins, tableEnds)
	}
	has, wants := lines(table), lines(markdown(mutants()))
	for row := range wants {
		if !has[row] {
			t.Errorf("README.md lacks: %s", row)
		}
	}
	for row := range has {
		if !wants[row] {
			t.Errorf("README.md has too much: %s", row)
		}
	}
}

func lines(text string) map[string]bool {
	all := map[string]bool{}
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			all[line] = true
		}
	}
	return all
}
