package template

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// measured is a metric that an alarm or a dashboard names. Search has the names of the dimensions that a search goes over.
type measured struct {
	space, name, stat, search string
	dimensions                map[string]string
}

// metricsOf are the metrics that an alarm looks at, alone or in an expression.
func (s *ownStack) metricsOf(alarm string) []measured {
	read := func(v, stat any) measured {
		m := measured{space: scalar(at(v, "Namespace")), name: scalar(at(v, "MetricName")), stat: scalar(stat), dimensions: map[string]string{}}
		for _, d := range list(at(v, "Dimensions")) {
			m.dimensions[scalar(at(d, "Name"))] = scalar(at(d, "Value"))
		}
		return m
	}
	if s.get(alarm, "MetricName") != nil {
		return []measured{read(s.made[alarm].Properties, s.get(alarm, "Statistic"))}
	}
	var out []measured
	for _, query := range list(s.get(alarm, "Metrics")) {
		if stat := at(query, "MetricStat"); stat != nil {
			out = append(out, read(at(stat, "Metric"), at(stat, "Stat")))
		}
	}
	return out
}

// owed are the states that do not end by themselves in time, as RELIABILITY has them, and the metric by which each is seen.
var owed = map[string]measured{
	"a charge whose outcome is unknown":  {space: ownSpace, name: "UnknownChargeAge", stat: "Maximum"},
	"a refund that is STUCK":             {space: ownSpace, name: "RefundsStuck", stat: "Maximum"},
	"a message that failed for good":     {space: "AWS/SQS", name: "ApproximateNumberOfMessagesVisible", stat: "Maximum"},
	"a message that is not sent":         {space: ownSpace, name: "UnsentMessageAge", stat: "Maximum"},
	"a booking left open":                {space: ownSpace, name: "LapsedHoldAge", stat: "Maximum"},
	"a gate that drifts":                 {space: ownSpace, name: "GateDrift", stat: "Maximum"},
	"a sweep that does not come":         {space: ownSpace, name: "RefundsStuck", stat: "SampleCount"},
	"an invariant that does not hold":    {space: ownSpace, name: "AuditViolations", stat: "Maximum"},
	"a schedule that is not kept":        {space: "AWS/SQS", name: "ApproximateNumberOfMessagesVisible", stat: "Maximum"},
	"a message that is not worked on":    {space: "AWS/SQS", name: "ApproximateAgeOfOldestMessage", stat: "Maximum"},
	"a buyer who is answered by nothing": {space: "AWS/ApiGateway", name: "5xx", stat: "Sum"},
}

// ownerOf are the dimensions of those that are not our own metrics.
var ownerOf = map[string]map[string]string{
	"a message that failed for good":     {"QueueName": "CompensationDeadLetterQueue"},
	"a schedule that is not kept":        {"QueueName": "ScheduleDeadLetterQueue"},
	"a message that is not worked on":    {"QueueName": "CompensationQueue"},
	"a buyer who is answered by nothing": {"ApiId": "BuyerApi"},
}

func TestOwnTemplateHasAnAlarmForWhateverIsStuck(t *testing.T) {
	everyStack(t, func(t *testing.T, s *ownStack) {
		for state, by := range owed {
			by.dimensions = ownerOf[state]
			var found []string
			for _, alarm := range s.of("AWS::CloudWatch::Alarm") {
				if m := s.metricsOf(alarm); len(m) == 1 && fmt.Sprint(m[0]) == fmt.Sprint(by) {
					found = append(found, alarm)
				}
			}
			if len(found) != 1 {
				t.Errorf("%s: alarms %q", state, found)
				continue
			}
			silence := by.stat == "SampleCount"
			want := []string{"GreaterThanOrEqualToThreshold", "notBreaching"}
			if silence {
				want = []string{"LessThanThreshold", "breaching"}
			}
			if got := []string{scalar(s.get(found[0], "ComparisonOperator")), scalar(s.get(found[0], "TreatMissingData"))}; !slices.Equal(got, want) {
				t.Errorf("%s: %s goes off by %q, want %q", state, found[0], got, want)
			}
			if n, _ := s.get(found[0], "Threshold").(int); n < 1 {
				t.Errorf("%s: %s goes off at %v", state, found[0], s.get(found[0], "Threshold"))
			}
		}
	})
}

