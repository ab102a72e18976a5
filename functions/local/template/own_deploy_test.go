package template

import (
	"bytes"
	"encoding/json"
	"maps"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"stayhold/shared/servertest"
)

// standing is what is there of a stack that moto has made, by logical name.
type standing struct {
	Status    string
	Resources map[string]string // physical names
	Queues    map[string]map[string]string
	Functions map[string]struct {
		Timeout, MemorySize, Kept int
		Role, Runtime             string
		Environment               struct{ Variables map[string]any }
		VpcConfig                 struct{ SubnetIds, SecurityGroupIds []string }
	}
	Roles map[string]string // ARNs
	Logs  map[string]struct {
		Name string
		Days int
	}
	Alarms []string
}

// deployed has SAM's translator read our template, and moto make a stack for each set of parameters, all in one account.
// Left is what moto does not know, with reasons.
func deployed(t *testing.T, stacks map[string]map[string]string) (made map[string]standing, left map[string]string) {
	t.Helper()
	given, err := json.Marshal(stacks)
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), servertest.Moto(t), "testdata/deploy.py", "../../../template.yaml", string(given))
	// moto's own fake credentials are enough, and the machine's must not be tried.
	command.Env = []string{"MOTO_ACCOUNT_ID=" + Account, "AWS_DEFAULT_REGION=" + Region}
	var out, told bytes.Buffer
	command.Stdout, command.Stderr = &out, &told
	if err := command.Run(); err != nil {
		t.Fatalf("%v: %s", err, told.Bytes()[max(0, told.Len()-2000):])
	}
	var answer struct {
		Left   map[string]string
		Stacks map[string]standing
	}
	if err := json.Unmarshal(out.Bytes(), &answer); err != nil {
		t.Fatal(err)
	}
	return answer.Stacks, answer.Left
}

// The template deploys, as far as a third party's CloudFormation goes: small, for production, and beside what one brings,
// three stacks in one account.
func TestOwnTemplateDeploys(t *testing.T) {
	t.Parallel()
	stacks := map[string]map[string]string{
		"dev":  {},
		"prod": {"Stage": "prod", "CacheShards": "2", "AlarmEmail": "a@b.test", "YpayGatewaySecretArn": bring("ypay")},
		"brought": {
			"VpcId": "vpc-1", "GatewaySubnetIds": "gateway-a,gateway-b", "PrivateSubnetIds": "private-a,private-b",
			"DatabaseUrlArn": bring("database"), "MigrateDatabaseUrlArn": bring("owner"), "DatabaseCaArn": bring("database-ca"),
			"RedisUrlArn": bring("redis"), "RedisCaArn": bring("redis-ca"), "JwtIssuer": "https://issuer.test",
			"ReserveConcurrency": "0", "BackgroundConcurrency": "false",
		},
	}
	for _, parameters := range stacks {
		parameters["PaymentGatewaySecretArn"] = bring("payment")
	}
	made, left := deployed(t, stacks)
	for _, what := range slices.Sorted(maps.Keys(left)) {
		t.Logf("not on moto: %s: %s", what, left[what])
	}
	for stack, parameters := range stacks {
		t.Run(stack, func(t *testing.T) {
			s, got := own(t, parameters), made[stack]
			if got.Status != "CREATE_COMPLETE" {
				t.Errorf("status %q", got.Status)
			}
			for name, res := range s.made {
				_, unknown := left[res.Type]
				if unknown = unknown || res.Type == "AWS::Serverless::HttpApi"; unknown == (got.Resources[name] != "") {
					t.Errorf("%s, a %s, is %q", name, res.Type, got.Resources[name])
				}
			}
			if alarms := s.of("AWS::CloudWatch::Alarm"); !slices.Equal(got.Alarms, alarms) {
				t.Errorf("alarms %q, want %q", got.Alarms, alarms)
			}
			s.holdsQueues(t, got)
			s.holdsLogs(t, stack, got)
			for _, function := range s.functions() {
				s.holdsFunction(t, stack, function, got)
			}
		})
	}
}

