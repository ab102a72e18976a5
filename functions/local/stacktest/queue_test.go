package stacktest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// queue speaks to the stack's SQS.
func (s *stack) queue(t testing.TB, action string, input map[string]any, output any) {
	t.Helper()
	text, err := json.Marshal(input)
	if err != nil {
		t.Fatal(err)
	}
	a := send(http.MethodPost, s.sqs, string(text), "Content-Type", "application/x-amz-json-1.0", "X-Amz-Target", "AmazonSQS."+action).want(t, 200)
	if output != nil {
		if err := json.Unmarshal(a.body, output); err != nil {
			t.Fatalf("%v: %v", err, a)
		}
	}
}

// waiting is how many messages a queue holds, seen or unseen.
func (s *stack) waiting(t testing.TB, url string) (n int) {
	t.Helper()
	var got struct{ Attributes map[string]string }
	s.queue(t, "GetQueueAttributes", map[string]any{"QueueUrl": url, "AttributeNames": []string{"All"}}, &got)
	for _, name := range []string{"ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed"} {
		var part int
		if _, err := fmt.Sscan(got.Attributes[name], &part); err != nil {
			t.Fatalf("%s: %v in %v", name, err, got.Attributes)
		}
		n += part
	}
	return n
}

// deadLetters is the URL of the dead-letter queue, as the queue's own attributes name it.
func (s *stack) deadLetters(t testing.TB) string {
	t.Helper()
	var got struct{ Attributes map[string]string }
	s.queue(t, "GetQueueAttributes", map[string]any{"QueueUrl": s.queueURL, "AttributeNames": []string{"RedrivePolicy"}}, &got)
	var policy struct{ DeadLetterTargetArn string }
	if err := json.Unmarshal([]byte(got.Attributes["RedrivePolicy"]), &policy); err != nil {
		t.Fatalf("%v: %v", err, got)
	}
	var found struct{ QueueURL string }
	s.queue(t, "GetQueueUrl", map[string]any{"QueueName": policy.DeadLetterTargetArn[strings.LastIndexByte(policy.DeadLetterTargetArn, ':')+1:]}, &found)
	return found.QueueURL
}

var hasty = regexp.MustCompile(`VisibilityTimeout: \d+`)

// The same template, but a message that failed is given again at once: nobody waits half an hour for a dead letter.
func hastyQueue(t *testing.T) string {
	t.Helper()
	dir := ownDir(t)
	text, err := os.ReadFile(filepath.Join(root, "template.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if !hasty.Match(text) {
		t.Fatal("the template has no VisibilityTimeout")
	}
	text = hasty.ReplaceAll(text, []byte("VisibilityTimeout: 1"))
	if err := os.WriteFile(filepath.Join(dir, "template.yaml"), text, 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestMalformedMessagesEndAsDeadLetters(t *testing.T) {
	t.Parallel()
	s := startIn(t, hastyQueue(t), "SWEEP_INTERVAL=1h")
	b := s.buyer(t)
	done := b.bought(t, s.product(t, 1), oneCard)
	dead := s.deadLetters(t)
	var entries []map[string]any
	bad := []string{
		`not json`, `{"version":2,"task":"compensate","bookingId":1}`, `{"version":1,"task":"refund","bookingId":1}`,
		`{"version":1,"task":"resolve","bookingId":"1"}`, `{"version":1,"task":"resolve","bookingId":1,"extra":true}`,
		`{"version":1,"task":"resolve","bookingId":-1}`,
	}
	for i, body := range append(bad,
		// These are well formed; they are owed nothing, or speak of nobody's booking.
		fmt.Sprintf(`{"version":1,"task":"compensate","bookingId":%d}`, done.BookingID),
		fmt.Sprintf(`{"version":1,"task":"resolve","bookingId":%d}`, done.BookingID),
		`{"version":1,"task":"compensate","bookingId":999999999}`,
	) {
		entries = append(entries, map[string]any{"Id": fmt.Sprint(i), "MessageBody": body})
	}
	s.queue(t, "SendMessageBatch", map[string]any{"QueueUrl": s.queueURL, "Entries": entries}, nil)
	eventually(t, 40*time.Second, "the dead letters", func() error {
		if live, gone := s.waiting(t, s.queueURL), s.waiting(t, dead); live != 0 || gone != len(bad) {
			return fmt.Errorf("%d in the queue and %d dead letters, want 0 and %d", live, gone, len(bad))
		}
		return nil
	})
	if got := b.booking(t, done.BookingID); got.Status != "CONFIRMED" || got.Refund.State != "NONE" {
		t.Errorf("a forged hint did something: %+v", got)
	}
	s.oneCharge(t, done, "100000.00", false)
	s.audited(t, 0)
}

// record is an SQS record as Lambda hands it over.
func record(id, body string) map[string]any {
	return map[string]any{
		"messageId": id, "receiptHandle": "handle-" + id, "body": body, "eventSource": "aws:sqs", "awsRegion": "us-east-1",
		"eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:CompensationQueue", "messageAttributes": map[string]any{},
		"attributes": map[string]string{"ApproximateReceiveCount": "1", "SentTimestamp": "1795327200000"},
	}
}

// Nine messages that matter and one that nobody can read, in one batch.
func TestPoisonInABatchOfTen(t *testing.T) {
	t.Parallel()
	s := mainStack.get(t)
	const buyers = 9
	all := s.buyers(t, buyers)
	bookings := make([]booking, buyers)
	product := s.product(t, buyers)
	for i, b := range all {
		bookings[i] = b.registered(t, product, oneCard)
	}
	atOnce(buyers, func(i int) { all[i].approve(bookings[i].BookingID, key("lost")) })
	records := []map[string]any{}
	for i := range 10 {
		body := `{"version":1,"task":"resolve","bookingId":`
		if i < buyers {
			body = fmt.Sprintf(`{"version":1,"task":"resolve","bookingId":%d}`, bookings[i].BookingID)
		}
		records = append(records, record(fmt.Sprintf("m-%d", i), body))
	}
	records[4], records[9] = records[9], records[4]
	text, err := json.Marshal(map[string]any{"Records": records})
	if err != nil {
		t.Fatal(err)
	}
	a := s.invoke("CompensateFunction", string(text)).want(t, 200)
	var got struct {
		BatchItemFailures []struct{ ItemIdentifier string }
	}
	if err := json.Unmarshal(a.body, &got); err != nil || a.header.Get("X-Amz-Function-Error") != "" {
		t.Fatalf("%v: %v", err, a)
	}
	for _, f := range got.BatchItemFailures {
		// A booking that the real queue's message is at work on may come again; the poison has to.
		if f.ItemIdentifier != "m-9" && len(got.BatchItemFailures) == 10 {
			t.Errorf("one bad record failed them all: %v", a)
		}
	}
	if !strings.Contains(string(a.body), `"m-9"`) {
		t.Errorf("the bad record was acknowledged: %v", a)
	}
	for i, b := range all {
		b.becomes(t, bookings[i].BookingID, resolveWithin, "PAYMENT_PENDING", "SUCCESS", "APPROVED")
		b.complete(bookings[i].BookingID).want(t, 200)
		s.oneCharge(t, bookings[i], "100000.00", false)
	}
	s.audited(t, product)
}
