package queuetest

import (
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

type numericAttribute struct{ low, high, standard int }

// numeric holds the queue attributes with a range, in seconds or bytes.
var numeric = map[string]numericAttribute{
	"DelaySeconds":                  {0, 900, 0},
	"MaximumMessageSize":            {1024, 1048576, 1048576},
	"MessageRetentionPeriod":        {60, 1209600, 345600},
	"ReceiveMessageWaitTimeSeconds": {0, 20, 0},
	"VisibilityTimeout":             {0, 43200, 30},
}

// inert attributes are kept and given back, and change nothing here: who may call,
// and how AWS encrypts at rest.
var inert = map[string]bool{
	"Policy": true, "RedriveAllowPolicy": true, "SqsManagedSseEnabled": true,
	"KmsMasterKeyId": true, "KmsDataKeyReusePeriodSeconds": true,
}

var queueName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,80}$`)

type queueInput struct {
	QueueUrl   string
	QueueName  string
	Attributes map[string]string
}

// find gives the queue of a URL, whatever host name the caller knows us by.
func (s *Server) find(queueURL string) (*queueState, error) {
	if queueURL == "" {
		return nil, missing("QueueUrl")
	}
	u, err := url.Parse(queueURL)
	if err != nil {
		return nil, refusal("InvalidAddress", "InvalidAddress", "The address "+queueURL+" is not valid for this endpoint.")
	}
	account, name, ok := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	if !ok || account != AccountID {
		return nil, errNoQueue
	}
	q := s.queues[name]
	if q == nil {
		return nil, errNoQueue
	}
	return q, nil
}

func queueURL(r *http.Request, name string) string {
	return "http://" + r.Host + "/" + AccountID + "/" + name
}

func (s *Server) opCreateQueue(r *http.Request, in *queueInput) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.createQueue(in.QueueName, in.Attributes)
	if err != nil {
		return nil, err
	}
	return map[string]string{"QueueUrl": queueURL(r, q.name)}, nil
}

// createQueue answers an existing queue if the attributes asked for are those it has.
func (s *Server) createQueue(name string, attributes map[string]string) (*queueState, error) {
	if !queueName.MatchString(name) {
		return nil, invalid("Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length")
	}
	if q := s.queues[name]; q != nil {
		for key, value := range attributes {
			if q.value(key) != value {
				return nil, refusal("QueueNameExists", "QueueAlreadyExists",
					"A queue already exists with the same name and a different value for attribute "+key)
			}
		}
		return q, nil
	}
	if err := s.checkAttributes(name, attributes); err != nil {
		return nil, err
	}
	now := s.now().Unix()
	err := s.commit(change{
		Op: opQueue, Queue: name, Attributes: withoutEmpty(attributes), Created: now, Modified: now,
	})
	return s.queues[name], err
}

func (s *Server) setAttributes(q *queueState, attributes map[string]string) error {
	if err := s.checkAttributes(q.name, attributes); err != nil {
		return err
	}
	merged := maps.Clone(q.attributes)
	if merged == nil {
		merged = map[string]string{}
	}
	maps.Copy(merged, attributes)
	return s.commit(change{
		Op: opQueue, Queue: q.name, Attributes: withoutEmpty(merged),
		Created: q.created, Modified: s.now().Unix(),
	})
}

// withoutEmpty drops what an empty value takes back, such as a RedrivePolicy.
func withoutEmpty(attributes map[string]string) map[string]string {
	kept := maps.Clone(attributes)
	maps.DeleteFunc(kept, func(_, value string) bool { return value == "" })
	return kept
}

func (s *Server) checkAttributes(queue string, attributes map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		value := attributes[name]
		if limits, found := numeric[name]; found {
			n, err := strconv.Atoi(value)
			if err != nil || n < limits.low || n > limits.high {
				return refusal("InvalidAttributeValue", "InvalidAttributeValue",
					"Invalid value for the parameter "+name+".")
			}
			continue
		}
		if name != "RedrivePolicy" && !inert[name] {
			return refusal("InvalidAttributeName", "InvalidAttributeName", "Unknown Attribute "+name+".")
		}
		if name != "RedrivePolicy" || value == "" {
			continue
		}
		policy, err := parseRedrive(value)
		if err != nil {
			return err
		}
		if dead := s.byARN(policy.target); dead == nil || dead.name == queue {
			return invalid("Value %s for parameter RedrivePolicy is invalid. Reason: Dead letter target does not exist.", value)
		}
	}
	return nil
}

// byARN gives the queue of an ARN, or nil.
func (s *Server) byARN(arn string) *queueState {
	name, ok := strings.CutPrefix(arn, s.ARN(""))
	if !ok {
		return nil
	}
	return s.queues[name]
}

func (s *Server) opGetQueueURL(r *http.Request, in *queueInput) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.queues[in.QueueName] == nil {
		return nil, errNoQueue
	}
	return map[string]string{"QueueUrl": queueURL(r, in.QueueName)}, nil
}

type listInput struct {
	QueueNamePrefix string
	MaxResults      *int
	NextToken       string
}

type listOutput struct {
	QueueUrls []string `json:",omitempty"`
	NextToken string   `json:",omitempty"`
}

func (s *Server) opListQueues(r *http.Request, in *listInput) (any, error) {
	limit := 1000
	if in.MaxResults != nil {
		limit = *in.MaxResults
	}
	if limit < 1 || limit > 1000 {
		return nil, outOfRange(limit, "MaxResults", "between 1 and 1000")
	}
	after, err := base64.RawURLEncoding.DecodeString(in.NextToken)
	if err != nil {
		return nil, invalid("Invalid or expired next token.")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var out listOutput
	last := ""
	for _, name := range slices.Sorted(maps.Keys(s.queues)) {
		if name <= string(after) || !strings.HasPrefix(name, in.QueueNamePrefix) {
			continue
		}
		if len(out.QueueUrls) == limit {
			// AWS gives a token only to those who asked for pages.
			if in.MaxResults != nil {
				out.NextToken = base64.RawURLEncoding.EncodeToString([]byte(last))
			}
			break
		}
		out.QueueUrls = append(out.QueueUrls, queueURL(r, name))
		last = name
	}
	return out, nil
}

type attributesInput struct {
	QueueUrl       string
	AttributeNames []string
}

func (s *Server) opGetQueueAttributes(_ *http.Request, in *attributesInput) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.find(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	q.promote(s.now().UnixMilli())
	computed := map[string]string{
		"QueueArn":                              s.ARN(q.name),
		"CreatedTimestamp":                      strconv.FormatInt(q.created, 10),
		"LastModifiedTimestamp":                 strconv.FormatInt(q.modified, 10),
		"ApproximateNumberOfMessages":           strconv.Itoa(q.ready.Len()),
		"ApproximateNumberOfMessagesNotVisible": strconv.Itoa(len(q.hidden) - q.delayed),
		"ApproximateNumberOfMessagesDelayed":    strconv.Itoa(q.delayed),
	}
	for name := range numeric {
		computed[name] = q.value(name)
	}
	maps.Copy(computed, q.attributes)
	result := map[string]string{}
	for _, name := range in.AttributeNames {
		value, found := computed[name]
		switch {
		case name == "All":
			maps.Copy(result, computed)
		case found:
			result[name] = value
		case name != "RedrivePolicy" && !inert[name]:
			return nil, refusal("InvalidAttributeName", "InvalidAttributeName", "Unknown Attribute "+name+".")
		}
	}
	return map[string]any{"Attributes": result}, nil
}

// value gives an attribute as set or, if it has one, its default.
func (q *queueState) value(name string) string {
	if _, found := numeric[name]; found {
		return strconv.Itoa(q.number(name))
	}
	return q.attributes[name]
}

func (s *Server) opSetQueueAttributes(_ *http.Request, in *queueInput) (any, error) {
	if len(in.Attributes) == 0 {
		return nil, missing("Attribute.Name")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.find(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	return nil, s.setAttributes(q, in.Attributes)
}

func (s *Server) opPurgeQueue(_ *http.Request, in *queueInput) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, err := s.find(in.QueueUrl)
	if err != nil {
		return nil, err
	}
	return nil, s.commit(change{Op: opPurge, Queue: q.name})
}

// checkBatch looks at what makes a whole batch invalid.
func checkBatch(ids []string) error {
	if len(ids) == 0 {
		return errBatchEmpty
	}
	if len(ids) > 10 {
		return refusal("TooManyEntriesInBatchRequest", "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
			fmt.Sprintf("Maximum number of entries per request are 10. You have sent %d.", len(ids)))
	}
	seen := make(map[string]bool, len(ids))
	for _, id := range ids {
		if !queueName.MatchString(id) {
			return errBatchID
		}
		if seen[id] {
			return refusal("BatchEntryIdsNotDistinct", "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
				"Id "+id+" repeated.")
		}
		seen[id] = true
	}
	return nil
}
