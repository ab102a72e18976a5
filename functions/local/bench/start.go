package main

import (
	"context"
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"stayhold/shared/postgres/postgrestest"
)

const (
	helloPackage = "./functions/local/bench/hello"
	// startsEach is how often each program is started in a round.
	startsEach = 6
	mebibyte   = 1 << 20
)

// program is a bootstrap that is started again and again.
type program struct {
	name  string
	path  string
	size  int64 // bytes
	queue bool  // SQS is linked
	tags  string
}

// startGroup measures what it takes until a function asks for its first work, how large it is, and what each library
// costs of both, beside the least that a function in Go can be.
func startGroup(ctx context.Context, b *bench) error {
	functions, err := b.functions()
	if err != nil {
		return err
	}
	hello, err := b.build(ctx, "hello", helloPackage, functions[0].tags)
	if err != nil {
		return err
	}
	for _, f := range functions {
		most := 2.05
		if f.queue {
			most = 2.2
		}
		b.report.goal("12a-"+f.name, "binary ÷ hello-world: "+f.name, spreadOf([]float64{float64(f.size) / float64(hello.size)}), atMost, most)
	}
	l, err := openLab(ctx, b.root, filepath.Join(b.work, "start"))
	if err != nil {
		return err
	}
	defer l.close()
	api, err := listenForNext()
	if err != nil {
		return err
	}
	defer api.Close()
	variables := []string{
		"DATABASE_URL=" + postgrestest.Functions(l.database), "REDIS_URL=" + l.redis,
		"PAYMENT_GATEWAY_URL=https://gateway.invalid", "PAYMENT_GATEWAY_SECRET=secret",
		"COMPENSATION_QUEUE_URL=https://sqs.us-east-1.amazonaws.com/000000000000/compensation",
	}
	times, err := b.starts(ctx, api, variables, append([]program{hello}, functions...))
	if err != nil {
		return err
	}
	for i, f := range functions {
		most := 1.15
		if f.queue {
			most = 1.25
		}
		b.report.goal("11-"+f.name, "exec to first /next ÷ hello-world: "+f.name, quotients(times[i+1], times[0]), atMost, most)
	}
	return b.weigh(ctx, api, hello)
}

// functions are the bootstraps that `make build` has made.
func (b *bench) functions() ([]program, error) {
	paths, err := filepath.Glob(filepath.Join(b.dir, "bin", "*Function", "bootstrap"))
	if err != nil {
		return nil, err
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("no function is below %s: run make build first", filepath.Join(b.dir, "bin"))
	}
	var all []program
	for _, path := range paths {
		if path, err = filepath.Abs(path); err != nil {
			return nil, err
		}
		name := strings.ToLower(strings.TrimSuffix(filepath.Base(filepath.Dir(path)), "Function"))
		f, err := measured(name, path)
		if err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	return all, nil
}

// measured looks at an executable.
func measured(name, path string) (program, error) {
	info, err := os.Stat(path)
	if err != nil {
		return program{}, err
	}
	built, err := buildinfo.ReadFile(path)
	if err != nil {
		return program{}, err
	}
	p := program{name: name, path: path, size: info.Size()}
	for _, one := range built.Settings {
		if one.Key == "-tags" {
			p.tags = one.Value
		}
	}
	for _, d := range built.Deps {
		p.queue = p.queue || strings.HasSuffix(d.Path, "/service/sqs")
	}
	return p, nil
}

// build builds a package, or one file, with the flags of the functions' and the tags that they bear.
func (b *bench) build(ctx context.Context, name, what, tags string) (program, error) {
	path, err := filepath.Abs(filepath.Join(b.work, "programs", name, "bootstrap"))
	if err != nil {
		return program{}, err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-tags", tags, "-trimpath", "-ldflags", "-s -w", "-o", path, what)
	cmd.Dir = b.root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return program{}, fmt.Errorf("go build %s: %w\n%s", what, err, out)
	}
	return measured(name, path)
}

// starts gives the milliseconds of each program's start: the median over those of each round. They take turns, one start
// after the other, and another one begins each time.
func (b *bench) starts(ctx context.Context, api runtimeAPI, variables []string, programs []program) ([][]float64, error) {
	times := make([][]float64, len(programs))
	for round := range b.rounds {
		began := time.Now()
		each := make([][]float64, len(programs))
		for n := range int(b.fewer(startsEach)) {
			for turn := range programs {
				i := (n + turn) % len(programs)
				took, err := api.start(ctx, programs[i], variables)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", programs[i].name, err)
				}
				each[i] = append(each[i], inMillis(took))
			}
		}
		line := ""
		for i, p := range programs {
			times[i] = append(times[i], spreadOf(each[i]).median)
			line += fmt.Sprintf("  %s %.1f", p.name, times[i][round])
		}
		b.say("%-10s round %d of %d, ms:%s  (%.1f s)", "start", round+1, b.rounds, line, time.Since(began).Seconds())
	}
	return times, nil
}
