package holdtest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"stayhold/shared/servertest"
)

func TestMain(m *testing.M) {
	servertest.Parent(func(dir string) (servertest.Process, error) { return Start(context.Background(), Config{Dir: dir}) })
	Main(m)
}

// startIn starts a server for one test and stops it with the test.
func startIn(t *testing.T, cfg Config) *Server {
	t.Helper()
	srv, err := Start(t.Context(), cfg)
	if err != nil {
		shared.Fail(t, err)
	}
	t.Cleanup(srv.Stop)
	return srv
}

// dial is a client that never repeats a command.
func dial(t *testing.T, url string) *redis.Client {
	t.Helper()
	opt, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	opt.MaxRetries, opt.DialerRetries, opt.Protocol, opt.DisableIdentity = -1, 1, 2, true
	client := redis.NewClient(opt)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func get(t *testing.T, url, key string) string {
	t.Helper()
	value, err := dial(t, url).Get(t.Context(), key).Result()
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func set(t *testing.T, url, key, value string) {
	t.Helper()
	if err := dial(t, url).Set(t.Context(), key, value, 0).Err(); err != nil {
		t.Fatal(err)
	}
}

func TestStartKeepsDataOverStopAndKill(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), `a "quoted" folder`)
	srv := startIn(t, Config{Dir: dir})
	for setting, want := range map[string]string{"appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction", "save": "", "bind": "127.0.0.1"} {
		got, err := dial(t, srv.URL()).ConfigGet(t.Context(), setting).Result()
		if err != nil || got[setting] != want {
			t.Errorf("%s is %q (%v), want %q", setting, got[setting], err, want)
		}
	}
	set(t, srv.URL(), "kept", "one")
	begin := time.Now()
	srv.Stop()
	if took := time.Since(begin); took > 4*time.Second {
		t.Errorf("Stop took %v", took)
	}
	<-srv.Done()

	srv = startIn(t, Config{Dir: dir})
	if got := get(t, srv.URL(), "kept"); got != "one" {
		t.Errorf("after a stop the key has %q", got)
	}
	set(t, srv.URL(), "kept", "two")
	if err := syscall.Kill(srv.Pid(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-srv.Done()
	again := startIn(t, Config{Dir: dir, Port: srv.Port()})
	if again.URL() != srv.URL() {
		t.Errorf("the URL changed over a restart on the same port")
	}
	if got := get(t, again.URL(), "kept"); got != "two" {
		t.Errorf("after kill -9 the key has %q", got)
	}
}

func TestStartNamesWhatIsInTheWay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	srv := startIn(t, Config{Dir: dir})
	if _, err := Start(t.Context(), Config{Dir: dir}); err == nil || !strings.Contains(err.Error(), "in use by process "+strconv.Itoa(os.Getpid())) {
		t.Errorf("a second server on the same folder: %v", err)
	}
	if _, err := Start(t.Context(), Config{Dir: t.TempDir(), Port: srv.Port()}); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("port %d is taken", srv.Port())) {
		t.Errorf("a second server on the same port: %v", err)
	}
	if _, err := start(t.Context(), Config{Dir: t.TempDir()}, "no-such-setting 1"); err == nil || !strings.Contains(err.Error(), "no-such-setting") {
		t.Errorf("a server that refuses its configuration: %v", err)
	}
	if err := connect(srv.Port(), "wrong").Ping(t.Context()).Err(); err == nil {
		t.Error("the server takes a wrong password")
	}
}

func TestServerDoesNotOutliveItsParent(t *testing.T) {
	t.Parallel()
	URL(t) // skips without Redis
	dir := t.TempDir()
	orphan := servertest.Orphan(t, dir)
	startIn(t, Config{Dir: dir})
	if servertest.Alive(orphan) {
		t.Error("the orphan lives beside its successor")
	}
}

// Where the kernel knows no death signal an orphan lives on until the next start on its folder.
func TestStartStopsAnOrphanAndNobodyElse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	srv := startIn(t, Config{Dir: dir})
	if err := stopOrphan(t.Context(), dir, "not its password"); err != nil {
		t.Fatal(err)
	}
	set(t, srv.URL(), "still", "here")
	if err := stopOrphan(t.Context(), dir, srv.password); err != nil {
		t.Fatal(err)
	}
	<-srv.Done()
	if got := get(t, startIn(t, Config{Dir: dir}).URL(), "still"); got != "here" {
		t.Errorf("after the orphan's stop the key has %q", got)
	}
}

func TestLeftoversAreRemoved(t *testing.T) { servertest.CheckLeftovers(t, &shared) }

func TestClusterServesEverySlot(t *testing.T) {
	t.Parallel()
	var addrs []string
	for _, url := range strings.Split(Cluster(t).URL(), ",") {
		addrs = append(addrs, strings.TrimPrefix(url, "redis://"))
	}
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs[:1]})
	defer func() { _ = client.Close() }()
	for i := range 100 {
		if err := client.Set(t.Context(), "key"+strconv.Itoa(i), i, 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for _, addr := range addrs {
		node := redis.NewClient(&redis.Options{Addr: addr})
		size, err := node.DBSize(t.Context()).Result()
		if err != nil || size == 0 {
			t.Errorf("a node has %d keys (%v)", size, err)
		}
		_ = node.Close()
	}
}
