package queuetest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"stayhold/shared/queue/queuetest"
)

// reply is the status and the headers of an answer.
type reply struct {
	status int
	header http.Header
}

// call sends one raw request and gives the answer with its body decoded.
func call(t *testing.T, handler http.Handler, operation, body string) (reply, map[string]any) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "http://127.0.0.1:3003/", strings.NewReader(body))
	r.Header.Set("X-Amz-Target", "AmazonSQS."+operation)
	r.Header.Set("Content-Type", "application/x-amz-json-1.0")
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	answer := map[string]any{}
	if w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			t.Fatalf("%s answers %q: %v", operation, w.Body, err)
		}
	}
	return reply{w.Code, w.Header()}, answer
}

func open(t *testing.T, options queuetest.Options) *queuetest.Server {
	t.Helper()
	s, err := queuetest.New(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// Closed by most tests before.
		_ = s.Close()
	})
	return s
}

func TestWireForm(t *testing.T) {
	t.Parallel()
	s := open(t, queuetest.Options{})
	_, made := call(t, s, "CreateQueue", `{"QueueName":"q"}`)
	const url = "http://127.0.0.1:3003/000000000000/q"
	if made["QueueUrl"] != url {
		t.Errorf("QueueUrl %v", made["QueueUrl"])
	}
	for name, c := range map[string]struct {
		operation, body string
		status          int
		shape, header   string
	}{
		"no queue":       {"SendMessage", `{"QueueUrl":"http://h/000000000000/none","MessageBody":"x"}`, 400, "com.amazonaws.sqs#QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue;Sender"},
		"other account":  {"SendMessage", `{"QueueUrl":"http://h/111111111111/q","MessageBody":"x"}`, 400, "com.amazonaws.sqs#QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue;Sender"},
		"no URL":         {"SendMessage", ``, 400, "com.amazon.coral.service#MissingRequiredParameterException", "MissingParameter;Sender"},
		"no body":        {"SendMessage", `{"QueueUrl":"` + url + `"}`, 400, "com.amazon.coral.service#MissingRequiredParameterException", "MissingParameter;Sender"},
		"control":        {"SendMessage", `{"QueueUrl":"` + url + `","MessageBody":"a\u0000b"}`, 400, "com.amazonaws.sqs#InvalidMessageContents", "InvalidMessageContents;Sender"},
		"not JSON":       {"SendMessage", `{"QueueUrl":`, 400, "com.amazon.coral.service#SerializationException", "MalformedInput;Sender"},
		"not UTF-8":      {"SendMessage", "{\"MessageBody\":\"\xff\"}", 400, "com.amazon.coral.service#SerializationException", "MalformedInput;Sender"},
		"wrong type":     {"SendMessage", `{"QueueUrl":5}`, 400, "com.amazon.coral.service#SerializationException", "MalformedInput;Sender"},
		"FIFO member":    {"SendMessage", `{"QueueUrl":"` + url + `","MessageBody":"x","MessageGroupId":"g"}`, 400, "com.amazon.coral.service#InvalidParameterValueException", "InvalidParameterValue;Sender"},
		"FIFO queue":     {"CreateQueue", `{"QueueName":"q2","Attributes":{"FifoQueue":"true"}}`, 400, "com.amazonaws.sqs#InvalidAttributeName", "InvalidAttributeName;Sender"},
		"out of range":   {"SetQueueAttributes", `{"QueueUrl":"` + url + `","Attributes":{"VisibilityTimeout":"43201"}}`, 400, "com.amazonaws.sqs#InvalidAttributeValue", "InvalidAttributeValue;Sender"},
		"own dead queue": {"SetQueueAttributes", `{"QueueUrl":"` + url + `","Attributes":{"RedrivePolicy":"{\"deadLetterTargetArn\":\"arn:aws:sqs:us-east-1:000000000000:q\",\"maxReceiveCount\":1}"}}`, 400, "com.amazon.coral.service#InvalidParameterValueException", "InvalidParameterValue;Sender"},
		"bad attribute":  {"SendMessage", `{"QueueUrl":"` + url + `","MessageBody":"x","MessageAttributes":{"n":{"DataType":"Number","StringValue":"one"}}}`, 400, "com.amazon.coral.service#InvalidParameterValueException", "InvalidParameterValue;Sender"},
		"no operation":   {"DeleteQueue", `{}`, 400, "com.amazon.coral.service#UnknownOperationException", "InvalidAction;Sender"},
	} {
		response, answer := call(t, s, c.operation, c.body)
		if response.status != c.status || answer["__type"] != c.shape || response.header.Get("X-Amzn-Query-Error") != c.header {
			t.Errorf("%s: %d %v %s", name, response.status, answer["__type"], response.header.Get("X-Amzn-Query-Error"))
		}
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("GET: %d", w.Code)
	}
}

