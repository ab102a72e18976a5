package booking_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"stayhold/shared/api"
	"stayhold/shared/booking"
	"stayhold/shared/queue"
	"stayhold/shared/queue/queuetest"
)

// garbled is a queue that cuts the messages of one booking short on their way.
type garbled struct {
	booking.Queue
	victim   int64
	url, own string // the server's, and the queue's
}

func (g garbled) Send(ctx context.Context, messages ...booking.Message) error {
	for _, m := range messages {
		if m.BookingID != g.victim {
			if err := g.Queue.Send(ctx, m); err != nil {
				return err
			}
			continue
		}
		body, err := queue.Encode(m)
		if err != nil {
			return err
		}
		input, err := json.Marshal(map[string]string{"QueueUrl": g.own, "MessageBody": body[:len(body)-1]})
		if err != nil {
			return err
		}
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, g.url, bytes.NewReader(input))
		if err != nil {
			return err
		}
		r.Header.Set("Content-Type", "application/x-amz-json-1.0")
		r.Header.Set("X-Amz-Target", "AmazonSQS.SendMessage")
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			return fmt.Errorf("the queue answers %s", answer.Status)
		}
	}
	return nil
}

// consume does what Lambda does with a queue: one batch is handled, and what the
// handler does not report is deleted. It returns how many records there were.
func consume(t *testing.T, from *queuetest.Consumer, handle func(context.Context, []byte) ([]byte, error)) int {
	t.Helper()
	records, err := from.Receive(t.Context(), 10, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if len(records) == 0 {
		return 0
	}
	event, err := json.Marshal(map[string]any{"Records": records})
	if err != nil {
		t.Fatal(err)
	}
	out, err := handle(t.Context(), event)
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		BatchItemFailures []struct{ ItemIdentifier string }
	}
	if err := json.Unmarshal(out, &answer); err != nil {
		t.Fatal(err)
	}
	failed := map[string]bool{}
	for _, f := range answer.BatchItemFailures {
		failed[f.ItemIdentifier] = true
	}
	var done []string
	for _, r := range records {
		if !failed[r.MessageId] {
			done = append(done, r.ReceiptHandle)
		}
	}
	if err := from.Delete(t.Context(), done...); err != nil {
		t.Fatal(err)
	}
	return len(records)
}

// TestPoisonHurtsNobody has ten refunds in one queue, and the message of one of them
// arrives cut short: the nine go through, the tenth becomes a dead letter, and the
// sweep gives its money back from the rows.
func TestPoisonHurtsNobody(t *testing.T) {
	w := onServers(t)
	server := queuetest.Start(t, queuetest.Options{})
	if err := server.EnsureQueue("dead", nil); err != nil {
		t.Fatal(err)
	}
	policy := fmt.Sprintf(`{"deadLetterTargetArn":%q,"maxReceiveCount":3}`, server.ARN("dead"))
	if err := server.EnsureQueue("work", map[string]string{"VisibilityTimeout": "0", "RedrivePolicy": policy}); err != nil {
		t.Fatal(err)
	}

	product := w.product(10)
	bookings := make([]booking.Booking, 10)
	for i := range bookings {
		b := w.register(w.reserve(int64(100+i), product), card("100000"))
		if _, err := w.approve(b, "ok-"+b.HoldToken); err != nil {
			t.Fatal(err)
		}
		bookings[i] = b
	}
	poisoned := bookings[4]
	w.queuePort = garbled{queue.New(server.Options("work")), poisoned.ID, server.URL, server.QueueURL("work")}
	for _, b := range bookings {
		if r, err := w.cancel(b); err != nil || r.Deferred != nil {
			t.Fatalf("cancel: %v, deferred %v", err, r.Deferred)
		}
	}

	var log bytes.Buffer
	edge := api.New(api.Options{Log: &log})
	handler := edge.Batch(0, queue.Parse, w.compensateStep().Run)
	work := queuetest.NewConsumer(server.Options("work"), server.ARN("work"))
	for batches := 0; consume(t, work, handler.Invoke) > 0; batches++ {
		if batches > 10 {
			t.Fatal("the queue never empties")
		}
	}
	for _, b := range bookings {
		want := booking.PaymentCancelled
		if b.ID == poisoned.ID {
			want = booking.PaymentSuccess
		}
		w.wantStatus(b, booking.Cancelled, want)
	}
	w.wantNet("100000.00")
	dead, err := queuetest.NewConsumer(server.Options("dead"), server.ARN("dead")).Receive(t.Context(), 10, 0)
	if err != nil || len(dead) != 1 {
		t.Errorf("dead letters: %v %v", dead, err)
	}
	if !bytes.Contains(log.Bytes(), []byte(`"code":"INVALID_MESSAGE"`)) {
		t.Errorf("the log is silent:\n%s", &log)
	}

	if report := w.sweep(); report.Settled != 1 {
		t.Errorf("swept: %+v", report)
	}
	w.wantStatus(poisoned, booking.Cancelled, booking.PaymentCancelled)
	w.wantNet("0.00")
	w.wantAvailable(product, 10)
	w.wantSound()
}