// An alarm that is not told, or that leaves open what silence means, is not one.
func TestOwnTemplateTellsEachAlarm(t *testing.T) {
	everyStack(t, func(t *testing.T, s *ownStack) {
		for _, alarm := range s.of("AWS::CloudWatch::Alarm") {
			for _, to := range []string{"AlarmActions", "OKActions"} {
				if got := texts(s.get(alarm, to)); !slices.Equal(got, []string{"Operators"}) {
					t.Errorf("%s: %s %q", alarm, to, got)
				}
			}
			if n, _ := s.get(alarm, "EvaluationPeriods").(int); n < 1 {
				t.Errorf("%s: EvaluationPeriods %v", alarm, s.get(alarm, "EvaluationPeriods"))
			}
			if !slices.Contains([]string{"breaching", "notBreaching", "missing"}, scalar(s.get(alarm, "TreatMissingData"))) {
				t.Errorf("%s: TreatMissingData %v", alarm, s.get(alarm, "TreatMissingData"))
			}
			if scalar(s.get(alarm, "AlarmDescription")) == "" {
				t.Errorf("%s says nothing", alarm)
			}
		}
		if asked, told := scalar(s.refs["AlarmEmail"]) != "", len(s.of("AWS::SNS::Subscription")) == 1; asked != told {
			t.Errorf("somebody asks to be written to: %v, and is: %v", asked, told)
		}
	})
}

var (
	divided = regexp.MustCompile(`FILL\((\w+), 0\) / (\d+)`)
	filled  = regexp.MustCompile(`FILL\((\w+), 0\)`)
)

// What all functions have in common is one alarm, which has to name each, and to know its time.
func TestOwnTemplateWatchesEveryFunction(t *testing.T) {
	s := own(t, nil)
	for alarm, metric := range map[string]string{"Throttled": "Throttles", "NearTimeout": "Duration"} {
		expression, ids := "", map[string]string{}
		for _, query := range list(s.get(alarm, "Metrics")) {
			if text := scalar(at(query, "Expression")); text != "" {
				expression = text
				continue
			}
			for _, d := range list(at(query, "MetricStat", "Metric", "Dimensions")) {
				if at(query, "ReturnData") == false && at(query, "MetricStat", "Metric", "MetricName") == metric {
					ids[scalar(at(query, "Id"))] = scalar(at(d, "Value"))
				}
			}
		}
		var named []string
		for _, match := range filled.FindAllStringSubmatch(expression, -1) {
			named = append(named, ids[match[1]])
		}
		if slices.Sort(named); !slices.Equal(named, s.functions()) {
			t.Errorf("%s watches %q", alarm, named)
		}
		for _, match := range divided.FindAllStringSubmatch(expression, -1) {
			// Milliseconds over tenths of a second's milliseconds are a percentage.
			timeout, _ := s.get(ids[match[1]], "Timeout").(int)
			if match[2] != strconv.Itoa(10*timeout) {
				t.Errorf("%s: %s is divided by %s, and its timeout is %d s", alarm, ids[match[1]], match[2], timeout)
			}
		}
		if divisions := len(divided.FindAllString(expression, -1)); metric == "Duration" && divisions != len(s.functions()) {
			t.Errorf("%s: %d shares of a timeout", alarm, divisions)
		}
	}
}

// Whoever is woken by an alarm finds its name in the README.
func TestRunbookHasAHeadingForEachAlarm(t *testing.T) {
	text, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, runbook, there := strings.Cut(string(text), "\n## Runbook\n")
	if !there {
		t.Fatal("README.md has no section Runbook")
	}
	runbook, _, _ = strings.Cut(runbook, "\n## ")
	headings := map[string]bool{}
	for line := range strings.Lines("\n" + runbook) {
		if names, ok := strings.CutPrefix(line, "### "); ok {
			for name := range strings.SplitSeq(names, ",") {
				headings[strings.Trim(name, " `\n")] = true
			}
		}
	}
	alarms := own(t, nil).of("AWS::CloudWatch::Alarm")
	for _, alarm := range alarms {
		if !headings[alarm] {
			t.Errorf("the runbook does not say what to do about %s", alarm)
		}
	}
	for heading := range headings {
		if alarmLike.MatchString(heading) && !slices.Contains(alarms, heading) {
			t.Errorf("the runbook tells of %s, which is no alarm", heading)
		}
	}
}

// alarmLike is one word that could be an alarm's name.
var alarmLike = regexp.MustCompile(`^[A-Z][a-z0-9]+([A-Z][a-z0-9]+)+$`)