func TestListQueuesInPages(t *testing.T) {
	t.Parallel()
	s := open(t, queuetest.Options{})
	for i := range 5 {
		if err := s.EnsureQueue("q"+strconv.Itoa(i), nil); err != nil {
			t.Fatal(err)
		}
	}
	token, seen := "", 0
	for pages := 1; ; pages++ {
		_, answer := call(t, s, "ListQueues", `{"MaxResults":2,"NextToken":"`+token+`"}`)
		urls, ok := answer["QueueUrls"].([]any)
		if !ok {
			t.Fatalf("page %d: %v", pages, answer)
		}
		seen += len(urls)
		next, more := answer["NextToken"].(string)
		if !more {
			if seen != 5 || pages != 3 {
				t.Errorf("%d queues on %d pages", seen, pages)
			}
			return
		}
		token = next
	}
}

func TestRetention(t *testing.T) {
	t.Parallel()
	now := time.Unix(1800000000, 0)
	s := open(t, queuetest.Options{Now: func() time.Time { return now }})
	if err := s.EnsureQueue("q", map[string]string{"MessageRetentionPeriod": "60"}); err != nil {
		t.Fatal(err)
	}
	const q = `"QueueUrl":"http://h/000000000000/q"`
	call(t, s, "SendMessage", `{`+q+`,"MessageBody":"old"}`)
	now = now.Add(61 * time.Second)
	call(t, s, "SendMessage", `{`+q+`,"MessageBody":"new"}`)
	_, answer := call(t, s, "ReceiveMessage", `{`+q+`,"MaxNumberOfMessages":10}`)
	if got, ok := answer["Messages"].([]any); !ok || len(got) != 1 {
		t.Errorf("received %v", answer)
	}
}

// corrupting answers as the server behind it does, with another digest.
type corrupting struct{ http.Handler }

func (c corrupting) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	recorder := httptest.NewRecorder()
	c.Handler.ServeHTTP(recorder, r)
	body := recorder.Body.Bytes()
	// The digest of "x".
	body = bytes.ReplaceAll(body, []byte("9dd4e461268c8034f5c8564e155c67a6"), []byte("00000000000000000000000000000000"))
	w.WriteHeader(recorder.Code)
	_, _ = w.Write(body)
}

// The conformance suite relies on the client to check digests: here is that it does.
func TestClientRefusesAWrongDigest(t *testing.T) {
	t.Parallel()
	s := open(t, queuetest.Options{})
	if err := s.EnsureQueue("q", nil); err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(corrupting{s})
	defer web.Close()
	c := client(web.URL)
	url := web.URL + "/000000000000/q"
	_, err := c.SendMessage(limit(t), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: aws.String("x")})
	if err == nil || !strings.Contains(err.Error(), "checksum") {
		t.Errorf("send: %v", err)
	}
	_, err = c.ReceiveMessage(limit(t), &sqs.ReceiveMessageInput{QueueUrl: &url})
	if err == nil || !strings.Contains(err.Error(), "checksum") {
		t.Errorf("receive: %v", err)
	}
}

