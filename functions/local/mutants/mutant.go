package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// mutant is the program with one fault. Where two guards stand behind each other it takes both away: what is proved is
// that the tests see the fault, not which guard was first.
type mutant struct {
	name   string
	why    string // what goes wrong with it, in one line
	edits  []edit
	killer killer
}

// edit replaces a text that occurs exactly once in a file.
type edit struct {
	file   string // from the root of the module, with slashes
	before string
	after  string
}

// killer is the test that has to be red.
type killer struct {
	dir  string // of its package, from the root of the module
	test string
}

func (k killer) String() string { return k.dir + " " + k.test }

// mutants lists all of them, in the order of the table.
func mutants() []mutant {
	return slices.Concat(orderMutants, gateMutants, routineMutants, leaseMutants, stepMutants, moneyMutants, adapterMutants, edgeMutants, guardMutants)
}

// apply gives the changed files of the mutant, by their names.
func (m mutant) apply(root string) (map[string]string, error) {
	changed := map[string]string{}
	for _, e := range m.edits {
		text, ok := changed[e.file]
		if !ok {
			raw, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(e.file)))
			if err != nil {
				return nil, err
			}
			text = string(raw)
		}
		if n := strings.Count(text, e.before); n != 1 {
			return nil, fmt.Errorf("%s has %d times, not once: %s", e.file, n, e.before)
		}
		changed[e.file] = strings.Replace(text, e.before, e.after, 1)
	}
	return changed, nil
}

// markdown is the table of the README.
func markdown(list []mutant) string {
	var b strings.Builder
	b.WriteString("| mutant | what goes wrong with it | killed by |\n| --- | --- | --- |\n")
	for _, m := range list {
		fmt.Fprintf(&b, "| `%s` | %s | `%s` in `%s` |\n", m.name, strings.ReplaceAll(m.why, "|", "\\|"), m.killer.test, m.killer.dir)
	}
	return b.String()
}
