package holdtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// shared is the one server of this test binary.
var shared struct {
	sync.Mutex
	started bool
	dir     string
	server  *Server
	url     string
	err     error
}

// Main is a TestMain: it runs the tests, stops what they started and exits with their code.
func Main(m *testing.M) {
	code := m.Run()
	Shutdown()
	os.Exit(code)
}

// Shutdown stops this binary's server, if any, and removes its folder; for a TestMain that has more to stop.
func Shutdown() {
	shared.Lock()
	defer shared.Unlock()
	if shared.server != nil {
		shared.server.child.stop(syscall.SIGTERM, time.Second, syscall.SIGKILL, time.Second)
		<-shared.server.Done()
	}
	if shared.dir != "" {
		_ = os.RemoveAll(shared.dir)
	}
	shared.started, shared.server, shared.url, shared.dir, shared.err = false, nil, "", "", nil
}

// URL returns the URL of this test binary's server, started at the first call. Tests share it: keep to product ids of
// your own and never flush. TEST_REDIS_URL names a server to use instead. Without Redis on the machine the test is
// skipped for a person and fails when CI is set.
func URL(t testing.TB) string {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if !shared.started {
		shared.started = true
		shared.url, shared.err = startShared()
	}
	if shared.err != nil {
		fail(t, shared.err)
	}
	return shared.url
}

// fail ends a test that has no server to run on.
func fail(t testing.TB, err error) {
	t.Helper()
	if errors.Is(err, ErrMissing) && os.Getenv("CI") == "" {
		t.Skipf("%v; or name a server in TEST_REDIS_URL", err)
	}
	t.Fatalf("%v", err)
}

func startShared() (string, error) {
	if given := os.Getenv("TEST_REDIS_URL"); given != "" {
		return given, nil
	}
	removeLeftovers("stayhold-redis-")
	dir, err := os.MkdirTemp("", "stayhold-redis-")
	if err != nil {
		return "", err
	}
	shared.dir = dir
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if shared.server, err = start(ctx, Config{Dir: dir}); err != nil {
		return "", err
	}
	return shared.server.URL(), nil
}

// removeLeftovers removes temp folders whose owner died before it could. The lock tells; one without a lock file is
// being made at this moment unless it is old.
func removeLeftovers(prefix string) {
	// The pattern is a constant: Glob has nothing to object to.
	dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), prefix+"*"))
	for _, dir := range dirs {
		if _, err := os.Stat(filepath.Join(dir, "lock")); err != nil {
			if info, err := os.Stat(dir); err != nil || time.Since(info.ModTime()) < time.Hour {
				continue
			}
		}
		lock, err := lockFile(filepath.Join(dir, "lock"))
		if err != nil {
			continue
		}
		word, err := password(filepath.Join(dir, "password"))
		if err == nil && stopOrphan(context.Background(), dir, word) == nil {
			_ = os.RemoveAll(dir)
		}
		unlockFile(lock)
	}
}

// clusterSlots is how many slots every Redis Cluster has.
const clusterSlots = 16384

// Cluster starts three nodes in cluster mode, a third of the slots each, for this test alone. It returns their URLs as
// REDIS_URL takes them: comma-separated, without a password.
func Cluster(t testing.TB) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var nodes []*redis.Client
	var urls []string
	var buses []int
	for range 3 {
		bus, err := freePort(0)
		if err != nil {
			t.Fatalf("%v", err)
		}
		srv, err := start(ctx, Config{Dir: t.TempDir(), open: true}, "cluster-enabled yes", fmt.Sprintf("cluster-port %d", bus),
			"cluster-announce-ip 127.0.0.1", "cluster-node-timeout 5000", "cluster-require-full-coverage yes")
		if err != nil {
			fail(t, err)
		}
		t.Cleanup(srv.Stop)
		client := connect(srv.port, "")
		t.Cleanup(func() { _ = client.Close() })
		nodes, buses, urls = append(nodes, client), append(buses, bus), append(urls, srv.URL())
	}
	for i, node := range nodes {
		if err := node.ClusterAddSlotsRange(ctx, i*clusterSlots/3, (i+1)*clusterSlots/3-1).Err(); err != nil {
			t.Fatalf("giving out slots: %v", err)
		}
		// Without epochs of their own two nodes would quarrel about who is whom at the first change of slots.
		if err := node.Do(ctx, "CLUSTER", "SET-CONFIG-EPOCH", i+1).Err(); err != nil {
			t.Fatalf("numbering the nodes: %v", err)
		}
		if i == 0 {
			continue
		}
		port := strings.TrimPrefix(urls[0], "redis://127.0.0.1:")
		if err := node.Do(ctx, "CLUSTER", "MEET", "127.0.0.1", port, buses[0]).Err(); err != nil {
			t.Fatalf("joining the nodes: %v", err)
		}
	}
	for _, node := range nodes {
		if err := awaitCluster(ctx, node, len(nodes)); err != nil {
			t.Fatalf("%v", err)
		}
	}
	return strings.Join(urls, ",")
}

// awaitCluster polls until the node knows all the others and every slot's owner.
func awaitCluster(ctx context.Context, node *redis.Client, size int) error {
	for {
		info, err := node.ClusterInfo(ctx).Result()
		if err == nil && strings.Contains(info, "cluster_state:ok") && strings.Contains(info, fmt.Sprintf("cluster_known_nodes:%d\r", size)) &&
			strings.Contains(info, fmt.Sprintf("cluster_slots_ok:%d\r", clusterSlots)) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the cluster does not come together: %w", ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}
