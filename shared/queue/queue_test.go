package queue_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"stayhold/shared/booking"
	"stayhold/shared/queue"
	"stayhold/shared/queue/queuetest"
)

// counted runs a handler and counts the requests per operation.
type counted struct {
	next   http.Handler
	single atomic.Int32
	batch  atomic.Int32
}

func (c *counted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Header.Get("X-Amz-Target") {
	case "AmazonSQS.SendMessage":
		c.single.Add(1)
	case "AmazonSQS.SendMessageBatch":
		c.batch.Add(1)
	}
	c.next.ServeHTTP(w, r)
}

// sender gives a Sender to a server that runs the handler, and what it counts.
func sender(t *testing.T, handler http.Handler, timeout time.Duration) (*queue.Sender, *counted) {
	t.Helper()
	count := &counted{next: handler}
	web := httptest.NewServer(count)
	t.Cleanup(web.Close)
	return queue.New(queue.Options{
		QueueURL: web.URL + "/000000000000/q", Endpoint: web.URL, Region: "us-east-1",
		AccessKeyID: "test", SecretAccessKey: "test", SessionToken: "token", Timeout: timeout,
	}), count
}

func messages(n int) []booking.Message {
	list := make([]booking.Message, n)
	for i := range list {
		list[i] = booking.Message{Task: booking.TaskCompensate, BookingID: int64(i + 1)}
	}
	return list
}

func limit(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestSendArrivesWhole(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ messages, single, batch int }{
		{0, 0, 0}, {1, 1, 0}, {2, 0, 1}, {10, 0, 1}, {11, 0, 2}, {23, 0, 3},
	} {
		server := queuetest.Start(t, queuetest.Options{})
		if err := server.EnsureQueue("q", nil); err != nil {
			t.Fatal(err)
		}
		s, count := sender(t, server, 0)
		if err := s.Send(limit(t), messages(c.messages)...); err != nil {
			t.Fatal(err)
		}
		if count.single.Load() != int32(c.single) || count.batch.Load() != int32(c.batch) {
			t.Errorf("%d messages: %d single, %d batch calls", c.messages, count.single.Load(), count.batch.Load())
		}
		consumer := queuetest.NewConsumer(server.Options("q"), server.ARN("q"))
		got := map[int64]bool{}
		for len(got) < c.messages {
			records, err := consumer.Receive(limit(t), 10, time.Second)
			if err != nil || len(records) == 0 {
				t.Fatalf("%d messages: %d arrived, %v", c.messages, len(got), err)
			}
			for _, r := range records {
				m, err := queue.Parse(r.Body)
				if err != nil || m.Task != booking.TaskCompensate || got[m.BookingID] {
					t.Errorf("%s: %v, %v", r.Body, m, err)
				}
				got[m.BookingID] = true
			}
		}
	}
}

func TestSendRefusesBeforeItSends(t *testing.T) {
	t.Parallel()
	s, count := sender(t, http.NotFoundHandler(), 0)
	list := append(messages(1), booking.Message{Task: "other", BookingID: 1})
	if err := s.Send(limit(t), list...); !errors.Is(err, queue.ErrMalformed) {
		t.Errorf("error %v", err)
	}
	if count.single.Load()+count.batch.Load() != 0 {
		t.Error("something was sent")
	}
}

func TestMissingQueueIsAnErrorAtOnce(t *testing.T) {
	t.Parallel()
	s, count := sender(t, queuetest.Start(t, queuetest.Options{}), 0)
	err := s.Send(limit(t), messages(1)...)
	if err == nil || !strings.Contains(err.Error(), "NonExistentQueue") {
		t.Errorf("error %v", err)
	}
	if count.single.Load() != 1 {
		t.Errorf("%d attempts", count.single.Load())
	}
}

// batchAnswer answers every batch: all entries sent but those named.
func batchAnswer(failed, silent string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct{ Entries []struct{ Id string } }
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		ok, bad := []map[string]any{}, []map[string]any{}
		for _, e := range in.Entries {
			switch e.Id {
			case failed:
				bad = append(bad, map[string]any{"Id": e.Id, "Code": "InternalError", "Message": "m", "SenderFault": false})
			case silent:
			default:
				ok = append(ok, map[string]any{"Id": e.Id, "MessageId": "i"})
			}
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		_ = json.NewEncoder(w).Encode(map[string]any{"Successful": ok, "Failed": bad})
	})
}

func TestPartOfABatchRefusedIsAnError(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ failed, silent, want string }{
		"refused": {"1", "none", "entry 1 refused: InternalError"},
		"missing": {"none", "2", "entry 2 is missing"},
	} {
		s, count := sender(t, batchAnswer(c.failed, c.silent), 0)
		err := s.Send(limit(t), messages(13)...)
		if err == nil || strings.Count(err.Error(), c.want) != 2 {
			t.Errorf("%s: %v", name, err)
		}
		// The second chunk is sent all the same.
		if count.batch.Load() != 2 {
			t.Errorf("%s: %d calls", name, count.batch.Load())
		}
	}
}

func TestAttemptsAreTwo(t *testing.T) {
	t.Parallel()
	s, count := sender(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
	}), 0)
	for range 20 {
		if err := s.Send(limit(t), messages(1)...); err == nil {
			t.Fatal("sent to a server that refuses")
		}
	}
	if count.single.Load() != 40 {
		t.Errorf("%d attempts in 20 sends", count.single.Load())
	}
}

func TestSecondAttemptCuresALostConnection(t *testing.T) {
	t.Parallel()
	server := queuetest.Start(t, queuetest.Options{})
	if err := server.EnsureQueue("q", nil); err != nil {
		t.Fatal(err)
	}
	var first atomic.Bool
	s, _ := sender(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if first.CompareAndSwap(false, true) {
			panic(http.ErrAbortHandler) // the connection ends without an answer
		}
		server.ServeHTTP(w, r)
	}), 0)
	if err := s.Send(limit(t), messages(1)...); err != nil {
		t.Error(err)
	}
}

// hanging gives a Sender to a server that answers nothing until the test is over.
func hanging(t *testing.T, timeout time.Duration) (*queue.Sender, *counted) {
	t.Helper()
	over := make(chan struct{})
	s, count := sender(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-over }), timeout)
	// Before the server is closed, which waits for its handlers.
	t.Cleanup(func() { close(over) })
	return s, count
}

func TestDeadlineOfTheContextHolds(t *testing.T) {
	t.Parallel()
	s, count := hanging(t, time.Hour)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	err := s.Send(ctx, messages(25)...)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	if count.batch.Load() > 1 {
		t.Errorf("%d attempts after the deadline", count.batch.Load())
	}
}

func TestTimeoutBoundsEachAttempt(t *testing.T) {
	t.Parallel()
	s, count := hanging(t, 50*time.Millisecond)
	if err := s.Send(limit(t), messages(1)...); err == nil {
		t.Error("sent to a server that hangs")
	}
	if count.single.Load() != 2 {
		t.Errorf("%d attempts", count.single.Load())
	}
}

func TestNoCredentialsIsAnError(t *testing.T) {
	t.Parallel()
	s := queue.New(queue.Options{QueueURL: "http://127.0.0.1:1/000000000000/q", Endpoint: "http://127.0.0.1:1"})
	if err := s.Send(limit(t), messages(1)...); err == nil || !strings.Contains(err.Error(), "no credentials") {
		t.Errorf("error %v", err)
	}
}
