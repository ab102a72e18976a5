package template

import (
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"stayhold/shared/env"
)

// variableOf names the environment variables behind each field of env.Config that a function's main may use; the platform
// gives the rest.
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
	"DatabasePooler": {"DATABASE_POOLER"}, "Region": nil, "AccessKeyID": nil, "SecretAccessKey": nil, "SessionToken": nil,
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
		// Go reads three by itself; whatever a function does with the database, it may do through a pooler; all that it
		// speaks with is judged; and somebody answers for its secrets.
		want := map[string]bool{"GOMAXPROCS": true, "GOGC": true, "GODEBUG": true, "DATABASE_POOLER": true, "TLS_REQUIRED": true, "AWS_ENDPOINT_URL_SECRETS_MANAGER": true}
		for _, match := range used.FindAllStringSubmatch(string(text), -1) {
			names, known := variableOf[match[1]]
			if !known {
				t.Errorf("%s uses %s, and no variable is known to be behind it", f.Name, match[1])
			}
			for _, name := range names {
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

// Secrets reach a function by ARN alone. Whatever package env takes an ARN for is one.
func TestOwnTemplateBearsNoSecret(t *testing.T) {
	s := own(t, nil)
	names := map[string]bool{}
	for _, function := range s.functions() {
		for name := range s.variables(function) {
			name = strings.TrimSuffix(name, "_ARN")
			names[name] = true
			t.Setenv(name, "x")
			t.Setenv(name+"_ARN", "x")
		}
	}
	_, err := env.Read(t.Context(), env.Database, env.Redis, env.Gateway, env.Queue, env.Migration)
	if err == nil {
		t.Fatal("env takes everything twice")
	}
	var secrets []string
	for name := range names {
		if strings.Contains(err.Error(), name+": given together with "+name+"_ARN") {
			secrets = append(secrets, name)
		}
	}
	if slices.Sort(secrets); !slices.Equal(secrets, []string{
		"DATABASE_CA", "DATABASE_URL", "FUNCTIONS_LOGIN", "PAYMENT_GATEWAY_SECRET", "REDIS_CA", "REDIS_URL", "YPAY_GATEWAY_SECRET",
	}) {
		t.Errorf("secrets %q", secrets)
	}
	everyStack(t, func(t *testing.T, s *ownStack) {
		known := map[string]bool{"": true}
		for _, name := range s.of("AWS::SecretsManager::Secret") {
			known[name] = true
		}
		for _, function := range s.functions() {
			variables := s.variables(function)
			for name, value := range variables {
				base, isARN := strings.CutSuffix(name, "_ARN")
				switch {
				case isARN && !slices.Contains(secrets, base):
					t.Errorf("%s: %s is the ARN of no secret", function, name)
				case isARN && !known[scalar(value)] && !strings.HasPrefix(scalar(value), bring("")):
					t.Errorf("%s: %s = %v is neither a secret of the stack nor one that is brought", function, name, value)
				case slices.Contains(secrets, name) && value != "":
					t.Errorf("%s: %s stands there by its value", function, name)
				case slices.Contains(secrets, name) && variables[name+"_ARN"] == nil:
					t.Errorf("%s: %s can only be given by its value", function, name)
				case !isARN && strings.HasPrefix(scalar(value), "{{resolve:"):
					t.Errorf("%s: %s shows its secret to whoever may read the function", function, name)
				}
			}
		}
	})
}

// Nothing of a function is another's, and what waits for the schema is all that uses it.
func TestOwnTemplateGivesEachFunctionWhatIsItsOwn(t *testing.T) {
	s := own(t, nil)
	roles, logs, alarms := map[string]string{}, map[string]string{}, map[string]string{}
	takes := func(owners map[string]string, function, what string) {
		t.Helper()
		if other := owners[what]; other != "" || what == "" {
			t.Errorf("%s has %q, and so has %s", function, what, other)
		}
		owners[what] = function
	}
	for _, function := range s.functions() {
		properties := s.made[function].Properties
		role := strings.TrimPrefix(scalar(properties["Role"]), arn(""))
		takes(roles, function, role)
		if s.made[role].Type != "AWS::IAM::Role" {
			t.Errorf("%s: role %q", function, role)
		}
		log := scalar(at(properties, "LoggingConfig", "LogGroup"))
		takes(logs, function, log)
		if kept := s.get(log, "RetentionInDays"); s.made[log].Type != "AWS::Logs::LogGroup" || kept != "30" {
			t.Errorf("%s: log group %q keeps lines for %v days", function, log, kept)
		}
		alarm := texts(at(properties, "DeploymentPreference", "Alarms"))
		if len(alarm) != 1 || !s.isAbout(alarm[0], function) {
			t.Errorf("%s: a deployment is brought back by %q", function, alarm)
		} else {
			takes(alarms, function, alarm[0])
		}
		for what, want := range map[string]any{"Tracing": "Active", "AutoPublishAlias": "live", "Runtime": "provided.al2023", "Handler": "bootstrap"} {
			if properties[what] != want {
				t.Errorf("%s: %s is %v, want %v", function, what, properties[what], want)
			}
		}
		if got := texts(properties["Architectures"]); !slices.Equal(got, []string{"arm64"}) {
			t.Errorf("%s: built for %q", function, got)
		}
		if waits := slices.Contains(s.made[function].DependsOn, "Schema"); waits != (function != "MigrateFunction") {
			t.Errorf("%s waits for the schema: %v", function, waits)
		}
		for _, number := range []string{"Timeout", "MemorySize"} {
			if n, ok := properties[number].(int); !ok || n < 1 {
				t.Errorf("%s: %s is %v", function, number, properties[number])
			}
		}
	}
	if got := s.get("Schema", "ServiceToken"); got != arn("MigrateFunction.Arn") {
		t.Errorf("the schema is brought up by %v", got)
	}
	other := own(t, map[string]string{"Architecture": "x86_64", "Stage": "prod"})
	for _, function := range other.functions() {
		if got := texts(other.get(function, "Architectures")); !slices.Equal(got, []string{"x86_64"}) {
			t.Errorf("%s: built for %q, where x86_64 is asked for", function, got)
		}
		if how := other.get(function, "DeploymentPreference", "Type"); how != "Canary10Percent5Minutes" {
			t.Errorf("%s: traffic shifts %v in prod", function, how)
		}
	}
}

// isAbout says that an alarm counts the calls of that function that died and those that failed, and no others.
func (s *ownStack) isAbout(alarm, function string) bool {
	var of []string
	for _, query := range list(s.get(alarm, "Metrics")) {
		for _, dimension := range list(at(query, "MetricStat", "Metric", "Dimensions")) {
			of = append(of, scalar(at(dimension, "Value")))
		}
	}
	slices.Sort(of)
	return slices.Equal(of, []string{function, strings.ToLower(strings.TrimSuffix(function, "Function"))})
}

// A gateway or a database that hangs fills no environment that reserve needs, and a small account can do without.
func TestOwnTemplateKeepsEnvironmentsForTheSale(t *testing.T) {
	const account, unreserved = 1000, 100 // an account's by default, and what Lambda wants to be left of it
	s := own(t, nil)
	sum, behind := 0, 0
	for _, function := range s.functions() {
		kept, err := strconv.Atoi(scalar(s.get(function, "ReservedConcurrentExecutions")))
		if err != nil || kept < 1 {
			t.Errorf("kept for %s: %d, %v", function, kept, err)
		}
		sum += kept
		if s.variables(function)["USER_ID_CLAIM"] == nil {
			behind += kept
		}
	}
	told := regexp.MustCompile(`By default (\d+) in all \(500 \+ 100 \+ 3 × 50 \+ 100, and (\d+) behind\)`).FindSubmatch(ownText())
	if told == nil || string(told[1]) != strconv.Itoa(sum) || string(told[2]) != strconv.Itoa(behind) || sum > account-unreserved {
		t.Errorf("%d are kept in all, %d of them behind; the template tells of %q", sum, behind, told)
	}
	none := own(t, map[string]string{
		"ReserveConcurrency": "0", "ApproveConcurrency": "0", "StepConcurrency": "0", "QueryConcurrency": "0", "BackgroundConcurrency": "false",
	})
	for _, function := range none.functions() {
		if kept := none.get(function, "ReservedConcurrentExecutions"); kept != nil {
			t.Errorf("kept for %s in a small account: %v", function, kept)
		}
	}
	routes := readOwn(t, nil).Routes
	for _, function := range s.functions() {
		_, charges := s.variables(function)["GATEWAY_TIMEOUT"]
		if charges && function != "ApproveFunction" && slices.ContainsFunc(routes, func(r Route) bool { return r.Function == function }) {
			t.Errorf("%s waits for the gateway, and a crowd of buyers can fill all environments with it", function)
		}
	}
}
