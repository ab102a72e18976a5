package env

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// whole is an environment without a fault.
func whole() map[string]string {
	return map[string]string{
		"DATABASE_URL":           "postgres://u:hush@127.0.0.1:5432/stayhold?sslmode=disable",
		"REDIS_URL":              "redis://:hush@127.0.0.1:6379,redis://127.0.0.1:6380",
		"PAYMENT_GATEWAY_URL":    "https://gateway.example",
		"PAYMENT_GATEWAY_SECRET": "hush",
		"COMPENSATION_QUEUE_URL": "http://127.0.0.1:3003/000000000000/stayhold",
		"AWS_ENDPOINT_URL_SQS":   "http://127.0.0.1:3003",
	}
}

var all = []Need{Database, Redis, Gateway, Queue, Migration}

func readFrom(environment map[string]string, needs ...Need) (Config, error) {
	return read(context.Background(), func(name string) string { return environment[name] }, needs...)
}

func TestDefaults(t *testing.T) {
	c, err := readFrom(whole(), all...)
	if err != nil {
		t.Fatal(err)
	}
	if c.HoldTTL != 5*time.Minute || c.PaymentWindow != 2*time.Minute || c.GatewayTimeout != 10*time.Second ||
		c.GatewaySession != 10*time.Minute || c.SweepGrace != 30*time.Second || c.MaxOpenHolds != 5 ||
		c.DatabasePooler || c.UserIDClaim != "sub" || c.LogLevel != slog.LevelInfo {
		t.Errorf("%+v", c)
	}
	if c.YPayGatewayURL != c.PaymentGatewayURL || c.YPayGatewaySecret != c.PaymentGatewaySecret {
		t.Error("YPAY is not the payment gateway's")
	}
	if c.Region == "" || c.AccessKeyID == "" || c.SecretAccessKey == "" {
		t.Error("an endpoint of one's own needs some credentials")
	}
}

func TestOnlyWhatIsNeeded(t *testing.T) {
	if _, err := readFrom(nil); err != nil {
		t.Error(err)
	}
	c, err := readFrom(map[string]string{"DATABASE_URL": "postgresql:///stayhold"}, Database)
	if err != nil || c.DatabaseURL.Reveal() != "postgresql:///stayhold?sslmode=disable" {
		t.Error(c, err)
	}
}

func TestEveryValueIsRead(t *testing.T) {
	e := whole()
	for name, value := range map[string]string{
		"YPAY_GATEWAY_URL": "https://ypay", "YPAY_GATEWAY_SECRET": "other", "HOLD_TTL": "2s", "PAYMENT_WINDOW": "1.5s",
		"GATEWAY_TIMEOUT": "900ms", "GATEWAY_SESSION": "1s", "SWEEP_GRACE": "1ms", "MAX_OPEN_HOLDS": "1", "DATABASE_POOLER": "true",
		"FUNCTIONS_LOGIN": `{"username":"buyer","password":"hush","engine":"postgres"}`,
		"USER_ID_CLAIM":   "uid", "LOG_LEVEL": "debug", "METRICS_NAMESPACE": "stay-1/a", "AWS_REGION": "ap-northeast-2", "AWS_ACCESS_KEY_ID": "a",
		"AWS_SECRET_ACCESS_KEY": "b", "AWS_SESSION_TOKEN": "c",
	} {
		e[name] = value
	}
	c, err := readFrom(e, all...)
	if err != nil {
		t.Fatal(err)
	}
	wanted := Config{
		DatabaseURL: Secret(e["DATABASE_URL"]), RedisURL: Secret(e["REDIS_URL"]), DatabasePooler: true, FunctionsLogin: Login{"buyer", "hush"},
		PaymentGatewayURL: "https://gateway.example", PaymentGatewaySecret: "hush", YPayGatewayURL: "https://ypay", YPayGatewaySecret: "other",
		CompensationQueueURL: e["COMPENSATION_QUEUE_URL"], SQSEndpoint: "http://127.0.0.1:3003", Region: "ap-northeast-2",
		AccessKeyID: "a", SecretAccessKey: "b", SessionToken: "c", HoldTTL: 2 * time.Second, PaymentWindow: 1500 * time.Millisecond,
		GatewayTimeout: 900 * time.Millisecond, GatewaySession: time.Second, SweepGrace: time.Millisecond, MaxOpenHolds: 1,
		UserIDClaim: "uid", LogLevel: slog.LevelDebug, MetricsNamespace: "stay-1/a",
	}
	if c != wanted {
		t.Errorf("%#v\n%#v", c, wanted)
	}
}

