package queuetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"stayhold/shared/queue"
)

// longestPoll is what SQS allows for one receive; a call gets somewhat more.
const longestPoll = 20 * time.Second

// Consumer reads a queue as Lambda's event source mapping does, from this server
// or any other that speaks SQS.
type Consumer struct {
	client *sqs.Client
	url    string
	arn    string
	region string
}

// NewConsumer gives a consumer of the queue that the options name. The ARN is what
// records carry as their source.
func NewConsumer(options queue.Options, arn string) *Consumer {
	options.Timeout = longestPoll + 5*time.Second
	return &Consumer{
		client: queue.NewClient(options), url: options.QueueURL, arn: arn,
		region: cmp.Or(options.Region, defaultRegion),
	}
}

// Receive gives up to limit (1-10) messages in the form of a function's event, and
// waits for the first up to wait (at most 20 s, whole seconds). None is no error.
func (c *Consumer) Receive(ctx context.Context, limit int, wait time.Duration) ([]events.SQSMessage, error) {
	out, err := c.client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
		QueueUrl:                    aws.String(c.url),
		MaxNumberOfMessages:         int32(limit),
		WaitTimeSeconds:             int32(min(wait, longestPoll) / time.Second),
		MessageAttributeNames:       []string{"All"},
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll},
	})
	if err != nil {
		return nil, fmt.Errorf("receive from %s: %w", c.url, err)
	}
	records := make([]events.SQSMessage, len(out.Messages))
	for i, m := range out.Messages {
		records[i] = events.SQSMessage{
			MessageId: aws.ToString(m.MessageId), ReceiptHandle: aws.ToString(m.ReceiptHandle),
			Body: aws.ToString(m.Body), Md5OfBody: aws.ToString(m.MD5OfBody),
			Md5OfMessageAttributes: aws.ToString(m.MD5OfMessageAttributes), Attributes: m.Attributes,
			MessageAttributes: make(map[string]events.SQSMessageAttribute, len(m.MessageAttributes)),
			EventSourceARN:    c.arn, EventSource: "aws:sqs", AWSRegion: c.region,
		}
		for name, a := range m.MessageAttributes {
			records[i].MessageAttributes[name] = events.SQSMessageAttribute{
				DataType: aws.ToString(a.DataType), StringValue: a.StringValue, BinaryValue: a.BinaryValue,
			}
		}
	}
	return records, nil
}

// Delete takes the messages of these receipt handles off the queue. An error names
// what is still there; those come again when their visibility timeout is over.
func (c *Consumer) Delete(ctx context.Context, receiptHandles ...string) error {
	var faults []error
	for first := 0; first < len(receiptHandles); first += 10 {
		chunk := receiptHandles[first:min(first+10, len(receiptHandles))]
		entries := make([]types.DeleteMessageBatchRequestEntry, len(chunk))
		for i, receipt := range chunk {
			entries[i] = types.DeleteMessageBatchRequestEntry{
				Id: aws.String(strconv.Itoa(i)), ReceiptHandle: aws.String(receipt),
			}
		}
		out, err := c.client.DeleteMessageBatch(ctx, &sqs.DeleteMessageBatchInput{
			QueueUrl: aws.String(c.url), Entries: entries,
		})
		if err != nil {
			faults = append(faults, fmt.Errorf("delete from %s: %w", c.url, err))
			continue
		}
		for _, failed := range out.Failed {
			faults = append(faults, fmt.Errorf("delete from %s: %s: %s",
				c.url, aws.ToString(failed.Code), aws.ToString(failed.Message)))
		}
	}
	return errors.Join(faults...)
}