// Many at once: each message is received once while it is invisible, and none is lost.
func TestConcurrentReceivers(t *testing.T) {
	t.Parallel()
	const senders, each = 4, 50
	server := queuetest.Start(t, queuetest.Options{Dir: t.TempDir()})
	if err := server.EnsureQueue("q", map[string]string{"VisibilityTimeout": "600"}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	options := server.Options("q")
	c := client(server.URL)
	var mu sync.Mutex
	seen := map[string]int{}
	var group sync.WaitGroup
	for n := range senders {
		group.Go(func() {
			for i := range each {
				body := strconv.Itoa(n) + "-" + strconv.Itoa(i)
				if _, err := c.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: &options.QueueURL, MessageBody: &body}); err != nil {
					t.Errorf("send: %v", err)
				}
			}
		})
		group.Go(func() {
			consumer := queuetest.NewConsumer(options, server.ARN("q"))
			for {
				got, err := consumer.Receive(ctx, 7, time.Second)
				if err != nil {
					t.Errorf("receive: %v", err)
					return
				}
				var handles []string
				mu.Lock()
				for _, m := range got {
					seen[m.Body]++
					handles = append(handles, m.ReceiptHandle)
				}
				done := len(seen) == senders*each
				mu.Unlock()
				if err := consumer.Delete(ctx, handles...); err != nil {
					t.Errorf("delete: %v", err)
				}
				if done {
					return
				}
			}
		})
	}
	group.Wait()
	for body, n := range seen {
		if n != 1 {
			t.Errorf("%s was received %d times", body, n)
		}
	}
	if len(seen) != senders*each {
		t.Errorf("received %d of %d", len(seen), senders*each)
	}
}

func TestConsumerGivesLambdaRecords(t *testing.T) {
	t.Parallel()
	server := queuetest.Start(t, queuetest.Options{})
	if err := server.EnsureQueue("q", nil); err != nil {
		t.Fatal(err)
	}
	call(t, server, "SendMessage", `{"QueueUrl":"`+server.QueueURL("q")+`","MessageBody":"b","MessageAttributes":{"a":{"DataType":"String","StringValue":"v"}}}`)
	consumer := queuetest.NewConsumer(server.Options("q"), server.ARN("q"))
	got, err := consumer.Receive(limit(t), 10, time.Second)
	if err != nil || len(got) != 1 {
		t.Fatalf("received %v, %v", got, err)
	}
	m := got[0]
	if m.Body != "b" || m.EventSource != "aws:sqs" || m.EventSourceARN != "arn:aws:sqs:us-east-1:000000000000:q" ||
		m.AWSRegion != "us-east-1" || m.Attributes["ApproximateReceiveCount"] != "1" ||
		aws.ToString(m.MessageAttributes["a"].StringValue) != "v" || m.Md5OfBody == "" || m.MessageId == "" {
		t.Errorf("record %+v", m)
	}
	if err := consumer.Delete(limit(t), m.ReceiptHandle); err != nil {
		t.Error(err)
	}
	if err := consumer.Delete(limit(t), "nonsense"); err == nil {
		t.Error("deleted nonsense")
	}
}

// A poll that waits when the server closes ends at once, and so does its test.
func TestCloseEndsLongPolls(t *testing.T) {
	t.Parallel()
	s := open(t, queuetest.Options{})
	if err := s.EnsureQueue("q", nil); err != nil {
		t.Fatal(err)
	}
	reading := make(chan struct{})
	r := httptest.NewRequest(http.MethodPost, "/", io.MultiReader(
		strings.NewReader(`{"QueueUrl":"http://h/000000000000/q","WaitTimeSeconds":20}`), latch{reading}))
	r.Header.Set("X-Amz-Target", "AmazonSQS.ReceiveMessage")
	done := make(chan int, 1)
	go func() {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		done <- w.Code
	}()
	<-reading
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Error("the poll goes on")
	}
}

// latch is an empty reader that tells when it is read.
type latch struct{ read chan struct{} }

func (l latch) Read([]byte) (int, error) {
	close(l.read)
	return 0, io.EOF
}
