package main

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"stayhold/functions/local/harness"
)

// session is one run: a build, and a stack whose functions SAM runs.
type session struct {
	sam    string // the program
	flags  string // GOFLAGS of its builds
	work   string // the stack's folder
	build  string // where sam build puts its result; absolute once it is prepared
	log    string // what start-lambda and the functions say
	second string // see bridge
	host   string
	began  time.Time

	front  *harness.Front
	lambda *process
}

// say prints a line of progress.
func (s *session) say(format string, args ...any) {
	fmt.Printf("%6.1f s  %s\n", time.Since(s.began).Seconds(), fmt.Sprintf(format, args...))
}

// architecture is this machine's, in Lambda's words.
func architecture() string {
	if runtime.GOARCH == "arm64" {
		return "arm64"
	}
	return "x86_64"
}

func (s *session) overrides() []string {
	return []string{"--parameter-overrides", "Architecture=" + architecture()}
}

// prepare looks for what is needed and builds all functions.
func (s *session) prepare(ctx context.Context) (err error) {
	if err := needDocker(ctx); err != nil {
		return err
	}
	if err := needImage(ctx, architecture()); err != nil {
		return err
	}
	if s.second, s.host, err = bridge(ctx); err != nil {
		return err
	}
	if s.build, err = filepath.Abs(s.build); err != nil {
		return err
	}
	s.log = filepath.Join(s.work, "log", "sam.log")
	if err := os.MkdirAll(filepath.Dir(s.log), 0o755); err != nil {
		return err
	}
	// Of a run that was killed.
	if _, err := removeContainers(ctx, s.build); err != nil {
		return err
	}
	s.say("building the functions with sam build …")
	if err := s.run(ctx, append([]string{"build", "--parallel", "--build-dir", s.build}, s.overrides()...)...); err != nil {
		return err
	}
	s.say("built")
	return nil
}

// command is a call of sam. In a group of its own it is stopped from here, and not by the terminal.
func (s *session) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, s.sam, args...)
	cmd.SysProcAttr = ownGroup()
	// Nobody's AWS account is asked for anything, or shown to the functions.
	mine := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "AWS_") })
	cmd.Env = append(mine, "SAM_CLI_TELEMETRY=0", "AWS_DEFAULT_REGION=us-east-1", "AWS_EC2_METADATA_DISABLED=true",
		"AWS_CONFIG_FILE="+os.DevNull, "AWS_SHARED_CREDENTIALS_FILE="+os.DevNull,
		// As `make build` builds; linked with a C library, they would ask for it in the container.
		"CGO_ENABLED=0", "GOFLAGS="+s.flags)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // with that, it removes its container
	cmd.WaitDelay = 15 * time.Second
	return cmd
}

// run runs sam to its end. Its error holds what it said.
func (s *session) run(ctx context.Context, args ...string) error {
	if said, err := s.command(ctx, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("sam %s: %w\n%s", strings.Join(args, " "), err, said)
	}
	return nil
}

// local are the arguments that all commands of `sam local` share: the build, and how its containers reach this machine.
func (s *session) local(command string, args ...string) []string {
	all := []string{"local", command, "--template", filepath.Join(s.build, "template.yaml"), "--skip-pull-image",
		"--env-vars", filepath.Join(s.work, "functions.json"), "--add-host", "host.docker.internal:" + s.host}
	return append(append(all, s.overrides()...), args...)
}

// open starts the front and, once it has written down what the functions need, SAM's Lambda endpoint on the port.
func (s *session) open(ctx context.Context, port int, o harness.Options) error {
	o.Within = 3 * time.Minute // the first container waits for SAM to lay its emulator on the image
	o.Vars = append(o.Vars, fmt.Sprintf("AWS_ENDPOINT_URL_LAMBDA=http://127.0.0.1:%d", port), "ALSO_LISTEN="+s.second)
	variables := filepath.Join(s.work, "functions.json")
	if err := os.Remove(variables); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var err error
	opened := make(chan struct{})
	go func() {
		defer close(opened)
		s.front, err = harness.Open(ctx, o)
	}()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, missing := os.Stat(variables); missing == nil {
			break
		}
		select {
		case <-opened:
			return err
		case <-tick.C:
		}
	}
	var failed error
	if s.lambda, failed = s.start(ctx, s.log, "start-lambda", port); failed != nil {
		cancel()
		<-opened
		return failed
	}
	if <-opened; err == nil {
		s.say("the stack is up, with its functions in SAM's hands")
	}
	return err
}

// close stops all of it, callers first, and sees that no container is left.
func (s *session) close() error {
	if s.front != nil {
		s.front.Stop()
	}
	if s.lambda != nil {
		s.lambda.stop()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	_, err := removeContainers(ctx, s.build)
	return err
}

// freePort is a port of 127.0.0.1 that nobody listens on.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

// zipped is how large the file is in the package that would be deployed.
func zipped(path string) (int64, error) {
	in, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer func() { _ = in.Close() }()
	count := &counter{}
	z := zip.NewWriter(count)
	out, err := z.Create(filepath.Base(path))
	if err == nil {
		_, err = io.Copy(out, in)
	}
	err = errors.Join(err, z.Close()) // which counts the last bytes
	return count.n, err
}

// counter counts what is written to it.
type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}
