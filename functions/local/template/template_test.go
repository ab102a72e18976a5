package template

import (
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
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

func TestOwnTemplateHasEveryFunctionAndRoute(t *testing.T) {
	got := readOwn(t, nil)
	var names []string
	for _, f := range got.Functions {
		names = append(names, strings.TrimSuffix(f.Name, "Function"))
	}
	want := []string{"Admin", "Approve", "Cancel", "Compensate", "Complete", "Migrate", "Query", "Register", "Reserve", "Sweep"}
	if !slices.Equal(names, want) {
		t.Errorf("functions %v, want %v", names, want)
	}
	routes := map[string]bool{}
	for _, r := range got.Routes {
		routes[r.Method+" "+r.Path] = r.Open
	}
	for _, route := range []string{
		"POST /bookings/reserve", "POST /bookings/{bookingId}/payments/register",
		"POST /bookings/{bookingId}/payments/pg-approve", "POST /bookings/{bookingId}/complete",
		"POST /bookings/{bookingId}/cancel", "GET /bookings/{bookingId}", "GET /bookings", "GET /products",
		"GET /products/{productId}", "GET /checkout/{productId}", "GET /points", "GET /health",
	} {
		open, ok := routes[route]
		if !ok || open != (route == "GET /health") {
			t.Errorf("%s: there %v, open %v", route, ok, open)
		}
	}
	if len(routes) != 12 {
		t.Errorf("%d routes, want 12", len(routes))
	}
}

// variableOf names the environment variables behind each field of env.Config that a function's main may use.
var variableOf = map[string][]string{
	"DatabaseURL": {"DATABASE_URL", "DATABASE_URL_ARN"}, "DatabaseCA": {"DATABASE_CA", "DATABASE_CA_ARN"},
	"RedisURL": {"REDIS_URL", "REDIS_URL_ARN"}, "RedisCA": {"REDIS_CA", "REDIS_CA_ARN"},
	"PaymentGatewayURL": {"PAYMENT_GATEWAY_URL"}, "PaymentGatewaySecret": {"PAYMENT_GATEWAY_SECRET", "PAYMENT_GATEWAY_SECRET_ARN"},
	"YPayGatewayURL": {"YPAY_GATEWAY_URL"}, "YPayGatewaySecret": {"YPAY_GATEWAY_SECRET", "YPAY_GATEWAY_SECRET_ARN"},
	"CompensationQueueURL": {"COMPENSATION_QUEUE_URL"}, "SQSEndpoint": {"AWS_ENDPOINT_URL_SQS"},
	"HoldTTL": {"HOLD_TTL"}, "PaymentWindow": {"PAYMENT_WINDOW"},
	"GatewayTimeout": {"GATEWAY_TIMEOUT"}, "GatewaySession": {"GATEWAY_SESSION"}, "SweepGrace": {"SWEEP_GRACE"},
	"FunctionsLogin": {"FUNCTIONS_LOGIN", "FUNCTIONS_LOGIN_ARN"}, "DatabaseToken": {"DATABASE_IAM"},
	"MetricsNamespace": {"METRICS_NAMESPACE"}, "MaxOpenHolds": {"MAX_OPEN_HOLDS"}, "UserIDClaim": {"USER_ID_CLAIM"}, "LogLevel": {"LOG_LEVEL"},
}

// A variable that a main uses and the template lacks would silently have its default; one that is there without use is a
// right too many.
func TestOwnTemplateGivesEachFunctionExactlyWhatItsMainUses(t *testing.T) {
	used := regexp.MustCompile(`cfg\.([A-Za-z]+)`)
	for _, f := range readOwn(t, nil).Functions {
		path := "../../" + strings.ToLower(strings.TrimSuffix(f.Name, "Function")) + "/main.go"
		text, err := os.ReadFile(path)
		if err != nil {
			t.Errorf("%s: %v", f.Name, err)
			continue
		}
		// Whatever a function does with the database, it may do through a pooler; all that it speaks with is judged; and
		// somebody answers for its secrets.
		want := map[string]bool{"DATABASE_POOLER": true, "TLS_REQUIRED": true, "AWS_ENDPOINT_URL_SECRETS_MANAGER": true}
		for _, match := range used.FindAllStringSubmatch(string(text), -1) {
			for _, name := range variableOf[match[1]] {
				want[name] = true
			}
		}
		for name := range want {
			if _, ok := f.Environment[name]; !ok {
				t.Errorf("%s uses %s and does not get it", f.Name, name)
			}
		}
		for name := range f.Environment {
			if !want[name] {
				t.Errorf("%s gets %s and does not use it", f.Name, name)
			}
		}
	}
}

func TestOwnTemplateLimitsAndMemory(t *testing.T) {
	got := readOwn(t, nil)
	for _, r := range got.Routes {
		if f := got.named(r.Function); f.Timeout > 29*time.Second {
			t.Errorf("%s may take %v: longer than its caller waits", f.Name, f.Timeout)
		}
	}
	reserve := got.named("ReserveFunction")
	if reserve.Environment["HOLD_TTL"] != "300s" || reserve.Environment["MAX_OPEN_HOLDS"] != "5" || reserve.Memory != 256 {
		t.Errorf("reserve: %+v", reserve)
	}
	approve := got.named("ApproveFunction")
	if approve.Timeout != 29*time.Second || approve.Environment["YPAY_GATEWAY_URL"] != "https://api.tosspayments.com" {
		t.Errorf("approve: %+v", approve)
	}
	if approve.Environment["COMPENSATION_QUEUE_URL"] != "http://queue/CompensationQueue" {
		t.Errorf("approve's queue: %s", approve.Environment["COMPENSATION_QUEUE_URL"])
	}
}

// ownBuilder reads what the local stack has no use for out of our template: the resolver, and a resource's properties.
func ownBuilder(t *testing.T, parameters map[string]string) (*builder, func(resource string) *yaml.Node) {
	t.Helper()
	text, err := os.ReadFile("../../../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var doc document
	if err := yaml.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	r, err := newResolver(&doc, options(parameters))
	if err != nil {
		t.Fatal(err)
	}
	return &builder{resolver: r}, func(resource string) *yaml.Node {
		properties := doc.Resources[resource].Properties
		return &properties
	}
}

// A route without a limit of its own has the account's, which is everybody's.
func TestOwnTemplateThrottlesEachRoute(t *testing.T) {
	b, properties := ownBuilder(t, nil)
	limits := func(path ...string) (rate, burst int) {
		t.Helper()
		for limit, to := range map[string]*int{"ThrottlingRateLimit": &rate, "ThrottlingBurstLimit": &burst} {
			var err error
			if *to, err = b.number(properties("BuyerApi"), bounds{most: 1 << 31}, append(path, limit)...); err != nil {
				t.Fatal(err)
			}
		}
		return rate, burst
	}
	const settings, reserve = "RouteSettings", "POST /bookings/reserve"
	if rate, burst := limits("DefaultRouteSettings"); rate < 1 || burst < rate {
		t.Errorf("a route that is added later gets %d a second and %d at once", rate, burst)
	}
	mostRate, mostBurst := limits(settings, reserve)
	routes := readOwn(t, nil).Routes
	for _, r := range routes {
		route := r.Method + " " + r.Path
		rate, burst := limits(settings, route)
		if rate < 1 || burst < rate {
			t.Errorf("%s: %d a second, %d at once", route, rate, burst)
		}
		if route != reserve && (rate >= mostRate || burst >= mostBurst) {
			t.Errorf("%s takes as much as reserve: %d a second, %d at once", route, rate, burst)
		}
	}
	// API Gateway refuses a stage that names a route which is not there.
	all, err := b.at(properties("BuyerApi"), settings)
	if named, _ := all.(map[string]any); err != nil || len(named) != len(routes) {
		t.Errorf("limits of %d routes, want %d: %v", len(named), len(routes), err)
	}
}

// A gateway or a database that hangs fills no environment that reserve needs, and a small account can do without.
func TestOwnTemplateKeepsEnvironmentsForTheSale(t *testing.T) {
	const account, unreserved = 1000, 100 // an account's by default, and what Lambda wants to be left of it
	kept := func(parameters map[string]string) (reserve, approve int) {
		t.Helper()
		b, properties := ownBuilder(t, parameters)
		for function, to := range map[string]*int{"ReserveFunction": &reserve, "ApproveFunction": &approve} {
			v, err := b.at(properties(function), "ReservedConcurrentExecutions")
			if err != nil {
				t.Fatal(err)
			}
			if _, none := v.(noValue); none {
				*to = -1
			} else if *to, err = strconv.Atoi(scalar(v)); err != nil {
				t.Fatal(err)
			}
		}
		return reserve, approve
	}
	if reserve, approve := kept(nil); reserve < 1 || approve < 1 || reserve+approve > account-unreserved {
		t.Errorf("kept for reserve %d, for approve %d", reserve, approve)
	}
	if reserve, approve := kept(map[string]string{"ReserveConcurrency": "0", "ApproveConcurrency": "0"}); reserve != -1 || approve != -1 {
		t.Errorf("kept in a small account: for reserve %d, for approve %d", reserve, approve)
	}
	for _, f := range readOwn(t, nil).Functions {
		if f.Name == "ApproveFunction" {
			continue
		}
		if _, charges := f.Environment["GATEWAY_TIMEOUT"]; charges && slices.ContainsFunc(readOwn(t, nil).Routes, func(r Route) bool { return r.Function == f.Name }) {
			t.Errorf("%s waits for the gateway, and a crowd of buyers can fill all environments with it", f.Name)
		}
	}
}

func TestOwnTemplateQueueScheduleAuthorityAndCors(t *testing.T) {
	got := readOwn(t, map[string]string{"CorsAllowOrigins": "https://a.test,https://b.test"})
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
	schedules := []Schedule{{"Audit", "AdminFunction", `{"action":"audit"}`, time.Hour}, {"EveryMinute", "SweepFunction", "", time.Minute}}
	if !slices.Equal(got.Schedules, schedules) {
		t.Errorf("schedules %+v", got.Schedules)
	}
	if got.Authority.Issuer != "https://issuer.test" || !slices.Equal(got.Authority.Audiences, []string{"stayhold"}) {
		t.Errorf("authority %+v", got.Authority)
	}
	if !slices.Equal(got.Cors.Origins, []string{"https://a.test", "https://b.test"}) || len(got.Cors.Headers) != 3 {
		t.Errorf("cors %+v", got.Cors)
	}
	if none := readOwn(t, nil).Cors.Origins; !slices.Equal(none, []string{"https://none.invalid"}) {
		t.Errorf("origins by default %v", none)
	}
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
