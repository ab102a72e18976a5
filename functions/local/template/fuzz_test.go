package template

import (
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"stayhold/shared/servertest"
)

// A template is refused, or read into what the local stack can run, the same at every read.
func FuzzTemplate(f *testing.F) {
	own, err := os.ReadFile("../../../template.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(own))
	// The parts of our own that matter, small enough to be changed everywhere.
	const function = "Resources: {F: {Type: AWS::Serverless::Function, Properties: {%s}}}"
	for _, part := range []string{
		"Timeout: 3, MemorySize: 128", "Environment: {Variables: {A: !Sub 'x${AWS::Region}', B: !Join [',', [a, b]]}}",
		"Events: {E: {Type: HttpApi, Properties: {Method: get, Path: '/a/{b}', Auth: {Authorizer: NONE}}}}",
		"Events: {E: {Type: ScheduleV2, Properties: {ScheduleExpression: rate(5 minutes)}}}",
		"Events: {E: {Type: SQS, Properties: {Queue: !GetAtt F.Arn, BatchSize: 10}}}",
		"Environment: {Variables: {A: &a [x, *a]}}", "Environment: {Variables: {A: !Select [1, !Split ['/', u/v]]}}",
	} {
		f.Add(strings.Replace(function, "%s", part, 1))
	}
	f.Add("Parameters: {P: {Type: CommaDelimitedList, Default: 'a,b'}}\nConditions: {C: !Not [!Condition C]}\n" +
		strings.Replace(function, "%s", "Environment: {Variables: {A: !If [C, !Ref P, 1]}}", 1))
	f.Fuzz(func(t *testing.T, text string) {
		servertest.Cost(t, 2*time.Second, func() {
			got, err := parse([]byte(text), options(map[string]string{"JwtIssuer": "https://issuer.test", "JwtAudience": "stayhold"}))
			again, refused := parse([]byte(text), options(map[string]string{"JwtIssuer": "https://issuer.test", "JwtAudience": "stayhold"}))
			if (err == nil) != (refused == nil) || !reflect.DeepEqual(got, again) {
				t.Fatalf("read twice: %+v (%v) and %+v (%v)", got, err, again, refused)
			}
			if err == nil {
				runnable(t, got)
			}
		})
	})
}

// runnable holds what the stack relies on.
func runnable(t *testing.T, got *Template) {
	t.Helper()
	if len(got.Functions) == 0 {
		t.Error("no function")
	}
	for _, f := range got.Functions {
		if f.Timeout <= 0 || f.Memory <= 0 || f.Environment == nil {
			t.Errorf("%+v", f)
		}
	}
	for _, r := range got.Routes {
		if r.Method == "" || r.Method != strings.ToUpper(r.Method) || !strings.HasPrefix(r.Path, "/") {
			t.Errorf("%+v", r)
		}
	}
	for _, s := range got.Schedules {
		if s.Every <= 0 {
			t.Errorf("%+v", s)
		}
	}
	for _, s := range got.Sources {
		if s.BatchSize < 1 || s.BatchSize > 10 {
			t.Errorf("%+v", s)
		}
	}
	for _, q := range got.Queues {
		if q.Visibility < 0 || q.MaxReceive < 0 {
			t.Errorf("%+v", q)
		}
	}
}
