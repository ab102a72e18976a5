package main

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"stayhold/functions/local/harness"
	"stayhold/shared/hold/holdtest"
	"stayhold/shared/postgres/postgrestest"
)

const root = "../../.."

// Everything dies while rooms are sold, and nobody loses a room or a penny.
func TestEverythingDies(t *testing.T) {
	bin, err := harness.Build(root, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	r, err := execute(t.Context(), config{
		root: root, bin: bin, seed: rand.Uint64N(1_000_000), length: 45 * time.Second, kills: leastKills, pace: chaosPace, buyers: 8, out: lines{t},
	})
	if (errors.Is(err, postgrestest.ErrMissing) || errors.Is(err, holdtest.ErrMissing)) && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	kills, _, functions := r.injector.kills()
	if kills < 60 {
		t.Errorf("%d kills, want 60", kills)
	}
	if len(functions) < 6 {
		t.Errorf("only these functions were killed: %v", functions)
	}
	if sales := r.promises.endings()["CONFIRMED"]; sales < kills/2 {
		t.Errorf("%d sales beside %d kills: hardly a shop", sales, kills)
	}
}

// lines is a test's log.
type lines struct{ t *testing.T }

func (l lines) Write(p []byte) (int, error) {
	l.t.Logf("%s", bytes.TrimSuffix(p, []byte("\n")))
	return len(p), nil
}

// Each promise that is broken is seen: otherwise a run that finds nothing would prove nothing.
func TestBrokenPromisesAreSeen(t *testing.T) {
	p := newPromises()
	at := func(id int64, status string) booking { return booking{BookingID: id, Status: status} }
	p.told(at(1, "CONFIRMED"), 7, false)
	p.told(at(2, "CANCELLED"), 7, false)
	p.told(at(2, "CONFIRMED"), 7, true)
	p.told(at(3, "FAILED"), 7, false)
	p.told(at(4, "CONFIRMED"), 7, false)
	p.cancelling(4, 7)
	p.told(at(5, "INIT"), 7, false)
	p.told(at(6, "CONFIRMED"), 7, false)
	rows := map[int64][2]any{
		1: {7, "CONFIRMED"}, 2: {7, "CANCELLED"}, 3: {7, "FAILED"}, 4: {7, "CANCELLED"}, 5: {7, "FAILED"}, 6: {7, "CONFIRMED"},
	}
	if found := p.compare(rows); len(found) > 0 {
		t.Errorf("nothing is broken: %v", found)
	}
	for _, c := range []struct {
		id  int64
		row [2]any
	}{
		{1, [2]any{7, "CANCELLED"}}, {1, [2]any{7, "FAILED"}}, {1, [2]any{8, "CONFIRMED"}}, {1, [2]any{}}, {2, [2]any{7, "CONFIRMED"}}, {3, [2]any{7, "INIT"}}, {4, [2]any{7, "FAILED"}},
	} {
		was := rows[c.id]
		rows[c.id] = c.row
		if c.row[0] == nil {
			delete(rows, c.id)
		}
		if found := p.compare(rows); len(found) != 1 {
			t.Errorf("booking %d is %v: %v", c.id, c.row, found)
		}
		rows[c.id] = was
	}
	p.told(at(3, "CANCELLED"), 7, false)
	p.answered("approve", 500, "INTERNAL", nil)
	p.answered("register", 404, "BOOKING_NOT_FOUND", nil)
	if len(p.broken) != 3 {
		t.Errorf("broken: %v", p.broken)
	}
}

func TestMoneyThatIsWrongIsSeen(t *testing.T) {
	good := paid{Order: "a", Status: "SUCCESS", Amount: "700.00", Booking: "CONFIRMED", ID: 1}
	back := paid{Order: "b", Status: "CANCELLED", Amount: "700.00", Booking: "FAILED", ID: 2}
	declined := paid{Order: "c", Status: "FAILED", Amount: "700.00", Booking: "INIT", ID: 3}
	payments := []paid{good, back, declined}
	of := func(order, amount string, cancelled bool) charge {
		return charge{OrderID: order, Amount: amount, Cancelled: cancelled}
	}
	for _, c := range []struct {
		name    string
		charges []charge
		net     string
		want    int
	}{
		{"right", []charge{of("a", "700.00", false), of("b", "700.00", true)}, "700.00", 0},
		{"not charged", []charge{of("b", "700.00", true)}, "0.00", 1},
		{"charged twice", []charge{of("a", "700.00", false), of("a", "700.00", true)}, "700.00", 1},
		{"kept", []charge{of("a", "700.00", false), of("b", "700.00", false)}, "1400.00", 1},
		{"another amount", []charge{of("a", "699.99", false)}, "699.99", 1},
		{"nobody's", []charge{of("a", "700.00", false), of("x", "1.00", true)}, "700.00", 1},
		{"charged after a 402", []charge{of("a", "700.00", false), of("c", "700.00", false)}, "1400.00", 2},
		{"a wrong sum", []charge{of("a", "700.00", false)}, "1.00", 1},
	} {
		found, err := balance(c.charges, c.net, payments, map[string]int64{"c": 3})
		if err != nil || len(found) != c.want {
			t.Errorf("%s: %v %v", c.name, found, err)
		}
	}
}

// The queue loses and repeats as it is told, and always answers as a queue does.
func TestBadQueue(t *testing.T) {
	send := func(q *badQueue, action, body string) string {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, q.url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Amz-Target", "AmazonSQS."+action)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%s: %v %d %s", action, err, res.StatusCode, text)
		}
		return string(text)
	}
	for _, c := range []struct{ drop, repeat, want int }{{100, 0, 0}, {0, 100, 2}, {0, 0, 1}} {
		q, err := openQueue(rand.New(rand.NewPCG(1, 1)), c.drop, c.repeat)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = q.close() })
		queue := `"QueueUrl":"` + q.url + `/000000000000/` + queueName + `"`
		if answer := send(q, "SendMessage", `{`+queue+`,"MessageBody":"hello"}`); !strings.Contains(answer, "5d41402abc4b2a76b9719d911017c592") {
			t.Errorf("drop %d, repeat %d: the answer has no digest: %s", c.drop, c.repeat, answer)
		}
		if got := strings.Count(send(q, "ReceiveMessage", `{`+queue+`,"MaxNumberOfMessages":10}`), `"hello"`); got != c.want {
			t.Errorf("drop %d, repeat %d: %d messages, want %d", c.drop, c.repeat, got, c.want)
		}
	}
}

