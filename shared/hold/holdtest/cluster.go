package holdtest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"stayhold/shared/servertest"
)

// clusterSlots is how many slots every Redis Cluster has.
const clusterSlots = 16384

// Masters is a Redis Cluster of three nodes, with a third of the slots each.
type Masters struct {
	servers []*Server
	nodes   []*redis.Client
	ids     []string
	secure  bool
}

// StartMasters starts a cluster below dir and returns when each node knows every slot's owner. It has no password.
func StartMasters(ctx context.Context, dir string) (*Masters, error) {
	return startMasters(ctx, dir, nil)
}

// startMasters starts a cluster whose nodes show these certificates, one each, or none.
func startMasters(ctx context.Context, dir string, shown []servertest.Certificate, settings ...string) (*Masters, error) {
	m := &Masters{secure: shown != nil}
	if err := m.start(ctx, dir, shown, settings); err != nil {
		m.Stop()
		return nil, err
	}
	return m, nil
}

func (m *Masters) start(ctx context.Context, dir string, shown []servertest.Certificate, more []string) error {
	var buses []int
	for i := range 3 {
		bus, err := servertest.FreePort(0)
		if err != nil {
			return err
		}
		cfg := Config{Dir: filepath.Join(dir, strconv.Itoa(i)), open: true}
		if m.secure {
			cfg.Certificate = &shown[i]
		}
		srv, err := start(ctx, cfg, append([]string{"cluster-enabled yes", fmt.Sprintf("cluster-port %d", bus),
			"cluster-announce-ip 127.0.0.1", "cluster-node-timeout 5000", "cluster-require-full-coverage yes"}, more...)...)
		if err != nil {
			return err
		}
		m.servers, m.nodes, buses = append(m.servers, srv), append(m.nodes, connect(srv.port, "")), append(buses, bus)
	}
	for i, node := range m.nodes {
		if err := node.ClusterAddSlotsRange(ctx, i*clusterSlots/3, (i+1)*clusterSlots/3-1).Err(); err != nil {
			return fmt.Errorf("giving out slots: %w", err)
		}
		// Without epochs of their own two nodes would quarrel about who is whom at the first change of slots.
		if err := node.Do(ctx, "CLUSTER", "SET-CONFIG-EPOCH", i+1).Err(); err != nil {
			return fmt.Errorf("numbering the nodes: %w", err)
		}
		id, err := node.ClusterMyID(ctx).Result()
		if err != nil {
			return err
		}
		m.ids = append(m.ids, id)
	}
	return m.join(ctx, buses[0])
}

