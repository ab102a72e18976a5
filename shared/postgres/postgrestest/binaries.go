package postgrestest

import (
	"cmp"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"

	"stayhold/shared/servertest"
)

// oldest is the first major version whose SQL and settings the schema may use.
const oldest = 15

// ErrMissing says that no Postgres that is new enough is installed on this machine; its text says what to install.
var ErrMissing = errors.New("no Postgres 15 or newer is installed: `apt-get install postgresql`, or `brew install postgresql@17`")

var versionPattern = regexp.MustCompile(`\(PostgreSQL\) (\d+)`)

// binaries is the folder that has postgres and initdb of one major version.
type binaries struct {
	dir   string
	major int
}

func (b binaries) path(name string) string { return filepath.Join(b.dir, name) }

// findBinaries returns the installation to use: the one on PATH, then the newest known place. With major ≠ 0 only that
// version will do, since a data folder belongs to the version that made it.
func findBinaries(major int) (binaries, error) {
	var found []binaries
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/local/pgsql/bin",
		"/opt/homebrew/opt/postgresql*/bin", "/usr/local/opt/postgresql*/bin", "/home/linuxbrew/.linuxbrew/opt/postgresql*/bin",
		"/Applications/Postgres.app/Contents/Versions/*/bin",
	} {
		// The patterns are constants: Glob has nothing to object to.
		dirs, _ := filepath.Glob(pattern)
		for _, dir := range dirs {
			if b, ok := inspect(dir); ok {
				found = append(found, b)
			}
		}
	}
	slices.SortStableFunc(found, func(a, b binaries) int { return cmp.Compare(b.major, a.major) })
	if p, err := exec.LookPath("postgres"); err == nil {
		if real, err := filepath.EvalSymlinks(p); err == nil {
			if b, ok := inspect(filepath.Dir(real)); ok {
				found = slices.Insert(found, 0, b)
			}
		}
	}
	for _, b := range found {
		if b.major >= oldest && (major == 0 || b.major == major) {
			return b, nil
		}
	}
	if major != 0 && len(found) > 0 {
		return binaries{}, fmt.Errorf("the data was made by Postgres %d and the installed one is %d: install that version, or empty the data with `make clean-data`", major, found[0].major)
	}
	return binaries{}, ErrMissing
}

// inspect asks the postgres in dir for its version; false unless it answers and initdb lies beside it.
func inspect(dir string) (binaries, bool) {
	b := binaries{dir: dir}
	if _, err := exec.LookPath(b.path("initdb")); err != nil {
		return b, false
	}
	var ok bool
	b.major, ok = servertest.Major(b.path("postgres"), versionPattern)
	return b, ok
}
