package queuetest_test

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"
)

// wantCode checks the code that a caller of the SDK sees.
func wantCode(t *testing.T, what string, err error, codes ...string) {
	t.Helper()
	var api smithy.APIError
	if !errors.As(err, &api) {
		t.Errorf("%s: error %v, want %v", what, err, codes)
		return
	}
	if !slices.Contains(codes, api.ErrorCode()) {
		t.Errorf("%s: code %s, want %v", what, api.ErrorCode(), codes)
	}
	if api.ErrorFault() == smithy.FaultServer {
		t.Errorf("%s: counted as the server's fault", what)
	}
}

func wantType[E error](t *testing.T, what string, err error) {
	t.Helper()
	if _, ok := errors.AsType[E](err); !ok {
		t.Errorf("%s: error %v, want a %T", what, err, *new(E))
	}
}

func testQueues(t *testing.T, g target) {
	ctx := limit(t)
	url := g.create(t, "queues-a", map[string]string{"VisibilityTimeout": "77"})
	if !strings.HasSuffix(url, "/queues-a") {
		t.Errorf("URL %s", url)
	}
	if again := g.create(t, "queues-a", map[string]string{"VisibilityTimeout": "77"}); again != url {
		t.Errorf("created again as %s, was %s", again, url)
	}
	_, err := g.client.CreateQueue(ctx, &sqs.CreateQueueInput{
		QueueName: aws.String("queues-a"), Attributes: map[string]string{"VisibilityTimeout": "78"},
	})
	wantCode(t, "other attributes", err, "QueueAlreadyExists")
	if _, err := g.client.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: aws.String("no spaces")}); err == nil {
		t.Error("a bad name is accepted")
	}
	found, err := g.client.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: aws.String("queues-a")})
	if err != nil || aws.ToString(found.QueueUrl) != url {
		t.Errorf("GetQueueUrl: %v, %v", found, err)
	}
	g.create(t, "queues-b", nil)
	list, err := g.client.ListQueues(ctx, &sqs.ListQueuesInput{QueueNamePrefix: aws.String("queues-")})
	if err != nil || len(list.QueueUrls) != 2 || !slices.Contains(list.QueueUrls, url) {
		t.Errorf("ListQueues: %v, %v", list, err)
	}

	_, err = g.client.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: aws.String("nowhere")})
	wantCode(t, "GetQueueUrl", err, "AWS.SimpleQueueService.NonExistentQueue")
	wantType[*types.QueueDoesNotExist](t, "GetQueueUrl", err)
	nowhere := strings.Replace(url, "queues-a", "nowhere", 1)
	_, err = g.client.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: &nowhere, MessageBody: aws.String("x")})
	wantType[*types.QueueDoesNotExist](t, "SendMessage", err)
	_, err = g.client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: &nowhere})
	wantType[*types.QueueDoesNotExist](t, "ReceiveMessage", err)
	_, err = g.client.PurgeQueue(ctx, &sqs.PurgeQueueInput{QueueUrl: &nowhere})
	wantType[*types.QueueDoesNotExist](t, "PurgeQueue", err)
}

