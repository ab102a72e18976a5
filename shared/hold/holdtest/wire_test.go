package holdtest

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

func wired(t *testing.T) (*Wire, *redis.Client) {
	t.Helper()
	w := Proxy(t, URL(t))
	client := dial(t, w.URL())
	if err := client.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	w.Reset()
	return w, client
}

func TestWireCountsCommands(t *testing.T) {
	t.Parallel()
	w, client := wired(t)
	script := redis.NewScript(`return ARGV[1] .. '` + t.Name() + `'`)
	big := strings.Repeat("x", 300_000)
	if got, err := script.Run(t.Context(), client, nil, big).Text(); err != nil || got != big+t.Name() {
		t.Fatalf("the script answers %d bytes: %v", len(got), err)
	}
	if got := w.Commands(); !slices.Equal(got, []string{"EVALSHA", "EVAL"}) || w.Trips() != 2 {
		t.Errorf("a cold script: %q in %d trips", got, w.Trips())
	}
	w.Reset()
	if err := script.Run(t.Context(), client, nil, "a").Err(); err != nil {
		t.Fatal(err)
	}
	if got := w.Commands(); !slices.Equal(got, []string{"EVALSHA"}) || w.Trips() != 1 || w.Connections() != 0 {
		t.Errorf("a warm script: %q in %d trips on %d new connections", got, w.Trips(), w.Connections())
	}
	w.Reset()
	pipe := client.Pipeline()
	pipe.Get(t.Context(), "{"+t.Name()+"}1")
	pipe.Get(t.Context(), "{"+t.Name()+"}2")
	if _, err := pipe.Exec(t.Context()); err != nil && !errors.Is(err, redis.Nil) {
		t.Fatal(err)
	}
	if got := w.Commands(); !slices.Equal(got, []string{"GET", "GET"}) || w.Trips() != 1 {
		t.Errorf("a pipeline: %q in %d trips", got, w.Trips())
	}
	if got := w.Trace()[1][1]; got != "{"+t.Name()+"}2" {
		t.Errorf("the second command's key is %q", got)
	}
}

func TestWireLosesAnswersAndRequests(t *testing.T) {
	t.Parallel()
	w, client := wired(t)
	key := t.Name()
	w.LoseReply(1)
	if err := client.Incr(t.Context(), key).Err(); err == nil {
		t.Error("the lost answer arrived")
	}
	if got := get(t, URL(t), key); got != "1" {
		t.Errorf("after a lost answer the counter is %s", got)
	}
	w.LoseRequest(1)
	if err := client.Incr(t.Context(), key).Err(); err == nil {
		t.Error("the lost request was answered")
	}
	if got := get(t, URL(t), key); got != "1" {
		t.Errorf("after a lost request the counter is %s", got)
	}
}

func TestWireCutsRefusesAndDelays(t *testing.T) {
	t.Parallel()
	w, client := wired(t)
	w.Refuse(true)
	w.Cut()
	if err := client.Ping(t.Context()).Err(); err == nil {
		t.Error("a cut connection answers")
	}
	w.Reset()
	w.Delay(30 * time.Millisecond)
	begin := time.Now()
	if err := client.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took < 30*time.Millisecond {
		t.Errorf("a delayed answer took %v", took)
	}
	if w.Connections() == 0 {
		t.Error("the new connection was not counted")
	}
}

func TestCommandsInPieces(t *testing.T) {
	t.Parallel()
	text := "*2\r\n$3\r\nGET\r\n$4\r\na\r\nb\r\n*1\r\n$4\r\nPING\r\n"
	var c commands
	var got []string
	for i := range len(text) {
		all, err := c.feed([]byte(text[i : i+1]))
		if err != nil {
			t.Fatal(err)
		}
		for _, args := range all {
			got = append(got, strings.Join(args, " "))
		}
	}
	if !slices.Equal(got, []string{"GET a\r\nb", "PING"}) {
		t.Errorf("got %q", got)
	}
	for _, bad := range []string{"PING\r\n", "*x\r\n", "*1\r\n:1\r\n", "*-1\r\n"} {
		if _, err := (&commands{}).feed([]byte(bad)); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
