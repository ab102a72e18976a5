package main

import (
	"strings"
	"testing"
)

func TestJudge(t *testing.T) {
	const request = `{"requestContext":{}}`
	for name, c := range map[string]struct{ path, event, answer, fault string }{
		"an answer":                {"events/query.json", request, `{"statusCode":404,"body":"{}"}`, ""},
		"a page that broke":        {"events/query.json", request, `{"statusCode":500}`, "it answered"},
		"no status":                {"events/query.json", request, `{}`, "it answered"},
		"nothing":                  {"events/sweep.json", `{}`, ``, "no JSON"},
		"a sweep":                  {"events/sweep.json", `{}`, `null`, ""},
		"refused by admin":         {"events/admin-explain.json", `{}`, `{"errorType":"BOOKING_NOT_FOUND","errorMessage":"no"}`, ""},
		"failed in admin":          {"events/admin-audit.json", `{}`, `{"errorType":"INTERNAL"}`, "it failed"},
		"refused by another":       {"events/sweep.json", `{}`, `{"errorType":"BOOKING_NOT_FOUND"}`, "it failed"},
		"died":                     {"events/migrate.json", `{}`, `Task timed out after 3.00 seconds`, "no JSON"},
		"two of three":             {"events/compensate-malformed.json", `{}`, `{"batchItemFailures":[{"itemIdentifier":"a-661970000003"},{"itemIdentifier":"a-661970000002"}]}`, ""},
		"all of three":             {"events/compensate-malformed.json", `{}`, `{"batchItemFailures":[{"itemIdentifier":"a-661970000001"},{"itemIdentifier":"a-661970000002"},{"itemIdentifier":"a-661970000003"}]}`, "its second and third"},
		"a batch taken as a whole": {"events/compensate-malformed.json", `{}`, `{"batchItemFailures":[]}`, "its second and third"},
	} {
		err := judge(c.path, c.event, []byte(c.answer))
		if (err == nil) != (c.fault == "") || err != nil && !strings.HasPrefix(err.Error(), c.fault) && !strings.Contains(err.Error(), c.fault) {
			t.Errorf("%s: %v, want %q", name, err, c.fault)
		}
	}
}

func TestReportIsRead(t *testing.T) {
	m := report.FindStringSubmatch("x\nREPORT RequestId: c70001c1-4273\tInit Duration: 0.06 ms\tDuration: 14.47 ms\tBilled Duration: 15 ms\tMemory Size: 256 MB\tMax Memory Used: 255 MB\t\n")
	if want := "0.06 14.47 256 255"; m == nil || strings.Join(m[1:], " ") != want {
		t.Errorf("%q, want %s", m, want)
	}
	if m := report.FindStringSubmatch("REPORT RequestId: c\tDuration: 1.00 ms\tBilled Duration: 1 ms\tMemory Size: 256 MB\tMax Memory Used: 256 MB"); m == nil || m[1] != "" || m[2] != "1.00" {
		t.Errorf("a warm one: %q", m)
	}
}

func TestEachSampleHasItsFunction(t *testing.T) {
	for path, want := range map[string]string{"events/admin-adjust-stock.json": "AdminFunction", "events/sweep.json": "SweepFunction"} {
		if got := functionOf(path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}