func testAttributes(t *testing.T, g target) {
	ctx := limit(t)
	url := g.create(t, "attributes", map[string]string{"ReceiveMessageWaitTimeSeconds": "3"})
	for name, want := range map[string]string{
		"VisibilityTimeout": "30", "DelaySeconds": "0", "MessageRetentionPeriod": "345600",
		"MaximumMessageSize": "1048576", "ReceiveMessageWaitTimeSeconds": "3",
		"ApproximateNumberOfMessages": "0",
	} {
		if got := g.attribute(t, url, name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if arn := g.attribute(t, url, "QueueArn"); !strings.HasPrefix(arn, "arn:aws:sqs:us-east-1:") || !strings.HasSuffix(arn, ":attributes") {
		t.Errorf("ARN %s", arn)
	}
	// AWS gives whole seconds, and moto a fraction.
	seconds, _, _ := strings.Cut(g.attribute(t, url, "CreatedTimestamp"), ".")
	if made, err := strconv.Atoi(seconds); err != nil || made < 1700000000 || made > 9999999999 {
		t.Errorf("created at %d (%v), want seconds", made, err)
	}
	_, err := g.client.SetQueueAttributes(ctx, &sqs.SetQueueAttributesInput{
		QueueUrl: &url, Attributes: map[string]string{"VisibilityTimeout": "41", "SqsManagedSseEnabled": "true"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"VisibilityTimeout": "41", "ReceiveMessageWaitTimeSeconds": "3", "SqsManagedSseEnabled": "true",
	} {
		if got := g.attribute(t, url, name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	_, err = g.client.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{
		QueueUrl: &url, AttributeNames: []types.QueueAttributeName{"Colour"},
	})
	wantCode(t, "unknown attribute", err, "InvalidAttributeName")
}

func testPurge(t *testing.T, g target) {
	url := g.create(t, "purge", nil)
	g.send(t, url, "a", "b", "c")
	g.receive(t, url, 30, 0)
	g.send(t, url, "d")
	if _, err := g.client.PurgeQueue(limit(t), &sqs.PurgeQueueInput{QueueUrl: &url}); err != nil {
		t.Fatal(err)
	}
	g.wantCounts(t, url, "0 0 0")
	if got := g.receive(t, url, 30, 0); len(got) != 0 {
		t.Errorf("%d messages after the purge", len(got))
	}
}

func redrive(arn string, limit int) string {
	return `{"deadLetterTargetArn":"` + arn + `","maxReceiveCount":` + strconv.Itoa(limit) + `}`
}

func testRedrive(t *testing.T, g target) {
	dead := g.create(t, "redrive-dead", nil)
	url := g.create(t, "redrive", map[string]string{
		"RedrivePolicy": redrive(g.attribute(t, dead, "QueueArn"), 2), "VisibilityTimeout": "0",
	})
	g.send(t, url, "poison")
	first := g.receiveOne(t, url, 0, 0)
	second := g.receiveOne(t, url, 0, 0)
	if aws.ToString(first.ReceiptHandle) == aws.ToString(second.ReceiptHandle) {
		t.Error("two receives with one handle")
	}
	g.wantCounts(t, dead, "0 0 0")
	if got := g.receive(t, url, 0, 0); len(got) != 0 {
		t.Fatalf("received a third time: %v", got)
	}
	g.wantCounts(t, url, "0 0 0")
	moved := g.receiveOne(t, dead, 30, 0)
	if aws.ToString(moved.Body) != "poison" || aws.ToString(moved.MessageId) != aws.ToString(first.MessageId) {
		t.Errorf("in the dead-letter queue: %s %s", aws.ToString(moved.MessageId), aws.ToString(moved.Body))
	}
	if moved.Attributes["SentTimestamp"] != first.Attributes["SentTimestamp"] {
		t.Error("the redrive changed the time of sending")
	}
}

func testRedrivePolicy(t *testing.T, g target) {
	ctx := limit(t)
	dead := g.create(t, "policy-dead", nil)
	arn := g.attribute(t, dead, "QueueArn")
	url := g.create(t, "policy", map[string]string{"VisibilityTimeout": "0"})
	set := func(policy string) error {
		_, err := g.client.SetQueueAttributes(ctx, &sqs.SetQueueAttributesInput{
			QueueUrl: &url, Attributes: map[string]string{"RedrivePolicy": policy},
		})
		return err
	}
	// A number in quotes is what CloudFormation sends.
	if err := set(`{"deadLetterTargetArn":"` + arn + `","maxReceiveCount":"1"}`); err != nil {
		t.Fatal(err)
	}
	g.send(t, url, "once")
	g.receiveOne(t, url, 0, 0)
	if got := g.receive(t, url, 0, 0); len(got) != 0 {
		t.Errorf("received %d messages beyond the limit", len(got))
	}
	for _, bad := range []string{"{", `{"maxReceiveCount":3}`, `{"deadLetterTargetArn":"` + arn + `"}`, redrive(arn+"-not", 3)} {
		if err := set(bad); err == nil {
			t.Errorf("accepted the policy %s", bad)
		}
	}
	if err := set(""); err != nil {
		t.Fatal(err)
	}
	if got := g.attribute(t, url, "RedrivePolicy"); got != "" {
		t.Errorf("the policy is still %s", got)
	}
}
