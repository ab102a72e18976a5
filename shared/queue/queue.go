// Package queue hands messages to SQS and reads their bodies.
//
// A message is a hint: the rows of the booking decide what is done about it. So a
// body carries a task and a booking id and nothing that could be believed, and
// every body that is not exactly of that form is refused by Parse.
//
// When Send fails, any part of what it was given may have been delivered, once or
// twice; the sender's outbox row stays and the sweep sends it again. When Parse
// fails, the record is reported as failed and ends in the dead-letter queue.
package queue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"stayhold/shared/booking"
)

const (
	batchSize = 10 // entries of one SendMessageBatch, set by SQS
	// Two attempts: the second is for a connection that died while the environment
	// was frozen. What still fails is the sweep's, not the waiting buyer's.
	maxAttempts    = 2
	maxBackoff     = 200 * time.Millisecond
	defaultTimeout = 3 * time.Second
	defaultRegion  = "us-east-1"
)

// Options says which queue, where, and as whom. The package reads no environment
// variable and no file: on Lambda the values are those of AWS_REGION,
// AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN and
// AWS_ENDPOINT_URL_SQS, which last for the life of an environment.
type Options struct {
	QueueURL        string
	Endpoint        string // empty: the AWS endpoint of Region
	Region          string // empty: us-east-1
	AccessKeyID     string
	SecretAccessKey string
	SessionToken    string        // empty: long-lived credentials
	Timeout         time.Duration // of one attempt, answer included; 0: 3 s
}

// Sender is the booking.Queue on SQS. It is safe for concurrent use.
type Sender struct {
	client *sqs.Client
	url    string
}

var _ booking.Queue = (*Sender)(nil)

// New builds a Sender and opens no connection.
func New(options Options) *Sender {
	return &Sender{client: NewClient(options), url: options.QueueURL}
}

// NewClient builds the SDK's client from values alone: loading its default
// configuration would cost every cold start a search for files.
func NewClient(options Options) *sqs.Client {
	static := sqs.Options{
		Region: cmp.Or(options.Region, defaultRegion),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			if options.AccessKeyID == "" || options.SecretAccessKey == "" {
				return aws.Credentials{}, errors.New("queue: no credentials")
			}
			return aws.Credentials{
				AccessKeyID:     options.AccessKeyID,
				SecretAccessKey: options.SecretAccessKey,
				SessionToken:    options.SessionToken,
			}, nil
		}),
		HTTPClient: ownBody{newHTTPClient(cmp.Or(options.Timeout, defaultTimeout))},
		Retryer: retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxAttempts = maxAttempts
			o.MaxBackoff = maxBackoff
			o.RateLimiter = ratelimit.None
		}),
	}
	if options.Endpoint != "" {
		static.BaseEndpoint = aws.String(options.Endpoint)
	}
	return sqs.New(static)
}

// Send hands all messages over, one by SendMessage, more by SendMessageBatch of at
// most ten. An error means that some may have been sent and some not. A message
// that Parse would refuse is an error before anything is sent. The context's
// deadline bounds all attempts together.
func (s *Sender) Send(ctx context.Context, messages ...booking.Message) error {
	bodies := make([]string, len(messages))
	for i, m := range messages {
		body, err := Encode(m)
		if err != nil {
			return err
		}
		bodies[i] = body
	}
	if len(bodies) == 1 {
		return s.sendOne(ctx, bodies[0])
	}
	var refused []error
	for first := 0; first < len(bodies); first += batchSize {
		chunk := bodies[first:min(first+batchSize, len(bodies))]
		out, err := s.client.SendMessageBatch(ctx, &sqs.SendMessageBatchInput{
			QueueUrl: aws.String(s.url), Entries: entries(chunk),
		})
		if err != nil {
			// No answer from SQS: the next chunk would only wait as long again.
			return errors.Join(append(refused, fmt.Errorf("queue: send batch: %w", err))...)
		}
		if err := checkBatch(out, chunk); err != nil {
			refused = append(refused, err)
		}
	}
	return errors.Join(refused...)
}

func (s *Sender) sendOne(ctx context.Context, body string) error {
	_, err := s.client.SendMessage(ctx, &sqs.SendMessageInput{
		QueueUrl: aws.String(s.url), MessageBody: aws.String(body),
	})
	if err != nil {
		return fmt.Errorf("queue: send: %w", err)
	}
	return nil
}

func entries(bodies []string) []types.SendMessageBatchRequestEntry {
	list := make([]types.SendMessageBatchRequestEntry, len(bodies))
	for i, body := range bodies {
		list[i] = types.SendMessageBatchRequestEntry{
			Id: aws.String(strconv.Itoa(i)), MessageBody: aws.String(body),
		}
	}
	return list
}

// checkBatch trusts only an answer that accounts for every entry: a batch that is
// refused in part is a 200.
func checkBatch(out *sqs.SendMessageBatchOutput, bodies []string) error {
	answered := make(map[string]bool, len(bodies))
	for _, sent := range out.Successful {
		answered[aws.ToString(sent.Id)] = true
	}
	var faults []error
	for _, failed := range out.Failed {
		answered[aws.ToString(failed.Id)] = true
		faults = append(faults, fmt.Errorf("queue: entry %s refused: %s: %s",
			aws.ToString(failed.Id), aws.ToString(failed.Code), aws.ToString(failed.Message)))
	}
	for i := range bodies {
		if !answered[strconv.Itoa(i)] {
			faults = append(faults, fmt.Errorf("queue: entry %d is missing from the answer", i))
		}
	}
	return errors.Join(faults...)
}
