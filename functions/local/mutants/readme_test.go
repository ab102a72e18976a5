package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The table in this folder's README stands between these two lines.
const (
	tableBegins = "<!-- mutants: printed by go run ./functions/local/mutants -table -->\n"
	tableEnds   = "<!-- end of mutants -->\n"
)

func TestReadmeNamesEveryMutant(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("README.md")
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

// recordedFailures is how many rows the README's table of failures has.
const recordedFailures = 26

// TestReadmeNamesTestsThatExist looks for each test that the project's README names, and
// for a test in each row of its table of failures.
func TestReadmeNamesTestsThatExist(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	exists := map[string]bool{}
	err = filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == ".local" || entry.Name() == ".git"):
			return filepath.SkipDir
		case !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		source, err := os.ReadFile(path)
		for _, found := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllSubmatch(source, -1) {
			exists[string(found[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range regexp.MustCompile("`(Test\\w+)`").FindAllStringSubmatch(string(raw), -1) {
		if !exists[name[1]] {
			t.Errorf("README.md names %s, which is no test", name[1])
		}
	}
	_, after, _ := strings.Cut(string(raw), "<!-- failures -->\n")
	table, _, _ := strings.Cut(after, "<!-- end of failures -->\n")
	rows := lines(table)
	if len(rows) < recordedFailures+2 {
		t.Errorf("README.md's table of failures has %d rows, %d are recorded", len(rows)-2, recordedFailures)
	}
	for row := range rows {
		if strings.Count(row, "`Test") == 0 && !strings.HasPrefix(row, "| ---") && !strings.HasPrefix(row, "| where") {
			t.Errorf("no test shows: %s", row)
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