// join has the nodes meet the first one, whose bus is given, and returns when each knows all of them and every slot's
// owner. A node that hears nothing for cluster-node-timeout after a meeting forgets it, so they meet again now and then.
func (m *Masters) join(ctx context.Context, bus int) error {
	first := m.servers[0].port
	if m.secure {
		first = m.servers[0].secure
	}
	const meetings = 2 * time.Second
	for next := time.Now(); ; {
		if !time.Now().Before(next) {
			for _, node := range m.nodes[1:] {
				if err := node.Do(ctx, "CLUSTER", "MEET", "127.0.0.1", first, bus).Err(); err != nil {
					return fmt.Errorf("joining the nodes: %w", err)
				}
			}
			next = next.Add(meetings)
		}
		if !slices.ContainsFunc(m.nodes, func(node *redis.Client) bool { return !joined(ctx, node, len(m.nodes)) }) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the cluster does not come together: %w", ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// joined says that the node knows all the others and every slot's owner.
func joined(ctx context.Context, node *redis.Client, size int) bool {
	info, err := node.ClusterInfo(ctx).Result()
	return err == nil && strings.Contains(info, "cluster_state:ok") && strings.Contains(info, fmt.Sprintf("cluster_known_nodes:%d\r", size)) &&
		strings.Contains(info, fmt.Sprintf("cluster_slots_ok:%d\r", clusterSlots))
}

// URL is the nodes' URLs as REDIS_URL takes them: comma-separated.
func (m *Masters) URL() string {
	var urls []string
	for _, srv := range m.servers {
		if m.secure {
			urls = append(urls, srv.SecureURL())
		} else {
			urls = append(urls, srv.URL())
		}
	}
	return strings.Join(urls, ",")
}

// Proxies puts a Wire in front of each node until the test ends, and has the nodes name the Wires as their addresses, so
// that no client goes round them. It returns when every node knows the others by theirs.
func (m *Masters) Proxies(t testing.TB) []*Wire {
	t.Helper()
	var wires []*Wire
	var ports []string
	for i, srv := range m.servers {
		w := Proxy(t, srv.URL())
		u, err := url.Parse(w.URL())
		if err != nil {
			t.Fatal(err)
		}
		if err := m.nodes[i].ConfigSet(t.Context(), "cluster-announce-port", u.Port()).Err(); err != nil {
			t.Fatal(err)
		}
		wires, ports = append(wires, w), append(ports, u.Port())
	}
	known := func(node *redis.Client) bool {
		shards, err := node.ClusterShards(t.Context()).Result()
		return err == nil && len(shards) == len(m.nodes) && !slices.ContainsFunc(shards, func(s redis.ClusterShard) bool {
			return !slices.Contains(ports, strconv.FormatInt(s.Nodes[0].Port, 10))
		})
	}
	for deadline := time.Now().Add(20 * time.Second); slices.ContainsFunc(m.nodes, func(n *redis.Client) bool { return !known(n) }); {
		if time.Now().After(deadline) {
			t.Fatal("the nodes do not hear of each other's new addresses")
		}
		time.Sleep(20 * time.Millisecond)
	}
	return wires
}

// Stop ends the nodes. Safe to repeat.
func (m *Masters) Stop() {
	for i, srv := range m.servers {
		_ = m.nodes[i].Close() // nothing is under way on it
		srv.Stop()
	}
}

// Move moves the slot of a key, with all keys in it, to the next node, as an operator does it while clients are at work.
// between is called when the keys have been moved and the slot has not: clients are told to ask the new node then.
func (m *Masters) Move(ctx context.Context, key string, between func()) error {
	slot, err := m.nodes[0].ClusterKeySlot(ctx, key).Result()
	if err != nil {
		return err
	}
	from, err := m.owner(ctx, slot)
	if err != nil {
		return err
	}
	to := (from + 1) % len(m.nodes)
	set := func(node int, state ...any) error {
		return m.nodes[node].Do(ctx, append([]any{"CLUSTER", "SETSLOT", slot}, state...)...).Err()
	}
	if err := set(to, "IMPORTING", m.ids[from]); err != nil {
		return err
	}
	if err := set(from, "MIGRATING", m.ids[to]); err != nil {
		return err
	}
	for {
		names, err := m.nodes[from].ClusterGetKeysInSlot(ctx, int(slot), 100).Result()
		if err != nil {
			return err
		}
		if len(names) == 0 {
			break
		}
		args := []any{"MIGRATE", "127.0.0.1", m.servers[to].port, "", 0, 5000, "KEYS"}
		for _, name := range names {
			args = append(args, name)
		}
		if err := m.nodes[from].Do(ctx, args...).Err(); err != nil {
			return err
		}
	}
	between()
	// The new owner first: until the old one knows, it sends clients there.
	for i := range m.nodes {
		if err := set((to+i)%len(m.nodes), "NODE", m.ids[to]); err != nil {
			return err
		}
	}
	return nil
}

// owner is the node that has the slot.
func (m *Masters) owner(ctx context.Context, slot int64) (int, error) {
	shards, err := m.nodes[0].ClusterShards(ctx).Result()
	if err != nil {
		return 0, err
	}
	for _, shard := range shards {
		for _, r := range shard.Slots {
			if r.Start <= slot && slot <= r.End {
				return slices.Index(m.ids, shard.Nodes[0].ID), nil
			}
		}
	}
	return 0, fmt.Errorf("nobody has slot %d", slot)
}

// Cluster starts a cluster for this test alone.
func Cluster(t testing.TB) *Masters {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	m, err := StartMasters(ctx, t.TempDir())
	if err != nil {
		shared.Fail(t, err)
	}
	t.Cleanup(m.Stop)
	return m
}

// SecureCluster starts a cluster for this test alone that speaks TLS, also among its nodes. Each of the three shows a
// certificate of its own, by that authority.
func SecureCluster(t testing.TB, authority *servertest.Authority, shown [3]servertest.Certificate) *Masters {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, authority.PEM, 0o600); err != nil {
		t.Fatal(err)
	}
	m, err := startMasters(ctx, t.TempDir(), shown[:], "tls-cluster yes", "tls-ca-cert-file "+strconv.Quote(ca))
	if err != nil {
		shared.Fail(t, err)
	}
	t.Cleanup(m.Stop)
	return m
}

// Secure starts a server for this test alone that speaks TLS and shows that certificate.
func Secure(t testing.TB, shown servertest.Certificate) *Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	srv, err := start(ctx, Config{Dir: t.TempDir(), Certificate: &shown})
	if err != nil {
		shared.Fail(t, err)
	}
	t.Cleanup(srv.Stop)
	return srv
}
