package template

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// A message is not seen again while it is worked on, is not lost when that fails, and takes none of its batch with it.
func TestOwnTemplateQueue(t *testing.T) {
	got, s := readOwn(t, nil), own(t, nil)
	if len(got.Sources) != 1 || got.Sources[0] != (Source{"CompensationQueue", "CompensateFunction", 10, true}) {
		t.Errorf("sources %+v", got.Sources)
	}
	i := slices.IndexFunc(got.Queues, func(q Queue) bool { return q.Name == "CompensationQueue" })
	q := got.Queues[i]
	if q.DeadLetter != "CompensationDeadLetterQueue" || q.MaxReceive != 5 {
		t.Errorf("queue %+v", q)
	}
	if f := got.named("CompensateFunction"); q.Visibility < 6*f.Timeout {
		t.Errorf("visibility %v of a function with %v", q.Visibility, f.Timeout)
	}
	kept := func(queue string) time.Duration {
		seconds, _ := s.get(queue, "MessageRetentionPeriod").(int)
		return time.Duration(seconds) * time.Second
	}
	// SQS counts a dead letter's age from its first sending.
	if kept(q.DeadLetter) <= kept(q.Name) {
		t.Errorf("dead letters are kept for %v, and may be %v old when they come", kept(q.DeadLetter), kept(q.Name))
	}
	// More batches at once than environments would be throttled, and end as dead letters.
	most := at(s.get("CompensateFunction", "Events", "Compensation", "Properties", "ScalingConfig"), "MaximumConcurrency")
	if have := s.get("CompensateFunction", "ReservedConcurrentExecutions"); scalar(most) != scalar(have) {
		t.Errorf("%v batches at once, and environments for %v", most, have)
	}
}

// Queues take what their own sources send and nobody else's dead letters, encrypted on the way and where they lie.
func TestOwnTemplateGuardsItsQueues(t *testing.T) {
	s := own(t, nil)
	queues := s.of("AWS::SQS::Queue")
	takenFrom := map[string][]string{}
	for _, name := range queues {
		if s.get(name, "SqsManagedSseEnabled") != true {
			t.Errorf("%s is not encrypted", name)
		}
		target, redrives := s.get(name, "RedrivePolicy", "deadLetterTargetArn").(string)
		if redrives {
			named := strings.ReplaceAll(scalar(s.get(name, "QueueName")), "AWS::StackName", "")
			takenFrom[strings.TrimPrefix(target, queueARN(""))] = []string{queueARN(named)}
		}
	}
	for _, name := range queues {
		allow := s.get(name, "RedriveAllowPolicy")
		sources, permission := texts(at(allow, "sourceQueueArns")), scalar(at(allow, "redrivePermission"))
		switch {
		case len(takenFrom[name]) > 0:
			if permission != "byQueue" || !slices.Equal(sources, takenFrom[name]) {
				t.Errorf("%s takes dead letters %s of %q, want those of %q", name, permission, sources, takenFrom[name])
			}
		case name != "CompensationQueue" && permission != "denyAll":
			t.Errorf("%s takes anybody's dead letters: %q", name, permission)
		}
	}
	policies := s.of("AWS::SQS::QueuePolicy")
	if len(policies) != 1 {
		t.Fatalf("policies %q", policies)
	}
	covered := texts(s.get(policies[0], "Queues"))
	statements := list(s.get(policies[0], "PolicyDocument", "Statement"))
	if len(statements) != 1 {
		t.Fatalf("%d statements", len(statements))
	}
	on := texts(at(statements[0], "Resource"))
	for _, name := range queues {
		if !slices.Contains(covered, "http://queue/"+name) || !slices.Contains(on, queueARN(name)) {
			t.Errorf("%s takes plain text", name)
		}
	}
	plain := at(statements[0], "Condition", "Bool", "aws:SecureTransport")
	if at(statements[0], "Effect") != "Deny" || at(statements[0], "Principal") != "*" || at(statements[0], "Action") != "sqs:*" || plain != "false" {
		t.Errorf("policy %v", statements[0])
	}
}

// A scheduled call that fails is not tried again, as the next one does its work; one that cannot be made is kept.
func TestOwnTemplateSchedules(t *testing.T) {
	got, s := readOwn(t, nil), own(t, nil)
	schedules := []Schedule{{"Audit", "AdminFunction", `{"action":"audit"}`, time.Hour}, {"EveryMinute", "SweepFunction", "", time.Minute}}
	if !slices.Equal(got.Schedules, schedules) {
		t.Errorf("schedules %+v", got.Schedules)
	}
	for _, schedule := range got.Schedules {
		p := s.get(schedule.Function, "Events", schedule.Name, "Properties")
		if dead := at(p, "DeadLetterConfig"); at(dead, "Arn") != queueARN("ScheduleDeadLetterQueue") || at(dead, "Type") != nil {
			t.Errorf("%s: calls that are not made go to %v", schedule.Name, dead)
		}
		if at(p, "RetryPolicy", "MaximumRetryAttempts") != 0 || s.get(schedule.Function, "EventInvokeConfig", "MaximumRetryAttempts") != 0 {
			t.Errorf("%s is tried again beside the next one", schedule.Name)
		}
		// A name that SAM makes is the same in every stack, and an account has it once.
		if at(p, "OmitName") != true {
			t.Errorf("%s has the same name in every stack", schedule.Name)
		}
	}
}
