package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"stayhold/lua"
)

// openSQL is the statement of postgres.Store.Open.
const openSQL = `SELECT open_booking($1, $2, $3, $4, $5, $6)`

// script calls one script of one product and gives its answer, with nothing around it.
type script func(ctx context.Context, args ...any) ([]any, error)

// bareGate connects as the gate does and loads the script.
func (l *lab) bareGate(ctx context.Context, s lua.Script) (*redis.Client, error) {
	target, err := redis.ParseURL(l.redis)
	if err != nil {
		return nil, err
	}
	const timeout = 2 * time.Second
	client := redis.NewClient(&redis.Options{
		Addr: target.Addr, Username: target.Username, Password: target.Password, DB: target.DB,
		Protocol: 2, MaxRetries: -1, DialTimeout: timeout, DialerRetries: 1, ReadTimeout: timeout, WriteTimeout: timeout,
		PoolTimeout: timeout, ContextTimeoutEnabled: true, PoolSize: 2, PipelinePoolSize: -1, DisableIdentity: true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	l.later(func() { _ = client.Close() }) // the process ends soon after
	return client, client.ScriptLoad(ctx, s.Source).Err()
}

// bareScript is one script of one product.
func (l *lab) bareScript(ctx context.Context, s lua.Script, keys ...string) (script, error) {
	client, err := l.bareGate(ctx, s)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, args ...any) ([]any, error) {
		answer, err := client.EvalSha(ctx, s.SHA, keys, args...).Slice()
		if err == nil && len(answer) == 0 {
			err = fmt.Errorf("%s answered nothing", s.Name)
		}
		return answer, err
	}, nil
}

// barePlace is the gate's part of a reserve, for one product.
func (l *lab) barePlace(ctx context.Context, product int64) (script, error) {
	tag := fmt.Sprintf("stayhold:{%d}:", product)
	return l.bareScript(ctx, lua.PlaceHold, tag+"product", tag+"holds", tag+"tokens", tag+"marks", tag+"bookings")
}

func newToken() (string, error) {
	var b [16]byte
	_, err := rand.Read(b[:])
	return hex.EncodeToString(b[:]), err
}

// bare connects to the database with nothing around the driver.
func (l *lab) bare(ctx context.Context, url string) (*pgx.Conn, error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, err
	}
	l.later(func() { _ = conn.Close(context.Background()) }) // whatever it did is done
	return conn, nil
}

// bareReserve is the floor of a reserve that is admitted: the script, then the statement.
func (l *lab) bareReserve(ctx context.Context, product int64) (call, error) {
	place, err := l.barePlace(ctx, product)
	if err != nil {
		return nil, err
	}
	conn, err := l.bare(ctx, l.database)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		user := l.user()
		token, err := newToken()
		if err != nil {
			return err
		}
		placed, err := place(ctx, user, token, holdTTL.Milliseconds())
		if err != nil {
			return err
		}
		if len(placed) != 3 || placed[0] != "NEW" {
			return fmt.Errorf("unexpected answer: %v", placed)
		}
		expiry, err := strconv.ParseInt(fmt.Sprint(placed[2]), 10, 64)
		if err != nil {
			return err
		}
		var outcome []byte
		err = conn.QueryRow(ctx, openSQL, user, product, token, time.UnixMilli(expiry), maxOpenHolds, []string(nil)).Scan(&outcome)
		if err == nil && !bytes.Contains(outcome, []byte(`"created": true`)) {
			err = fmt.Errorf("unexpected answer: %s", outcome)
		}
		return err
	}, nil
}

// bareRefusal is the floor of a reserve that is refused: the script alone.
func (l *lab) bareRefusal(ctx context.Context, product int64) (call, error) {
	place, err := l.barePlace(ctx, product)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		token, err := newToken()
		if err != nil {
			return err
		}
		placed, err := place(ctx, l.user(), token, holdTTL.Milliseconds())
		if err == nil && placed[0] != "SOLD_OUT" {
			err = fmt.Errorf("unexpected answer: %v", placed)
		}
		return err
	}, nil
}
