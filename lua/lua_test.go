package lua_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"stayhold/lua"
)

const maxLines = 80

func TestEveryFileIsAScript(t *testing.T) {
	files, err := filepath.Glob("*.lua")
	if err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for _, f := range files {
		want = append(want, strings.TrimSuffix(f, ".lua"))
	}
	for _, s := range lua.Scripts {
		got = append(got, s.Name)
		text, err := os.ReadFile(s.Name + ".lua")
		if err != nil {
			t.Fatal(err)
		}
		if s.Source != string(text) {
			t.Errorf("%s: the embedded text is not the file's", s.Name)
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("scripts are %v, files are %v", got, want)
	}
}

func TestHeaderAgreesWithBody(t *testing.T) {
	for _, s := range lua.Scripts {
		t.Run(s.Name, func(t *testing.T) {
			for _, fault := range faults(s.Source) {
				t.Error(fault)
			}
		})
	}
}

// The check itself has to notice each way in which a header can be wrong.
func TestCheckNoticesFaults(t *testing.T) {
	good := lua.PlaceHold.Source
	for name, edit := range map[string][2]string{
		"key missing in header":      {"-- KEYS[4] stayhold:{<product id>}:marks    HASH    user -> reconcile nonce\n", ""},
		"key missing in body":        {"HDEL', KEYS[4], user", "HDEL', KEYS[3], user"},
		"key without type":           {":tokens   HASH    user", ":tokens   user"},
		"argument missing in header": {"-- ARGV[2] token of the new hold\n", ""},
		"argument missing in body":   {"ARGV[1], ARGV[2]", "ARGV[1], ARGV[1]"},
		"code missing in header":     {"--   {'CLOSED'}                    the sale is over\n", ""},
		"code missing in body":       {"return answer({'CLOSED'}) end", "return answer({'INACTIVE'}) end"},
		"no sentence":                {"-- Admits one user to one product and holds one unit for him, or says why not.\n", ""},
		"too long":                   {"\nlocal user", strings.Repeat("\n", maxLines) + "local user"},
	} {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(good, edit[0]) {
				t.Fatalf("%q is not in the script", edit[0])
			}
			if len(faults(strings.Replace(good, edit[0], edit[1], 1))) == 0 {
				t.Error("not noticed")
			}
		})
	}
}

var (
	sentence   = regexp.MustCompile(`^-- [A-Z][^\n]*\.\n--\n`)
	headerName = regexp.MustCompile(`(?m)^-- ((?:KEYS|ARGV)\[\d+(?:\.\.\.)?\]) `)
	headerKey  = regexp.MustCompile(`^-- KEYS\[\d+\] stayhold:\{<product id>\}:[a-z]+ +(?:HASH|ZSET|STRING) +\S`)
	headerCode = regexp.MustCompile(`(?m)^--   \{?(?:'([A-Z_]+)'|(\d+)  )`)
	bodyName   = regexp.MustCompile(`(?:KEYS|ARGV)\[\d+\]`)
	bodyRest   = regexp.MustCompile(`(?m)^local first = (\d+)\nwhile ARGV\[first\] do$`)
	bodyCode   = regexp.MustCompile(`\breturn (?:answer\()?\{?(?:'([A-Z_]+)'|(\d+)\b)`)
)

// faults compares the header of a script with its body: keys, arguments and answers.
func faults(source string) []string {
	var found []string
	add := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }

	header, body, ok := strings.Cut(source, "\n\n")
	if !ok || !sentence.MatchString(header) {
		add("the file does not begin with a header whose first line is one sentence")
	}
	if lines := strings.Count(source, "\n"); lines > maxLines {
		add("%d lines are more than %d", lines, maxLines)
	}
	for line := range strings.Lines(header) {
		if strings.HasPrefix(line, "-- KEYS[") && !headerKey.MatchString(line) {
			add("no pattern, type and meaning: %s", line)
		}
	}

	named, used := map[string]bool{}, map[string]bool{}
	for _, m := range headerName.FindAllStringSubmatch(header, -1) {
		named[m[1]] = true
	}
	for _, m := range bodyName.FindAllString(body, -1) {
		used[m] = true
	}
	for _, m := range bodyRest.FindAllStringSubmatch(body, -1) {
		used["ARGV["+m[1]+"...]"] = true
	}
	if !maps.Equal(named, used) {
		add("the header names %v, the body uses %v", sorted(named), sorted(used))
	}

	_, returns, ok := strings.Cut(header, "\n-- Returns")
	if !ok {
		add("the header does not say what is returned")
	}
	said, answered := codes(headerCode, returns), codes(bodyCode, body)
	if !maps.Equal(said, answered) {
		add("the header tells of the answers %v, the body gives %v", sorted(said), sorted(answered))
	}
	return found
}

func codes(pattern *regexp.Regexp, text string) map[string]bool {
	set := map[string]bool{}
	for _, m := range pattern.FindAllStringSubmatch(text, -1) {
		set[m[1]+m[2]] = true
	}
	return set
}

func sorted(set map[string]bool) []string { return slices.Sorted(maps.Keys(set)) }
