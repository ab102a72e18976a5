package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../../.."

func TestMutantsApply(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for _, m := range mutants() {
		if names[m.name] || m.name == "" || m.why == "" || len(m.edits) == 0 {
			t.Errorf("%q: named twice, or something is missing", m.name)
		}
		names[m.name] = true
		changed, err := m.apply(root)
		if err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
		for file, text := range changed {
			raw, err := os.ReadFile(filepath.Join(root, file))
			if err != nil || string(raw) == text {
				t.Errorf("%s: %s is as it was: %v", m.name, file, err)
			}
		}
	}
}

func TestKillersExist(t *testing.T) {
	t.Parallel()
	tests := map[string]string{} // the tests of a package, by its folder
	for _, m := range mutants() {
		dir := m.killer.dir
		if tests[dir] == "" {
			files, err := filepath.Glob(filepath.Join(root, dir, "*_test.go"))
			if err != nil {
				t.Fatal(err)
			}
			for _, file := range files {
				raw, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				tests[dir] += string(raw)
			}
		}
		if !regexp.MustCompile(`(?m)^func ` + m.killer.test + `\(`).MatchString(tests[dir]) {
			t.Errorf("%s: there is no test %s", m.name, m.killer)
		}
	}
}

func TestChoose(t *testing.T) {
	t.Parallel()
	all := mutants()
	if got, err := choose(all, nil); err != nil || len(got) != len(all) {
		t.Errorf("all: %d, %v", len(got), err)
	}
	got, err := choose(all, []string{all[1].name, all[0].name})
	if err != nil || len(got) != 2 || got[0].name != all[1].name {
		t.Errorf("two: %v, %v", got, err)
	}
	if _, err := choose(all, []string{"no such"}); err == nil || !strings.Contains(err.Error(), "no such") {
		t.Errorf("unknown: %v", err)
	}
}

func TestEditMustBeUnique(t *testing.T) {
	t.Parallel()
	for _, before := range []string{"package", "no such text"} {
		m := mutant{edits: []edit{{"functions/local/mutants/main.go", before, "x"}}}
		if _, err := m.apply(root); err == nil {
			t.Errorf("applied: %q", before)
		}
	}
}
