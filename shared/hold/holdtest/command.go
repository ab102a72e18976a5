package holdtest

import (
	"testing"

	"github.com/redis/go-redis/v9"
)

// Session is a connection beside the gate, for what no script does: to lose a key, to move a deadline. Each call is one
// command of Redis, word by word.
func Session(t testing.TB, url string) func(words ...any) error {
	t.Helper()
	options, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal("not a redis:// URL")
	}
	client := redis.NewClient(options)
	t.Cleanup(func() { _ = client.Close() })
	return func(words ...any) error { return client.Do(t.Context(), words...).Err() }
}