func TestFaults(t *testing.T) {
	for _, c := range []struct{ name, value, fault string }{
		{"HOLD_TTL", "abc", `HOLD_TTL: "abc" is not a duration like 300s`},
		{"HOLD_TTL", "300", `HOLD_TTL: "300" is not a duration`},
		{"HOLD_TTL", "0s", `HOLD_TTL: "0s" is not between`},
		{"HOLD_TTL", "-5s", `HOLD_TTL: "-5s" is not between`},
		{"HOLD_TTL", "24h1s", `HOLD_TTL: "24h1s" is not between`},
		{"HOLD_TTL", "1\n2", `HOLD_TTL: "1\n2" is not`},
		{"HOLD_TTL", strings.Repeat("9", 500), `…" is not`},
		{"HOLD_TTL", "59s", "HOLD_TTL: must not be shorter than PAYMENT_WINDOW"},
		{"PAYMENT_WINDOW", "91s", "HOLD_TTL: must not be shorter than PAYMENT_WINDOW"},
		{"PAYMENT_WINDOW", "x", "PAYMENT_WINDOW: "},
		{"GATEWAY_TIMEOUT", "29s", `GATEWAY_TIMEOUT: "29s" is not between`},
		{"GATEWAY_SESSION", "5s", "GATEWAY_SESSION: must be longer than GATEWAY_TIMEOUT"},
		{"SWEEP_GRACE", "x", "SWEEP_GRACE: "},
		{"MAX_OPEN_HOLDS", "0", `MAX_OPEN_HOLDS: "0" is not a whole number`},
		{"MAX_OPEN_HOLDS", "5.0", "MAX_OPEN_HOLDS: "},
		{"MAX_OPEN_HOLDS", "99999999999999999999", "MAX_OPEN_HOLDS: "},
		{"DATABASE_POOLER", "yes", `DATABASE_POOLER: "yes" is neither true nor false`},
		{"DATABASE_IAM", "yes", `DATABASE_IAM: "yes" is neither true nor false`},
		{"DATABASE_IAM", "true", "DATABASE_URL: with DATABASE_IAM it names a user and bears no password"},
		{"DATABASE_IAM", "true", "AWS_REGION: missing; AWS_ACCESS_KEY_ID: missing; AWS_SECRET_ACCESS_KEY: missing"},
		{"FUNCTIONS_LOGIN", "hush", "FUNCTIONS_LOGIN: not JSON like"},
		{"FUNCTIONS_LOGIN", `{"username":"hush"}`, "FUNCTIONS_LOGIN: not JSON like"},
		{"TLS_REQUIRED", "maybe", `TLS_REQUIRED: "maybe" is neither true nor false`},
		{"DATABASE_CA", "hush", "DATABASE_CA: not certificates in PEM"},
		{"REDIS_CA", "-----BEGIN CERTIFICATE-----", "REDIS_CA: not certificates in PEM"},
		{"USER_ID_CLAIM", "user id", `USER_ID_CLAIM: "user id" is not the name of a claim`},
		{"METRICS_NAMESPACE", "a b", `METRICS_NAMESPACE: "a b" is not a namespace of CloudWatch's`},
		{"LOG_LEVEL", "loud", `LOG_LEVEL: "loud" is none of`},
		{"DATABASE_URL", "", "DATABASE_URL: missing"},
		{"DATABASE_URL", "mysql://u:hush@h/d", "DATABASE_URL: not a URL like postgres://"},
		{"DATABASE_URL", "postgres://u:hush%zz@h/d", "DATABASE_URL: not a URL"},
		{"DATABASE_URL_ARN", "arn:aws:secretsmanager:r:1:secret:x", "DATABASE_URL: given together with DATABASE_URL_ARN"},
		{"REDIS_URL", "", "REDIS_URL: missing"},
		{"REDIS_URL", "127.0.0.1:6379", "REDIS_URL: not a URL like redis://"},
		{"REDIS_URL", "http://hush@h", "REDIS_URL: not a URL"},
		{"PAYMENT_GATEWAY_URL", "", "PAYMENT_GATEWAY_URL: missing"},
		{"PAYMENT_GATEWAY_URL", "gateway.example", "PAYMENT_GATEWAY_URL: not a URL like https://host"},
		{"PAYMENT_GATEWAY_URL", "https://user:hush@host", "PAYMENT_GATEWAY_URL: not a URL"},
		{"YPAY_GATEWAY_URL", "ftp://host", "YPAY_GATEWAY_URL: not a URL"},
		{"PAYMENT_GATEWAY_SECRET", "", "PAYMENT_GATEWAY_SECRET: missing"},
		{"AWS_ENDPOINT_URL_SECRETS_MANAGER", "hush", "AWS_ENDPOINT_URL_SECRETS_MANAGER: not a URL"},
		{"PAYMENT_GATEWAY_SECRET", "hush hush", "PAYMENT_GATEWAY_SECRET: bears a character"},
		{"YPAY_GATEWAY_SECRET_ARN", "arn:aws:s3:::hush", "YPAY_GATEWAY_SECRET_ARN: "},
		{"COMPENSATION_QUEUE_URL", "", "COMPENSATION_QUEUE_URL: missing"},
		{"COMPENSATION_QUEUE_URL", "queue", "COMPENSATION_QUEUE_URL: not a URL"},
		{"AWS_ENDPOINT_URL_SQS", "", "AWS_REGION: missing; AWS_ACCESS_KEY_ID: missing; AWS_SECRET_ACCESS_KEY: missing"},
	} {
		e := whole()
		e["HOLD_TTL"], e["PAYMENT_WINDOW"], e["GATEWAY_TIMEOUT"] = "90s", "60s", "15s"
		e[c.name] = c.value
		_, err := readFrom(e, all...)
		if err == nil || !strings.Contains(err.Error(), c.fault) {
			t.Errorf("%s=%q: %v\nwant %s", c.name, c.value, err, c.fault)
		} else if strings.Contains(err.Error(), "\n") || c.name != "YPAY_GATEWAY_SECRET_ARN" && strings.Contains(err.Error(), "hush") {
			t.Errorf("%s=%q: %v", c.name, c.value, err)
		}
	}
}

