package queuetest_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// pair creates a queue and its dead-letter queue, with n messages in the latter
// that were received once too often in the former.
func (g target) pair(t *testing.T, name string, n int) (url, dead, arn string) {
	t.Helper()
	dead = g.create(t, name+"-dead", nil)
	arn = g.attribute(t, dead, "QueueArn")
	url = g.create(t, name, map[string]string{"RedrivePolicy": redrive(arn, 1), "VisibilityTimeout": "0"})
	for i := range n {
		g.send(t, url, "m"+strconv.Itoa(i))
	}
	for range 2 {
		g.receive(t, url, 0, 0)
	}
	g.wantCounts(t, dead, strconv.Itoa(n)+" 0 0")
	return url, dead, arn
}

// moved waits for the last task of the source to end.
func (g target) moved(t *testing.T, arn string) types.ListMessageMoveTasksResultEntry {
	t.Helper()
	for {
		out, err := g.client.ListMessageMoveTasks(limit(t), &sqs.ListMessageMoveTasksInput{SourceArn: &arn})
		if err != nil || len(out.Results) != 1 {
			t.Fatalf("tasks: %+v, %v", out, err)
		}
		if r := out.Results[0]; aws.ToString(r.Status) != "RUNNING" {
			return r
		}
		select {
		case <-limit(t).Done():
			t.Fatal("the task does not end")
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func testMoveTask(t *testing.T, g target) {
	ctx := limit(t)
	url, dead, arn := g.pair(t, "move", 3)
	start := func(in sqs.StartMessageMoveTaskInput) error {
		in.SourceArn = &arn
		_, err := g.client.StartMessageMoveTask(ctx, &in)
		return err
	}
	if err := start(sqs.StartMessageMoveTaskInput{}); err != nil {
		t.Fatal(err)
	}
	task := g.moved(t, arn)
	if aws.ToString(task.Status) != "COMPLETED" || task.ApproximateNumberOfMessagesMoved != 3 ||
		aws.ToInt64(task.ApproximateNumberOfMessagesToMove) != 3 || task.TaskHandle != nil {
		t.Errorf("task %+v", task)
	}
	g.wantCounts(t, dead, "0 0 0")
	got := g.receive(t, url, 30, 0)
	if len(got) != 3 || got[0].Attributes["ApproximateReceiveCount"] != "1" {
		t.Errorf("moved back: %d, %v", len(got), got)
	}

	// To a queue of one's choice; a message sent straight into the dead-letter
	// queue has no origin, and only goes there.
	g.send(t, dead, "stray")
	if err := start(sqs.StartMessageMoveTaskInput{}); err != nil {
		t.Fatal(err)
	}
	if task = g.moved(t, arn); aws.ToString(task.FailureReason) != "CouldNotDetermineMessageSource" {
		t.Errorf("a stray: %+v", task)
	}
	other := g.create(t, "move-other", nil)
	otherARN := g.attribute(t, other, "QueueArn")
	if err := start(sqs.StartMessageMoveTaskInput{DestinationArn: &otherARN}); err != nil {
		t.Fatal(err)
	}
	if task = g.moved(t, arn); aws.ToString(task.Status) != "COMPLETED" || aws.ToString(task.DestinationArn) != otherARN {
		t.Errorf("to another queue: %+v", task)
	}
	g.wantCounts(t, other, "1 0 0")

	wantType[*types.ResourceNotFoundException](t, "no destination", start(sqs.StartMessageMoveTaskInput{DestinationArn: aws.String(arn + "x")}))
	_, err := g.client.StartMessageMoveTask(ctx, &sqs.StartMessageMoveTaskInput{SourceArn: &otherARN})
	wantCode(t, "no dead-letter queue", err, "InvalidParameterValue")
	g.moveSlowly(t)
}

// moveSlowly looks at a task while it runs: there is one at a time, and it stops.
func (g target) moveSlowly(t *testing.T) {
	ctx := limit(t)
	_, dead, arn := g.pair(t, "slow-move", 5)
	in := &sqs.StartMessageMoveTaskInput{SourceArn: &arn, MaxNumberOfMessagesPerSecond: aws.Int32(1)}
	out, err := g.client.StartMessageMoveTask(ctx, in)
	if err != nil {
		t.Fatal(err)
	}
	_, err = g.client.StartMessageMoveTask(ctx, in)
	wantType[*types.UnsupportedOperation](t, "a second task", err)
	list, err := g.client.ListMessageMoveTasks(ctx, &sqs.ListMessageMoveTasksInput{SourceArn: &arn})
	if err != nil || len(list.Results) != 1 || aws.ToString(list.Results[0].TaskHandle) != aws.ToString(out.TaskHandle) {
		t.Fatalf("running: %+v, %v", list, err)
	}
	if _, err := g.client.CancelMessageMoveTask(ctx, &sqs.CancelMessageMoveTaskInput{TaskHandle: out.TaskHandle}); err != nil {
		t.Fatal(err)
	}
	if task := g.moved(t, arn); aws.ToString(task.Status) != "CANCELLED" {
		t.Errorf("cancelled: %+v", task)
	}
	if left := g.attribute(t, dead, "ApproximateNumberOfMessages"); left == "0" {
		t.Error("all moved in spite of the cancel")
	}
}
