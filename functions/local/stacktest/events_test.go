package stacktest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every sample event is taken by its function over the invoke API, on a stack where what they name exists or not.
func TestEverySampleEvent(t *testing.T) {
	t.Parallel()
	s := ownStack(t)
	paths, err := filepath.Glob(filepath.Join(root, "events", "*.json"))
	if err != nil || len(paths) < 10 {
		t.Fatalf("%d sample events: %v", len(paths), err)
	}
	seen := map[string]bool{}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".json")
		first, _, _ := strings.Cut(name, "-")
		function := strings.ToUpper(first[:1]) + first[1:] + "Function"
		seen[function] = true
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			a := s.invoke(function, string(text)).want(t, 200)
			if fault := a.header.Get("X-Amz-Function-Error"); fault != "" {
				var e struct{ ErrorType string }
				// An action may be refused for what the database does not have, and a deployment whose stack does not hear of it is
				// run again; nothing may crash.
				err := json.Unmarshal(a.body, &e)
				refused := function == "AdminFunction" && strings.HasSuffix(e.ErrorType, "_NOT_FOUND") || name == "migrate-deployment" && e.ErrorType == "DEPENDENCY_UNAVAILABLE"
				if err != nil || !refused {
					t.Errorf("%s: %v", fault, a)
				}
				return
			}
			if strings.Contains(string(text), `"requestContext"`) {
				if p := proxyAnswer(t, a); p.StatusCode >= 500 {
					t.Errorf("%v", a)
				}
			}
			if strings.Contains(name, "malformed") {
				for _, id := range []string{"661970000002", "661970000003"} {
					if !strings.Contains(string(a.body), id) {
						t.Errorf("a malformed record was acknowledged: %v", a)
					}
				}
				if strings.Contains(string(a.body), "661970000001") {
					t.Errorf("the good record failed: %v", a)
				}
			}
		})
	}
	for _, function := range strings.Fields("Reserve Register Approve Complete Cancel Query Compensate Sweep Admin Migrate") {
		if !seen[function+"Function"] {
			t.Errorf("no sample event for %sFunction", function)
		}
	}
	s.audited(t, 0)
}

// proxied is what a function hands to API Gateway.
type proxied struct {
	StatusCode      int
	Headers         map[string]string
	Body            string
	IsBase64Encoded bool
}

func proxyAnswer(t testing.TB, a answer) proxied {
	t.Helper()
	var p proxied
	if err := json.Unmarshal(a.body, &p); err != nil || p.StatusCode == 0 {
		t.Fatalf("not an HTTP API answer: %v: %v", err, a)
	}
	return p
}

// apiEvent is a payload 2.0 event for reserve, as API Gateway makes it.
func apiEvent(t testing.TB, body string, encoded bool, claims any) string {
	t.Helper()
	request := map[string]any{
		"accountId": "123456789012", "apiId": "api", "domainName": "api.example", "requestId": "r-1", "routeKey": "POST /bookings/reserve",
		"stage": "$default", "timeEpoch": 1795327200000,
		"http": map[string]any{"method": "POST", "path": "/bookings/reserve", "protocol": "HTTP/1.1", "sourceIp": "203.0.113.10", "userAgent": "x"},
	}
	if claims != nil {
		request["authorizer"] = map[string]any{"jwt": map[string]any{"claims": claims, "scopes": nil}}
	}
	text, err := json.Marshal(map[string]any{
		"version": "2.0", "routeKey": "POST /bookings/reserve", "rawPath": "/bookings/reserve", "rawQueryString": "",
		"headers": map[string]string{"content-type": "application/json"}, "requestContext": request, "body": body, "isBase64Encoded": encoded,
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestEventsMadeByHand(t *testing.T) {
	t.Parallel()
	s := mainStack.get(t)
	product := s.product(t, 5)
	body := fmt.Sprintf(`{"productId":%d}`, product)
	code := func(p proxied) string {
		var e struct{ Code string }
		if err := json.Unmarshal([]byte(p.Body), &e); err != nil {
			t.Fatalf("%v: %s", err, p.Body)
		}
		seenCodes.Store(e.Code, true)
		return e.Code
	}
	call := func(event string) proxied {
		t.Helper()
		a := s.invoke("ReserveFunction", event).want(t, 200)
		if fault := a.header.Get("X-Amz-Function-Error"); fault != "" {
			t.Fatalf("%s: %v", fault, a)
		}
		return proxyAnswer(t, a)
	}
	b := s.buyer(t)
	user := map[string]any{"sub": fmt.Sprint(b.id)}
	p := call(apiEvent(t, base64.StdEncoding.EncodeToString([]byte(body)), true, user))
	if p.StatusCode != 201 || bookingOf(t, []byte(p.Body)).UserID != b.id {
		t.Errorf("a base64 body: %+v", p)
	}
	if p = call(apiEvent(t, "%%%", true, user)); p.StatusCode != 400 {
		t.Errorf("a body that is not base64: %+v", p)
	}
	if p = call(apiEvent(t, base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", 17<<10))), true, user)); p.StatusCode != 413 {
		t.Errorf("a base64 body that is too large: %+v", p)
	}
	if p = call(apiEvent(t, body, false, nil)); p.StatusCode != 401 || code(p) != "UNAUTHENTICATED" {
		t.Errorf("nobody: %+v", p)
	}
	for _, sub := range []any{"abc", "0", "-1", "9223372036854775808", "1.5", " 7", "007", ""} {
		if p = call(apiEvent(t, body, false, map[string]any{"sub": sub})); p.StatusCode != 401 || (code(p) != "INVALID_SUBJECT" && sub != "") {
			t.Errorf("sub %v: %+v", sub, p)
		}
	}
	for _, claims := range []any{map[string]any{}, map[string]any{"sub": 7}, map[string]any{"sub": nil}, []int{1}} {
		if p = call(apiEvent(t, body, false, claims)); p.StatusCode != 401 {
			t.Errorf("claims %v: %+v", claims, p)
		}
	}
	s.audited(t, product)
}

func TestInvokeAPI(t *testing.T) {
	t.Parallel()
	s := mainStack.get(t)
	if a := s.invoke("NoSuchFunction", `{}`); a.status != 404 || a.header.Get("X-Amzn-Errortype") == "" {
		t.Errorf("an unknown function: %v %v", a, a.header)
	}
	if a := s.invoke("AdminFunction", `{"action":`); a.err != nil || a.status >= 500 {
		t.Errorf("no json: %v", a)
	}
	if a := s.invoke("AdminFunction", ``); a.err != nil || a.status >= 500 {
		t.Errorf("nothing: %v", a)
	}
	for _, garbage := range []string{`null`, `1`, `"x"`, `[]`, `{}`, `{"Records":null}`, `{"Records":[{}]}`, `{"Records":"x"}`} {
		for _, function := range []string{"ReserveFunction", "QueryFunction", "CompensateFunction", "AdminFunction"} {
			a := s.invoke(function, garbage).want(t, 200)
			if strings.Contains(string(a.body), "Runtime.ExitError") || strings.Contains(string(a.body), "stackTrace") {
				t.Errorf("%s died of %s: %v", function, garbage, a)
			}
		}
	}
}