// A function that is not told of a duration does not hold another one against its default.
func TestDurationsAreComparedWhereBothAreGiven(t *testing.T) {
	for _, e := range []map[string]string{{"HOLD_TTL": "2s"}, {"PAYMENT_WINDOW": "4s"}, {"HOLD_TTL": "4s", "PAYMENT_WINDOW": "4s"}, {"GATEWAY_TIMEOUT": "28s", "HOLD_TTL": "2s"}} {
		if _, err := readFrom(e); err != nil {
			t.Errorf("%v: %v", e, err)
		}
	}
}

func TestAllFaultsAtOnce(t *testing.T) {
	_, err := readFrom(map[string]string{"HOLD_TTL": "abc", "MAX_OPEN_HOLDS": "x"}, all...)
	if err == nil || strings.Count(err.Error(), "; ") != 9 {
		t.Error(err)
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	c, err := readFrom(whole(), all...)
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "config", c)
	if text := fmt.Sprintf("%v %+v %#v", c, c, c) + log.String(); strings.Contains(text, "hush") {
		t.Error(text)
	}
}

// TestUse runs itself as the process that has to end.
func TestUse(t *testing.T) {
	if os.Getenv("TEST_USE") != "" {
		Use(Read(context.Background(), Database))
		return
	}
	self := exec.Command(os.Args[0], "-test.run=^TestUse$")
	self.Env = []string{"TEST_USE=1", "HOLD_TTL=abc"}
	out, err := self.CombinedOutput()
	wanted := "STAYHOLD configuration: HOLD_TTL: \"abc\" is not a duration like 300s; DATABASE_URL: missing\n"
	if !strings.HasPrefix(string(out), wanted) || self.ProcessState.ExitCode() != 1 {
		t.Errorf("%v: %s", err, out)
	}
}

// Each connection has a password of its own, which names the place, the user and the region, and bears no key.
func TestDatabaseToken(t *testing.T) {
	e := map[string]string{
		"DATABASE_IAM": "true", "DATABASE_URL": "postgres://buyer@db.example:5432/stayhold", "AWS_REGION": "ap-northeast-2",
		"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "hush", "AWS_SESSION_TOKEN": "session",
	}
	c, err := readFrom(e, Database)
	if err != nil {
		t.Fatal(err)
	}
	token, err := c.DatabaseToken()(t.Context(), "db.example:5432", "buyer")
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse("https://" + token)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	if u.Host != "db.example:5432" || q.Get("Action") != "connect" || q.Get("DBUser") != "buyer" || q.Get("X-Amz-Expires") != "900" ||
		!strings.Contains(q.Get("X-Amz-Credential"), "AKID/") || !strings.Contains(q.Get("X-Amz-Credential"), "/ap-northeast-2/rds-db/") ||
		q.Get("X-Amz-Security-Token") != "session" || len(q.Get("X-Amz-Signature")) != 64 || strings.Contains(token, "hush") {
		t.Error(token)
	}
	e["DATABASE_IAM"] = ""
	if c, err = readFrom(e, Database); err != nil || c.DatabaseToken() != nil {
		t.Errorf("a token that nobody asked for: %v", err)
	}
	e["DATABASE_IAM"] = "true"
	for _, url := range []string{"postgres://db.example/stayhold", "postgres://buyer@db.example/stayhold?password=hush"} {
		e["DATABASE_URL"] = url
		if _, err := readFrom(e, Database); err == nil || !strings.Contains(err.Error(), wantsNoWord) {
			t.Errorf("%s: %v", url, err)
		}
	}
}
