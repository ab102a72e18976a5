package holdtest

import (
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Keys are some products' keys of a gate, for a test that lets time pass or loses what the gate knows. The scripts of
// package lua name the keys and say what they hold.
type Keys struct {
	t        testing.TB
	client   *redis.Client
	prefixes []string
}

// KeysOf opens a connection for the test; the prefix is the gate's own, before every key.
func KeysOf(t testing.TB, url, prefix string, productIDs ...int64) *Keys {
	t.Helper()
	options, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	options.MaxRetries = -1
	k := &Keys{t: t, client: redis.NewClient(options)}
	t.Cleanup(func() { _ = k.client.Close() })
	for _, id := range productIDs {
		k.prefixes = append(k.prefixes, fmt.Sprintf("%sstayhold:{%d}:", prefix, id))
	}
	return k
}

// age moves everything that bears a time back by ARGV[1] ms; KEYS: product, holds, marks, warm.
var age = redis.NewScript(`
local by = tonumber(ARGV[1])
for _, field in ipairs({'sale_start_ms', 'check_in_ms', 'full_until'}) do
  local ms = redis.call('HGET', KEYS[1], field)
  if ms and ms ~= 'inf' then redis.call('HSET', KEYS[1], field, string.format('%.0f', ms - by)) end
end
local holds = redis.call('ZRANGE', KEYS[2], 0, -1, 'WITHSCORES')
for i = 1, #holds, 2 do
  if holds[i + 1] ~= 'inf' then redis.call('ZADD', KEYS[2], string.format('%.0f', holds[i + 1] - by), holds[i]) end
end
for i = 3, 4 do
  local left = redis.call('PTTL', KEYS[i])
  if left >= 0 then redis.call('PEXPIRE', KEYS[i], left - by) end
end
return 1`)

// Age is the passing of so much time (whole milliseconds): holds, marks and the moments of the facts come nearer.
func (k *Keys) Age(d time.Duration) {
	k.t.Helper()
	for _, p := range k.prefixes {
		keys := []string{p + "product", p + "holds", p + "marks", p + "warm"}
		if err := age.Run(k.t.Context(), k.client, keys, d.Milliseconds()).Err(); err != nil {
			k.t.Fatalf("ageing the gate's keys: %v", err)
		}
	}
}

// Flush deletes the keys: the products are cold, and no mark stands.
func (k *Keys) Flush() {
	k.t.Helper()
	for _, p := range k.prefixes {
		keys := []string{p + "product", p + "holds", p + "tokens", p + "marks", p + "bookings", p + "warm"}
		if err := k.client.Del(k.t.Context(), keys...).Err(); err != nil {
			k.t.Fatalf("deleting the gate's keys: %v", err)
		}
	}
}
