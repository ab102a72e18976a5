package queuetest_test

import (
	"net/http/httptrace"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

func millis(t *testing.T, m types.Message, name string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(m.Attributes[name], 10, 64)
	if err != nil {
		t.Errorf("%s: %v", name, err)
	}
	return n
}

func testMessageAttributes(t *testing.T, g target) {
	ctx := limit(t)
	url := g.create(t, "message-attributes", nil)
	body := "line\r\n\ttab \"quoted\" & <angled> 방 🏨"
	sent, err := g.client.SendMessage(ctx, &sqs.SendMessageInput{
		QueueUrl: &url, MessageBody: &body,
		MessageAttributes: map[string]types.MessageAttributeValue{
			"text":   {DataType: aws.String("String"), StringValue: aws.String("방")},
			"number": {DataType: aws.String("Number.int"), StringValue: aws.String("12")},
			"bytes":  {DataType: aws.String("Binary"), BinaryValue: []byte{0, 1, 255}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	// A fixed digest: both servers have to come to it, each by its own arithmetic.
	const digest = "8af8c5a6cd8b4b8306198a682e56e903"
	if got := aws.ToString(sent.MD5OfMessageAttributes); got != digest {
		t.Errorf("digest of the attributes sent: %s", got)
	}
	m := g.receiveOne(t, url, 30, 0)
	if aws.ToString(m.Body) != body || aws.ToString(m.MessageId) != aws.ToString(sent.MessageId) {
		t.Errorf("received %q as %s", aws.ToString(m.Body), aws.ToString(m.MessageId))
	}
	if aws.ToString(m.MD5OfBody) != aws.ToString(sent.MD5OfMessageBody) || aws.ToString(m.MD5OfMessageAttributes) != digest {
		t.Errorf("digests received: %s %s", aws.ToString(m.MD5OfBody), aws.ToString(m.MD5OfMessageAttributes))
	}
	if len(m.MessageAttributes) != 3 || aws.ToString(m.MessageAttributes["text"].StringValue) != "방" ||
		!slices.Equal(m.MessageAttributes["bytes"].BinaryValue, []byte{0, 1, 255}) {
		t.Errorf("attributes received: %v", m.MessageAttributes)
	}
	at := millis(t, m, "SentTimestamp")
	first := millis(t, m, "ApproximateFirstReceiveTimestamp")
	if now := time.Now().UnixMilli(); at < now-60000 || at > now+1000 || first < at || m.Attributes["ApproximateReceiveCount"] != "1" {
		t.Errorf("system attributes %v", m.Attributes)
	}
}

func testVisibility(t *testing.T, g target) {
	url := g.create(t, "visibility", map[string]string{"VisibilityTimeout": "1"})
	g.send(t, url, "again")
	hidden := time.Now()
	first := g.receiveOne(t, url, 2, 0)
	g.wantCounts(t, url, "0 1 0")
	if got := g.receive(t, url, 2, 0); len(got) != 0 && time.Since(hidden) < 2*time.Second {
		t.Error("received while invisible")
	}
	// The long poll ends when the timeout does.
	second := g.receiveOne(t, url, 30, 10)
	if waited := time.Since(hidden); waited < 1900*time.Millisecond {
		t.Errorf("visible again after %v, want 2 s", waited)
	}
	if second.Attributes["ApproximateReceiveCount"] != "2" {
		t.Errorf("receive count %s", second.Attributes["ApproximateReceiveCount"])
	}
	if second.Attributes["ApproximateFirstReceiveTimestamp"] != first.Attributes["ApproximateFirstReceiveTimestamp"] {
		t.Error("the time of the first receive changed")
	}
	if aws.ToString(first.ReceiptHandle) == aws.ToString(second.ReceiptHandle) {
		t.Error("two receives with one handle")
	}
}

func testChangeVisibility(t *testing.T, g target) {
	ctx := limit(t)
	url := g.create(t, "change-visibility", nil)
	g.send(t, url, "m")
	m := g.receiveOne(t, url, 1000, 0)
	if _, err := g.client.ChangeMessageVisibility(ctx, &sqs.ChangeMessageVisibilityInput{
		QueueUrl: &url, ReceiptHandle: m.ReceiptHandle, VisibilityTimeout: 0,
	}); err != nil {
		t.Fatal(err)
	}
	m = g.receiveOne(t, url, 1000, 5)
	out, err := g.client.ChangeMessageVisibilityBatch(ctx, &sqs.ChangeMessageVisibilityBatchInput{
		QueueUrl: &url, Entries: []types.ChangeMessageVisibilityBatchRequestEntry{
			{Id: aws.String("good"), ReceiptHandle: m.ReceiptHandle, VisibilityTimeout: 0},
			{Id: aws.String("bad"), ReceiptHandle: aws.String("nonsense"), VisibilityTimeout: 0},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Successful) != 1 || aws.ToString(out.Successful[0].Id) != "good" ||
		len(out.Failed) != 1 || aws.ToString(out.Failed[0].Code) != "ReceiptHandleIsInvalid" || !out.Failed[0].SenderFault {
		t.Errorf("batch: %+v %+v", out.Successful, out.Failed)
	}
	g.receiveOne(t, url, 1000, 5)
}

func testDelay(t *testing.T, g target) {
	url := g.create(t, "delay", map[string]string{"DelaySeconds": "2"})
	start := time.Now()
	g.send(t, url, "late")
	g.wantCounts(t, url, "0 0 1")
	if _, err := g.client.SendMessage(limit(t), &sqs.SendMessageInput{
		QueueUrl: &url, MessageBody: aws.String("latest"), DelaySeconds: 900,
	}); err != nil {
		t.Fatal(err)
	}
	m := g.receiveOne(t, url, 30, 10)
	if waited := time.Since(start); aws.ToString(m.Body) != "late" || waited < 1900*time.Millisecond {
		t.Errorf("received %q after %v, want the one with 2 s of delay", aws.ToString(m.Body), waited)
	}
	g.wantCounts(t, url, "0 1 1")
}

func testLongPoll(t *testing.T, g target) {
	url := g.create(t, "long-poll", nil)
	written := make(chan struct{}, 8)
	ctx := httptrace.WithClientTrace(limit(t), &httptrace.ClientTrace{
		WroteRequest: func(httptrace.WroteRequestInfo) { written <- struct{}{} },
	})
	type answer struct {
		out *sqs.ReceiveMessageOutput
		err error
	}
	answers := make(chan answer, 1)
	start := time.Now()
	go func() {
		out, err := g.client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: &url, WaitTimeSeconds: 20})
		answers <- answer{out, err}
	}()
	<-written
	g.send(t, url, "wake")
	got := <-answers
	if got.err != nil || len(got.out.Messages) != 1 || aws.ToString(got.out.Messages[0].Body) != "wake" {
		t.Fatalf("woken with %+v, %v", got.out, got.err)
	}
	if waited := time.Since(start); waited > 10*time.Second {
		t.Errorf("woken after %v", waited)
	}
}

func testEmptyLongPoll(t *testing.T, g target) {
	url := g.create(t, "empty-long-poll", nil)
	start := time.Now()
	if got := g.receive(t, url, 30, 1); len(got) != 0 {
		t.Errorf("received %d messages", len(got))
	}
	if waited := time.Since(start); waited < time.Second {
		t.Errorf("waited %v, want 1 s", waited)
	}
}

func testReceipts(t *testing.T, g target) {
	ctx := limit(t)
	// The SDK does not send a timeout of 0, so the queue has it.
	url := g.create(t, "receipts", map[string]string{"VisibilityTimeout": "0"})
	remove := func(handle *string) error {
		_, err := g.client.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: &url, ReceiptHandle: handle})
		return err
	}
	g.send(t, url, "m")
	first := g.receiveOne(t, url, 0, 0)
	second := g.receiveOne(t, url, 1000, 0)
	change := &sqs.ChangeMessageVisibilityInput{QueueUrl: &url, ReceiptHandle: first.ReceiptHandle}
	// moto lets a handle of an earlier receive act. On AWS its delete succeeds and
	// deletes nothing, and it cannot change the visibility.
	if g.ours {
		if err := remove(first.ReceiptHandle); err != nil {
			t.Errorf("delete with a stale handle: %v", err)
		}
		g.wantCounts(t, url, "0 1 0")
		_, err := g.client.ChangeMessageVisibility(ctx, change)
		wantCode(t, "change with a stale handle", err, "InvalidParameterValue")
	}
	if err := remove(second.ReceiptHandle); err != nil {
		t.Errorf("delete: %v", err)
	}
	g.wantCounts(t, url, "0 0 0")
	if err := remove(second.ReceiptHandle); err != nil {
		t.Errorf("delete again: %v", err)
	}
	change.ReceiptHandle = second.ReceiptHandle
	if _, err := g.client.ChangeMessageVisibility(ctx, change); err == nil {
		t.Error("changed the visibility of a message that is gone")
	}
	err := remove(aws.String("nonsense"))
	wantCode(t, "nonsense", err, "ReceiptHandleIsInvalid")
	wantType[*types.ReceiptHandleIsInvalid](t, "nonsense", err)
	// moto does not tell a visible message from one in flight.
	if g.ours {
		g.send(t, url, "n")
		change.ReceiptHandle = g.receiveOne(t, url, 0, 0).ReceiptHandle
		_, err := g.client.ChangeMessageVisibility(ctx, change)
		wantType[*types.MessageNotInflight](t, "not in flight", err)
	}
}

func testPartialBatch(t *testing.T, g target) {
	ctx := limit(t)
	url := g.create(t, "partial-batch", nil)
	out, err := g.client.SendMessageBatch(ctx, &sqs.SendMessageBatchInput{
		QueueUrl: &url, Entries: []types.SendMessageBatchRequestEntry{
			{Id: aws.String("a"), MessageBody: aws.String("one")},
			{Id: aws.String("b"), MessageBody: aws.String("two"), DelaySeconds: 901},
			{Id: aws.String("c"), MessageBody: aws.String("three")},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Successful) != 2 || len(out.Failed) != 1 {
		t.Fatalf("%d sent, %d refused", len(out.Successful), len(out.Failed))
	}
	if f := out.Failed[0]; aws.ToString(f.Id) != "b" || aws.ToString(f.Code) != "InvalidParameterValue" || !f.SenderFault {
		t.Errorf("refused: %s %s %v", aws.ToString(f.Id), aws.ToString(f.Code), f.SenderFault)
	}
	got := g.receive(t, url, 1000, 0)
	if len(got) != 2 {
		t.Fatalf("received %d messages", len(got))
	}
	gone, err := g.client.DeleteMessageBatch(ctx, &sqs.DeleteMessageBatchInput{
		QueueUrl: &url, Entries: []types.DeleteMessageBatchRequestEntry{
			{Id: aws.String("x"), ReceiptHandle: got[0].ReceiptHandle},
			{Id: aws.String("y"), ReceiptHandle: aws.String("nonsense")},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(gone.Successful) != 1 || aws.ToString(gone.Successful[0].Id) != "x" ||
		len(gone.Failed) != 1 || aws.ToString(gone.Failed[0].Code) != "ReceiptHandleIsInvalid" {
		t.Errorf("deleted %+v, failed %+v", gone.Successful, gone.Failed)
	}
	g.wantCounts(t, url, "0 1 0")
}

func testBatchRules(t *testing.T, g target) {
	url := g.create(t, "batch-rules", nil)
	send := func(ids ...string) error {
		entries := []types.SendMessageBatchRequestEntry{}
		for _, id := range ids {
			entries = append(entries, types.SendMessageBatchRequestEntry{Id: aws.String(id), MessageBody: aws.String("x")})
		}
		_, err := g.client.SendMessageBatch(limit(t), &sqs.SendMessageBatchInput{QueueUrl: &url, Entries: entries})
		return err
	}
	wantType[*types.EmptyBatchRequest](t, "no entry", send())
	wantType[*types.TooManyEntriesInBatchRequest](t, "eleven", send(strings.Split("abcdefghijk", "")...))
	wantType[*types.BatchEntryIdsNotDistinct](t, "twice", send("a", "b", "a"))
	wantType[*types.InvalidBatchEntryId](t, "bad id", send("a", "b!"))
	wantCode(t, "no entry", send(), "AWS.SimpleQueueService.EmptyBatchRequest")
	g.wantCounts(t, url, "0 0 0")
	if err := send(strings.Split("abcdefghij", "")...); err != nil {
		t.Errorf("ten: %v", err)
	}
	g.wantCounts(t, url, "10 0 0")
}

func testSizes(t *testing.T, g target) {
	ctx := limit(t)
	url := g.create(t, "sizes", nil)
	full := strings.Repeat("x", 1<<20)
	_, err := g.client.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: &url, MessageBody: aws.String(full + "x")})
	wantCode(t, "1 MiB and a byte", err, "InvalidParameterValue")
	g.send(t, url, full)
	if m := g.receiveOne(t, url, 30, 0); aws.ToString(m.Body) != full {
		t.Errorf("received %d bytes", len(aws.ToString(m.Body)))
	}
	_, err = g.client.SendMessageBatch(ctx, &sqs.SendMessageBatchInput{
		QueueUrl: &url, Entries: []types.SendMessageBatchRequestEntry{
			{Id: aws.String("a"), MessageBody: aws.String(full[:len(full)/2])},
			{Id: aws.String("b"), MessageBody: aws.String(full[:len(full)/2+1])},
		},
	})
	wantType[*types.BatchRequestTooLong](t, "a batch of 1 MiB and a byte", err)
}

func testRanges(t *testing.T, g target) {
	ctx := limit(t)
	url := g.create(t, "ranges", nil)
	for name, in := range map[string]sqs.ReceiveMessageInput{
		"eleven":            {MaxNumberOfMessages: 11},
		"wait of 21 s":      {WaitTimeSeconds: 21},
		"timeout of 12 h":   {VisibilityTimeout: 43201},
		"less than nothing": {MaxNumberOfMessages: -1},
	} {
		in.QueueUrl = &url
		_, err := g.client.ReceiveMessage(ctx, &in)
		wantCode(t, name, err, "InvalidParameterValue")
	}
	_, err := g.client.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: &url, MessageBody: aws.String("x"), DelaySeconds: 901})
	wantCode(t, "delay of 901 s", err, "InvalidParameterValue")
}
