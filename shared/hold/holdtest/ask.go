package holdtest

import (
	"context"
	"errors"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Flush has the server at url forget everything.
func Flush(ctx context.Context, url string) error {
	return ask(url, func(c *redis.Client) error { return c.FlushAll(ctx).Err() })
}

// Clients is the number of connections that the server at url has, but for the one that asks.
func Clients(ctx context.Context, url string) (n int, err error) {
	err = ask(url, func(c *redis.Client) error {
		list, err := c.ClientList(ctx).Result()
		n = strings.Count(list, "\n") - 1
		return err
	})
	return n, err
}

// ask has do ask one server, on a connection of its own.
func ask(url string, do func(*redis.Client) error) error {
	options, err := redis.ParseURL(url)
	if err != nil {
		return errors.New("not a redis:// URL")
	}
	client := redis.NewClient(careful(options))
	return errors.Join(do(client), client.Close())
}