// What Redis loses is what came after the copy.
func TestRedisComesBackWithWhatItHad(t *testing.T) {
	s := &servers{dir: t.TempDir()}
	var err error
	if s.redis, err = s.startRedis(t.Context(), 0); errors.Is(err, holdtest.ErrMissing) && os.Getenv("CI") == "" {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.redis.Stop() })
	url := s.redis.URL()
	set := func(name string) {
		if _, err := holdtest.Do(t.Context(), url, "SET", name, "1"); err != nil {
			t.Fatal(err)
		}
	}
	set("before")
	snapshot := filepath.Join(s.dir, "snapshot")
	if err := s.snapshot(snapshot); err != nil {
		t.Fatal(err)
	}
	set("after")
	for _, c := range []struct {
		change func(string) error
		want   int64
	}{{func(string) error { return nil }, 2}, {func(data string) error { return replace(data, snapshot) }, 1}} {
		if err := s.killRedis(t.Context(), 0, c.change); err != nil {
			t.Fatal(err)
		}
		if s.redis.URL() != url {
			t.Errorf("it came back as %s", s.redis.URL())
		}
		if n, err := holdtest.Do(t.Context(), url, "DBSIZE"); err != nil || n != c.want {
			t.Errorf("%v keys (%v), want %d", n, err, c.want)
		}
	}
}

func TestEveryFaultIsInTheDeck(t *testing.T) {
	for _, kind := range []string{faultFunction, faultPostgres, faultBackend, faultRedis, faultRewind, faultFlush} {
		if !slices.Contains(deck, kind) {
			t.Errorf("%s never comes", kind)
		}
	}
}
