package holdtest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"stayhold/shared/servertest"
)

// shared is the one server of this test binary.
var shared = servertest.Shared{
	Variable: "TEST_REDIS_URL", Prefix: "stayhold-redis-", Patience: 30 * time.Second, Missing: ErrMissing,
	Start: startFleeting, StopOrphan: stopLeftover,
}

// startFleeting starts a server that writes nothing to disk.
func startFleeting(ctx context.Context, dir string) (string, func(), error) {
	srv, err := start(ctx, Config{Dir: dir})
	if err != nil {
		return "", nil, err
	}
	return srv.URL(), func() {
		srv.child.Stop(syscall.SIGTERM, time.Second, syscall.SIGKILL, time.Second)
		<-srv.Done()
	}, nil
}

// stopLeftover stops the server that a killed test binary left on this folder.
func stopLeftover(dir string) error {
	word, err := password(filepath.Join(dir, "password"))
	if err != nil {
		return err
	}
	return stopOrphan(context.Background(), dir, word)
}

// Main is a TestMain: it runs the tests, stops what they started and exits with their code.
func Main(m *testing.M) {
	code := m.Run()
	Shutdown()
	os.Exit(code)
}

// Shutdown stops this binary's server, if any, and removes its folder; for a TestMain that has more to stop.
func Shutdown() { shared.Shutdown() }

// URL returns the URL of this test binary's server, started at the first call. Tests share it: keep to product ids of
// your own and never flush. TEST_REDIS_URL names a server to use instead. Without Redis on the machine the test is
// skipped for a person and fails when CI is set.
func URL(t testing.TB) string {
	t.Helper()
	return shared.URL(t)
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
		bus, err := servertest.FreePort(0)
		if err != nil {
			t.Fatalf("%v", err)
		}
		srv, err := start(ctx, Config{Dir: t.TempDir(), open: true}, "cluster-enabled yes", fmt.Sprintf("cluster-port %d", bus),
			"cluster-announce-ip 127.0.0.1", "cluster-node-timeout 5000", "cluster-require-full-coverage yes")
		if err != nil {
			shared.Fail(t, err)
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