func (s *ownStack) holdsQueues(t *testing.T, got standing) {
	t.Helper()
	if len(got.Queues) != 3 {
		t.Errorf("%d queues", len(got.Queues))
	}
	for name, attributes := range got.Queues {
		for _, number := range []string{"VisibilityTimeout", "MessageRetentionPeriod"} {
			if want := s.get(name, number); want != nil && attributes[number] != scalar(want) {
				t.Errorf("%s: %s %s, want %v", name, number, attributes[number], want)
			}
		}
		if attributes["SqsManagedSseEnabled"] != "true" {
			t.Errorf("%s is not encrypted", name)
		}
	}
	var redrive struct {
		Target string `json:"deadLetterTargetArn"`
		Most   int    `json:"maxReceiveCount"`
	}
	err := json.Unmarshal([]byte(got.Queues["CompensationQueue"]["RedrivePolicy"]), &redrive)
	if err != nil || redrive.Most != 5 || redrive.Target != got.Queues["CompensationDeadLetterQueue"]["QueueArn"] || redrive.Target == "" {
		t.Errorf("dead letters go to %+v: %v", redrive, err)
	}
}

func (s *ownStack) holdsLogs(t *testing.T, stack string, got standing) {
	t.Helper()
	for _, name := range s.of("AWS::Logs::LogGroup") {
		want := strings.Replace(scalar(s.get(name, "LogGroupName")), ownSpace, stack, 1)
		if log := got.Logs[name]; log.Name != want || strconv.Itoa(log.Days) != s.get(name, "RetentionInDays") {
			t.Errorf("%s: %+v, want %s", name, log, want)
		}
	}
}

func (s *ownStack) holdsFunction(t *testing.T, stack, function string, got standing) {
	t.Helper()
	// real is what a value of ours became.
	real := func(v any) string {
		name := strings.TrimSuffix(strings.TrimPrefix(scalar(v), "http://queue/"), ".GroupId")
		switch {
		case name == ownSpace:
			return stack
		case got.Resources[name] != "":
			return got.Resources[name]
		case s.made[name].Type != "":
			return arn(name)
		}
		return scalar(v)
	}
	f := got.Functions[function]
	want, have := map[string]string{}, map[string]string{}
	for name, value := range s.variables(function) {
		want[name] = real(value)
	}
	for name, value := range f.Environment.Variables {
		have[name] = scalar(value)
	}
	if !maps.Equal(have, want) {
		t.Errorf("%s: variables %q, want %q", function, have, want)
	}
	role := strings.TrimPrefix(scalar(s.get(function, "Role")), arn(""))
	if f.Role != got.Roles[role] || f.Role == "" {
		t.Errorf("%s: role %q, want %q", function, f.Role, got.Roles[role])
	}
	kept, _ := strconv.Atoi(scalar(s.get(function, "ReservedConcurrentExecutions")))
	if f.Timeout != s.get(function, "Timeout") || f.MemorySize != s.get(function, "MemorySize") || f.Kept != kept || f.Runtime != "provided.al2023" {
		t.Errorf("%s: %d s, %d MiB, %d environments, %s", function, f.Timeout, f.MemorySize, f.Kept, f.Runtime)
	}
	var subnets, groups []string
	for _, subnet := range texts(s.get(function, "VpcConfig", "SubnetIds")) {
		subnets = append(subnets, real(subnet))
	}
	for _, group := range texts(s.get(function, "VpcConfig", "SecurityGroupIds")) {
		groups = append(groups, real(group))
	}
	if !slices.Equal(f.VpcConfig.SubnetIds, subnets) || !slices.Equal(f.VpcConfig.SecurityGroupIds, groups) {
		t.Errorf("%s stands in %+v, want %q and %q", function, f.VpcConfig, subnets, groups)
	}
}
