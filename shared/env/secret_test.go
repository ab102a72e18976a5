package env

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

const arn = "arn:aws:secretsmanager:ap-northeast-2:123456789012:secret:"

// secretsManager answers GetSecretValue by the name at the end of the ARN.
func secretsManager(t *testing.T, answer map[string]func(w http.ResponseWriter)) (environment map[string]string, asked func() map[string]int) {
	t.Helper()
	var mu sync.Mutex
	count := map[string]int{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var in struct{ SecretId string }
		if err != nil || json.Unmarshal(body, &in) != nil {
			t.Errorf("request %s", body)
		}
		if r.Header.Get("X-Amz-Target") != "secretsmanager.GetSecretValue" || r.Header.Get("X-Amz-Security-Token") != "session" ||
			!strings.Contains(r.Header.Get("Authorization"), "/ap-northeast-2/secretsmanager/aws4_request") {
			t.Errorf("headers %v", r.Header)
		}
		name := strings.TrimPrefix(in.SecretId, arn)
		mu.Lock()
		count[name]++
		mu.Unlock()
		answer[name](w)
	}))
	t.Cleanup(server.Close)
	return map[string]string{
			"AWS_ENDPOINT_URL_SECRETS_MANAGER": server.URL, "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "hush",
			"AWS_SESSION_TOKEN": "session", "PAYMENT_GATEWAY_URL": "https://gateway.example",
		}, func() map[string]int {
			mu.Lock()
			defer mu.Unlock()
			return count
		}
}

func text(value string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		if err := json.NewEncoder(w).Encode(map[string]string{"SecretString": value}); err != nil {
			panic(err)
		}
	}
}

func status(code int, body string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		w.WriteHeader(code)
		if _, err := io.WriteString(w, body); err != nil {
			panic(err)
		}
	}
}

func TestSecretsByARN(t *testing.T) {
	environment, asked := secretsManager(t, map[string]func(http.ResponseWriter){
		"db": text("postgres://u:hush@h/d?sslmode=verify-full\n"), "pay": text("hush"), "redis": text("rediss://:hush@h:6379"),
	})
	environment["DATABASE_URL_ARN"] = arn + "db"
	environment["REDIS_URL_ARN"] = arn + "redis"
	environment["PAYMENT_GATEWAY_SECRET_ARN"] = arn + "pay"
	environment["YPAY_GATEWAY_SECRET_ARN"] = arn + "pay"
	c, err := readFrom(environment, Database, Redis, Gateway)
	if err != nil || c.DatabaseURL != "postgres://u:hush@h/d?sslmode=verify-full" || c.PaymentGatewaySecret != "hush" || c.YPayGatewaySecret != "hush" || c.RedisURL == "" {
		t.Errorf("%+v %v", c, err)
	}
	if fmt.Sprint(asked()) != "map[db:1 pay:1 redis:1]" {
		t.Errorf("asked %v", asked())
	}
}

func TestSecretsThatCannotBeRead(t *testing.T) {
	flaky := 0
	environment, asked := secretsManager(t, map[string]func(http.ResponseWriter){
		"denied": status(400, `{"__type":"com.amazonaws#AccessDeniedException","message":"hush"}`),
		"broken": status(500, `hush`),
		"wrong":  text("mysql://hush"),
		"empty":  text(" "),
		"binary": status(200, `{"SecretBinary":"aHVzaA=="}`),
		"html":   status(200, `<hush>`),
		"moved":  func(w http.ResponseWriter) { w.Header().Set("Location", "http://127.0.0.1:1/"); w.WriteHeader(307) },
		"flaky": func(w http.ResponseWriter) {
			if flaky++; flaky == 1 {
				status(503, "{}")(w)
				return
			}
			text("postgres://h/d")(w)
		},
	})
	for name, fault := range map[string]string{
		"denied": `Secrets Manager: the service answers 400 "AccessDeniedException"`,
		"broken": "the service answers 500",
		"wrong":  "the secret: not a URL like postgres://",
		"empty":  "it has no text",
		"binary": "it has no text",
		"html":   "not JSON",
		"moved":  "answers 307",
		"flaky":  "",
	} {
		environment["DATABASE_URL_ARN"] = arn + name
		_, err := readFrom(environment, Database)
		switch {
		case fault == "" && err != nil, fault != "" && err == nil:
			t.Errorf("%s: %v", name, err)
		case err != nil && (!strings.HasPrefix(err.Error(), "DATABASE_URL_ARN: ") || !strings.Contains(err.Error(), fault) || strings.Contains(err.Error(), "hush")):
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := asked(); n["broken"] != fetchTries || n["denied"] != 1 {
		t.Errorf("asked %v", n)
	}
	environment["AWS_ENDPOINT_URL_SECRETS_MANAGER"] = "http://127.0.0.1:1"
	if _, err := readFrom(environment, Database); err == nil || !strings.Contains(err.Error(), "does not answer") {
		t.Error(err)
	}
	delete(environment, "AWS_ACCESS_KEY_ID")
	if _, err := readFrom(environment, Database); err == nil || !strings.Contains(err.Error(), "AWS_ACCESS_KEY_ID") {
		t.Error(err)
	}
}

func TestARNs(t *testing.T) {
	for _, text := range []string{
		"", "x", "arn:aws:secretsmanager:r:1:secret:", "arn:aws:secretsmanager::1:secret:x", "arn:aws:secretsmanager:evil.host/:1:secret:x",
		"arn:aws:ssm:r:1:secret:x", "arn:aws:secretsmanager:r:1:parameter:x", "aws:arn:secretsmanager:r:1:secret:x",
	} {
		if region, ok := regionOf(text); ok {
			t.Errorf("%q: %s", text, region)
		}
	}
	if region, ok := regionOf(arn + "a:b"); !ok || region != "ap-northeast-2" {
		t.Error(region)
	}
}
