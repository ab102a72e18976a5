package holdtest

import (
	"context"
	"errors"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Do has the server at url carry out one command.
func Do(ctx context.Context, url string, args ...any) (answer any, err error) {
	err = ask(url, func(c *redis.Client) error {
		answer, err = c.Do(ctx, args...).Result()
		return err
	})
	return answer, err
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

// Dump is every key of the server at url with its value, as DUMP writes it: equal for equal values.
func Dump(ctx context.Context, url string) (values map[string]string, err error) {
	values = map[string]string{}
	err = ask(url, func(c *redis.Client) error {
		keys := c.Scan(ctx, 0, "*", 1000).Iterator()
		for keys.Next(ctx) {
			value, err := c.Dump(ctx, keys.Val()).Result()
			if err != nil && !errors.Is(err, redis.Nil) { // a key may lapse meanwhile
				return err
			}
			values[keys.Val()] = value
		}
		return keys.Err()
	})
	return values, err
}
