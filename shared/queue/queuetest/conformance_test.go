package queuetest_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"stayhold/shared/queue"
	"stayhold/shared/queue/queuetest"
)

// target is a server under the suite, reached through the SDK's own client, which
// checks the MD5 of every body sent and received.
type target struct {
	client *sqs.Client
	// ours is false for moto; what only ours is held to says why at the place.
	ours bool
}

// TestConformance holds our server and a third party's to the same behaviour.
func TestConformance(t *testing.T) {
	t.Parallel()
	t.Run("ours", func(t *testing.T) {
		t.Parallel()
		server := queuetest.Start(t, queuetest.Options{Dir: t.TempDir()})
		suite(t, target{client: client(server.URL), ours: true})
	})
	t.Run("moto", func(t *testing.T) {
		t.Parallel()
		suite(t, target{client: client(startMoto(t))})
	})
}

func client(endpoint string) *sqs.Client {
	return queue.NewClient(queue.Options{
		Endpoint: endpoint, Region: "us-east-1", Timeout: 40 * time.Second,
		AccessKeyID: "test", SecretAccessKey: "test",
	})
}

func suite(t *testing.T, g target) {
	for name, test := range map[string]func(*testing.T, target){
		"queues":             testQueues,
		"attributes":         testAttributes,
		"message attributes": testMessageAttributes,
		"visibility":         testVisibility,
		"change visibility":  testChangeVisibility,
		"delay":              testDelay,
		"long poll":          testLongPoll,
		"empty long poll":    testEmptyLongPoll,
		"receipts":           testReceipts,
		"partial batch":      testPartialBatch,
		"batch rules":        testBatchRules,
		"sizes":              testSizes,
		"ranges":             testRanges,
		"purge":              testPurge,
		"redrive":            testRedrive,
		"redrive policy":     testRedrivePolicy,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, g)
		})
	}
	if g.ours {
		// moto has no StartMessageMoveTask.
		t.Run("move task", func(t *testing.T) {
			t.Parallel()
			testMoveTask(t, g)
		})
	}
}

// limit bounds every call of a test, so that a server that hangs fails it.
func limit(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func (g target) create(t *testing.T, name string, attributes map[string]string) string {
	t.Helper()
	out, err := g.client.CreateQueue(limit(t), &sqs.CreateQueueInput{QueueName: &name, Attributes: attributes})
	if err != nil {
		t.Fatalf("create %s: %v", name, err)
	}
	return aws.ToString(out.QueueUrl)
}

func (g target) send(t *testing.T, url string, bodies ...string) {
	t.Helper()
	for _, body := range bodies {
		if _, err := g.client.SendMessage(limit(t), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: &body}); err != nil {
			t.Fatalf("send: %v", err)
		}
	}
}

// receive asks for all attributes of up to ten messages; a timeout of 0 is the
// queue's own, as the SDK does not send it.
func (g target) receive(t *testing.T, url string, timeout, wait int32) []types.Message {
	t.Helper()
	out, err := g.client.ReceiveMessage(limit(t), &sqs.ReceiveMessageInput{
		QueueUrl: &url, MaxNumberOfMessages: 10, VisibilityTimeout: timeout, WaitTimeSeconds: wait,
		MessageAttributeNames:       []string{"All"},
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll},
	})
	if err != nil {
		t.Fatalf("receive: %v", err)
	}
	return out.Messages
}

func (g target) receiveOne(t *testing.T, url string, timeout, wait int32) types.Message {
	t.Helper()
	got := g.receive(t, url, timeout, wait)
	if len(got) != 1 {
		t.Fatalf("received %d messages, want 1", len(got))
	}
	return got[0]
}

func (g target) attribute(t *testing.T, url, name string) string {
	t.Helper()
	out, err := g.client.GetQueueAttributes(limit(t), &sqs.GetQueueAttributesInput{
		QueueUrl: &url, AttributeNames: []types.QueueAttributeName{types.QueueAttributeName(name)},
	})
	if err != nil {
		t.Fatalf("attribute %s: %v", name, err)
	}
	return out.Attributes[name]
}

// counts gives the messages visible, in flight and delayed.
func (g target) counts(t *testing.T, url string) string {
	t.Helper()
	return fmt.Sprint(
		g.attribute(t, url, "ApproximateNumberOfMessages"), " ",
		g.attribute(t, url, "ApproximateNumberOfMessagesNotVisible"), " ",
		g.attribute(t, url, "ApproximateNumberOfMessagesDelayed"))
}

func (g target) wantCounts(t *testing.T, url, want string) {
	t.Helper()
	if got := g.counts(t, url); got != want {
		t.Errorf("visible, in flight, delayed: %s, want %s", got, want)
	}
}
