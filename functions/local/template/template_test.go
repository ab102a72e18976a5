package template

import (
	"slices"
	"strings"
	"testing"
)

func options(parameters map[string]string) Options {
	return Options{Parameters: parameters, QueueURL: func(name string) string { return "http://queue/" + name }}
}

func readOwn(t *testing.T, parameters map[string]string) *Template {
	t.Helper()
	all := map[string]string{"JwtIssuer": "https://issuer.test", "JwtAudience": "stayhold"}
	for k, v := range parameters {
		all[k] = v
	}
	got, err := Read("../../../template.yaml", options(all))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func (t *Template) named(name string) Function {
	i := slices.IndexFunc(t.Functions, func(f Function) bool { return f.Name == name })
	return t.Functions[i]
}

func TestIntrinsicFunctions(t *testing.T) {
	const head = `
Parameters:
  Name: {Type: String, Default: x}
  List: {Type: CommaDelimitedList, Default: "a, b"}
Conditions:
  IsX: !Equals [!Ref Name, x]
  NotX: !Not [!Condition IsX]
  Both: !And [!Condition IsX, !Condition NotX]
  Either: {"Fn::Or": [{Condition: IsX}, !Condition NotX]}
Resources:
  Q: {Type: "AWS::SQS::Queue"}
  F:
    Type: AWS::Serverless::Function
    Properties:
      Environment:
        Variables:
          V: `
	for expression, want := range map[string]string{
		`!Sub "${Name}-${Q.Arn}-${!Name}"`:                "x-arn:aws:sqs:us-east-1:000000000000:Q-${Name}",
		`!Sub ["${Own}/${AWS::Region}", {Own: 1}]`:        "1/us-east-1",
		`!If [IsX, yes1, no1]`:                            "yes1",
		`!If [NotX, yes1, !Ref Name]`:                     "x",
		`!If [Both, 1, 2]`:                                "2",
		`!GetAtt Q.QueueName`:                             "Q",
		`{"Fn::GetAtt": [Q, Arn]}`:                        "arn:aws:sqs:us-east-1:000000000000:Q",
		`{"Ref": "Q"}`:                                    "http://queue/Q",
		`!Join ["-", !Ref List]`:                          "a-b",
		`!Select [1, !Split ["/", "u/v/w"]]`:              "v",
		`!Join ["", [!Ref Name, !Ref "AWS::NoValue", z]]`: "xz",
	} {
		got, err := parse([]byte(head+expression+"\n"), options(nil))
		if err != nil {
			t.Errorf("%s: %v", expression, err)
		} else if v := got.named("F").Environment["V"]; v != want {
			t.Errorf("%s = %q, want %q", expression, v, want)
		}
	}
	for _, expression := range []string{
		`!Ref Nothing`, `!GetAtt Q.Nothing`, `!ImportValue x`, `!If [Nope, 1, 2]`, `!Sub "${Name"`, `!Select [7, !Ref List]`,
	} {
		if _, err := parse([]byte(head+expression+"\n"), options(nil)); err == nil || !strings.Contains(err.Error(), "line 17") {
			t.Errorf("%s: error %v, want one that names line 17", expression, err)
		}
	}
}

func TestBadTemplatesAreRefused(t *testing.T) {
	const function = "Resources: {F: {Type: AWS::Serverless::Function, Properties: {%s}}}"
	for name, text := range map[string]string{
		"no yaml":      "\t{",
		"no function":  "Resources: {}",
		"no schedule":  strings.Replace(function, "%s", "Events: {E: {Type: ScheduleV2, Properties: {ScheduleExpression: cron(0 0)}}}", 1),
		"no path":      strings.Replace(function, "%s", "Events: {E: {Type: HttpApi, Properties: {Method: GET}}}", 1),
		"other event":  strings.Replace(function, "%s", "Events: {E: {Type: SNS}}", 1),
		"no number":    strings.Replace(function, "%s", "Timeout: soon", 1),
		"no time":      strings.Replace(function, "%s", "Timeout: 0", 1),
		"no end":       strings.Replace(function, "%s", "Events: {E: {Type: ScheduleV2, Properties: {ScheduleExpression: rate(999999999 days)}}}", 1),
		"itself":       strings.Replace(function, "%s", "Environment: {Variables: {A: &a [x, *a]}}", 1),
		"a circle":     "Conditions: {C: !Not [!Condition C]}\n" + strings.Replace(function, "%s", "Environment: {Variables: {A: !If [C, 1, 2]}}", 1),
		"own URL":      strings.Replace(function, "%s", "FunctionUrlConfig: {AuthType: NONE}", 1),
		"URL for all":  "Globals: {Function: {FunctionUrlConfig: {AuthType: AWS_IAM}}}\n" + strings.Replace(function, "%s", "Timeout: 3", 1),
		"URL apart":    strings.Replace(function, "%s}}", "Timeout: 3}}, U: {Type: AWS::Lambda::Url}", 1),
		"route apart":  strings.Replace(function, "%s}}", "Timeout: 3}}, R: {Type: AWS::ApiGatewayV2::Route}", 1),
		"batch of 100": strings.Replace(function, "%s", "Events: {E: {Type: SQS, Properties: {Queue: q, BatchSize: 100}}}", 1),
	} {
		if _, err := parse([]byte(text), options(nil)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := Read("/nonexistent/template.yaml", options(nil)); err == nil {
		t.Error("a missing file: no error")
	}
}
