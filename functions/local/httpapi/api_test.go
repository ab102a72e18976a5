package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"stayhold/functions/local/sandbox"
	"stayhold/functions/local/template"
)

// function is an invoker that keeps what it was called with.
type function struct {
	got    []byte
	result sandbox.Result
	err    error
}

func (f *function) Invoke(_ context.Context, payload []byte) (sandbox.Result, error) {
	f.got = payload
	return f.result, f.err
}

type stand struct {
	*API
	function *function
	tokens   *Authorizer
	entries  []Entry
}

// keyFile is one key for all tests, since to make one takes long.
var keyFile = sync.OnceValue(func() []byte {
	dir, err := os.MkdirTemp("", "stayhold-key-")
	if err != nil {
		panic(err)
	}
	path := filepath.Join(dir, "key.pem")
	if _, err := makeKey(path); err != nil {
		panic(err)
	}
	text, err := os.ReadFile(path)
	if err = errors.Join(err, os.RemoveAll(dir)); err != nil {
		panic(err)
	}
	return text
})

func newStand(t *testing.T, origins ...string) *stand {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(path, keyFile(), 0o600); err != nil {
		t.Fatal(err)
	}
	tokens, err := NewAuthorizer(path, "https://issuer.test", []string{"stayhold"})
	if err != nil {
		t.Fatal(err)
	}
	s := &stand{tokens: tokens, function: &function{result: sandbox.Result{Payload: []byte(`{"statusCode":200,"body":"{}"}`)}}}
	s.API = New(Config{
		Routes: []template.Route{
			{Method: "POST", Path: "/bookings/reserve", Function: "Reserve"},
			{Method: "GET", Path: "/bookings/{bookingId}", Function: "Query"},
			{Method: "GET", Path: "/bookings/mine", Function: "Mine"},
			{Method: "GET", Path: "/health", Function: "Query", Open: true},
		},
		Cors: template.Cors{
			Origins: origins, Methods: []string{"GET", "POST"}, Headers: []string{"Authorization", "Content-Type", "Idempotency-Key"},
			Expose: []string{"Location", "Retry-After", "Idempotency-Replayed"}, MaxAge: 600,
		},
		Authorizer: tokens, Invoker: func(string) Invoker { return s.function }, Log: func(e Entry) { s.entries = append(s.entries, e) },
	})
	return s
}

func (s *stand) token(t *testing.T) string {
	t.Helper()
	token, err := s.tokens.Issue(7, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func (s *stand) do(r *http.Request) *http.Response {
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (s *stand) event(t *testing.T) map[string]any {
	t.Helper()
	var e map[string]any
	if err := json.Unmarshal(s.function.got, &e); err != nil {
		t.Fatalf("%v in %s", err, s.function.got)
	}
	return e
}

func TestEventHasTheShapeOfPayloadFormat2(t *testing.T) {
	s := newStand(t)
	r := httptest.NewRequest("POST", "/bookings/reserve?a=1&b=x%20y&a=2&bad=%zz", strings.NewReader(`{"productId":1}`))
	r.Header.Set("Authorization", "Bearer "+s.token(t))
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	r.Header.Add("X-Two", "1")
	r.Header.Add("X-Two", "2")
	r.Header.Set("Cookie", "a=1; b=2")
	r.Header.Set("User-Agent", "test")
	if got := s.do(r); got.StatusCode != 200 {
		t.Fatalf("%d %s", got.StatusCode, body(t, got))
	}
	e := s.event(t)
	c := e["requestContext"].(map[string]any)
	claims := c["authorizer"].(map[string]any)["jwt"].(map[string]any)["claims"].(map[string]any)
	for _, name := range []string{"exp", "iat"} {
		if _, ok := claims[name].(string); !ok {
			t.Errorf("claim %s is %v, want a string", name, claims[name])
		}
		claims[name] = "*"
	}
	if _, ok := c["timeEpoch"].(float64); !ok || len(c["requestId"].(string)) != 16 {
		t.Errorf("timeEpoch %v, requestId %v", c["timeEpoch"], c["requestId"])
	}
	h := e["headers"].(map[string]any)
	for _, of := range []struct {
		in   map[string]any
		name string
	}{{c, "requestId"}, {c, "time"}, {c, "timeEpoch"}, {h, "authorization"}, {h, "x-amzn-trace-id"}} {
		of.in[of.name] = "*"
	}
	golden(t, "testdata/event.json", e)
}

func golden(t *testing.T, path string, got any) {
	t.Helper()
	text, err := json.MarshalIndent(got, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	text = append(text, '\n')
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(text, want) {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
}

func TestBodiesAreTextOnlyWhenDeclaredSo(t *testing.T) {
	s := newStand(t)
	token := s.token(t)
	for name, test := range map[string]struct {
		kind, encoding, body, want string
		base64                     bool
	}{
		"json":        {"application/json", "", `{"ü":1}`, `{"ü":1}`, false},
		"problem":     {"application/problem+json", "", `{}`, `{}`, false},
		"form":        {"application/x-www-form-urlencoded", "", "a=1", "YT0x", true},
		"none":        {"", "", "a", "YQ==", true},
		"gzip":        {"application/json", "gzip", "a", "YQ==", true},
		"not UTF-8":   {"application/json", "", "\xff", "/w==", true},
		"broken type": {"application/json; charset", "", "{}", "{}", false},
	} {
		r := httptest.NewRequest("POST", "/bookings/reserve", strings.NewReader(test.body))
		r.Header.Set("Authorization", token)
		if test.kind != "" {
			r.Header.Set("Content-Type", test.kind)
		}
		if test.encoding != "" {
			r.Header.Set("Content-Encoding", test.encoding)
		}
		s.do(r)
		if e := s.event(t); e["body"] != test.want || e["isBase64Encoded"] != test.base64 {
			t.Errorf("%s: %v, base64 %v", name, e["body"], e["isBase64Encoded"])
		}
	}
}

func TestRoutesAndParameters(t *testing.T) {
	s := newStand(t)
	for path, want := range map[string]string{
		"/bookings/12":      "12",
		"/bookings/a%2Fb":   "a/b",
		"/bookings/mine":    "",
		"/bookings/":        "404",
		"/bookings/12/":     "404",
		"/bookings":         "404",
		"/bookings/reserve": "reserve",
		"/":                 "404",
		"//health":          "404",
	} {
		s.function.got = nil
		r := httptest.NewRequest("GET", "http://local"+path, nil)
		r.Header.Set("Authorization", s.token(t))
		got := s.do(r)
		if want == "404" {
			if text := body(t, got); got.StatusCode != 404 || text != `{"message":"Not Found"}` || s.function.got != nil {
				t.Errorf("%s: %d %s", path, got.StatusCode, text)
			}
			continue
		}
		parameters, _ := s.event(t)["pathParameters"].(map[string]any)
		if v, _ := parameters["bookingId"].(string); v != want {
			t.Errorf("%s: parameters %v, want %q", path, parameters, want)
		}
	}
	if got := s.do(httptest.NewRequest("DELETE", "/health", nil)); got.StatusCode != 404 {
		t.Errorf("another method: %d", got.StatusCode)
	}
	if got := s.do(httptest.NewRequest("GET", "/health", nil)); got.StatusCode != 200 {
		t.Errorf("an open route without a token: %d", got.StatusCode)
	} else if _, ok := s.event(t)["requestContext"].(map[string]any)["authorizer"]; ok {
		t.Error("an open route has an authorizer")
	}
}

func TestAnswers(t *testing.T) {
	for name, test := range map[string]struct {
		result sandbox.Result
		status int
		body   string
		header map[string]string
	}{
		"whole": {
			sandbox.Result{Payload: []byte(`{"statusCode":201,"headers":{"content-type":"application/json","location":"/bookings/1","retry-after":3},"cookies":["a=1"],"body":"{}"}`)},
			201, `{}`, map[string]string{"Content-Type": "application/json", "Location": "/bookings/1", "Retry-After": "3", "Set-Cookie": "a=1"},
		},
		"no type":       {sandbox.Result{Payload: []byte(`{"statusCode":200,"body":"x"}`)}, 200, "x", map[string]string{"Content-Type": "text/plain;charset=UTF-8"}},
		"base64":        {sandbox.Result{Payload: []byte(`{"statusCode":200,"body":"eA==","isBase64Encoded":true}`)}, 200, "x", nil},
		"string status": {sandbox.Result{Payload: []byte(`{"statusCode":"204"}`)}, 204, "", nil},
		"inferred":      {sandbox.Result{Payload: []byte(`{"a":1}`)}, 200, `{"a":1}`, map[string]string{"Content-Type": "application/json"}},
		"malformed":     {sandbox.Result{Payload: []byte(`{"statusCode":`)}, 500, `{"message":"Internal Server Error"}`, nil},
		"bad status":    {sandbox.Result{Payload: []byte(`{"statusCode":99}`)}, 500, `{"message":"Internal Server Error"}`, nil},
		"bad base64":    {sandbox.Result{Payload: []byte(`{"statusCode":200,"body":"?","isBase64Encoded":true}`)}, 500, `{"message":"Internal Server Error"}`, nil},
		"bad headers":   {sandbox.Result{Payload: []byte(`{"statusCode":200,"headers":[]}`)}, 500, `{"message":"Internal Server Error"}`, nil},
		"failed":        {sandbox.Result{Failed: true, Payload: []byte(`{"errorMessage":"secret"}`)}, 500, `{"message":"Internal Server Error"}`, nil},
		"timed out":     {sandbox.Result{Failed: true, TimedOut: true}, 503, `{"message":"Service Unavailable"}`, nil},
	} {
		s := newStand(t)
		s.function.result = test.result
		got := s.do(httptest.NewRequest("GET", "/health", nil))
		if text := body(t, got); got.StatusCode != test.status || text != test.body {
			t.Errorf("%s: %d %s", name, got.StatusCode, text)
		}
		for k, v := range test.header {
			if got.Header.Get(k) != v {
				t.Errorf("%s: %s is %q, want %q", name, k, got.Header.Get(k), v)
			}
		}
		if len(s.entries) != 1 || s.entries[0].Status != test.status || s.entries[0].Function != "Query" {
			t.Errorf("%s: log %+v", name, s.entries)
		}
	}
	s := newStand(t)
	s.function.err = sandbox.ErrBusy
	if got := s.do(httptest.NewRequest("GET", "/health", nil)); got.StatusCode != 503 || body(t, got) != `{"message":"Service Unavailable"}` {
		t.Errorf("all busy: %d", got.StatusCode)
	}
}

func TestLimits(t *testing.T) {
	s := newStand(t)
	r := httptest.NewRequest("POST", "/bookings/reserve", bytes.NewReader(make([]byte, maxBody+1)))
	r.Header.Set("Authorization", s.token(t))
	if got := s.do(r); got.StatusCode != 413 || body(t, got) != `{"message":"Request Entity Too Large"}` {
		t.Errorf("a large body: %d", got.StatusCode)
	}
	r = httptest.NewRequest("GET", "/health", nil)
	r.Header.Set("X-Large", strings.Repeat("x", maxHeader))
	if got := s.do(r); got.StatusCode != 431 {
		t.Errorf("large headers: %d", got.StatusCode)
	}
	if s.function.got != nil {
		t.Error("a function was called")
	}
}

func TestCors(t *testing.T) {
	s := newStand(t, "https://a.test")
	ask := func(method, path, origin string) *http.Response {
		r := httptest.NewRequest(method, path, nil)
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		if method == http.MethodOptions {
			r.Header.Set("Access-Control-Request-Method", "POST")
		}
		return s.do(r)
	}
	got := ask("OPTIONS", "/bookings/reserve", "https://a.test")
	for name, want := range map[string]string{
		"Access-Control-Allow-Origin": "https://a.test", "Access-Control-Allow-Methods": "GET,POST",
		"Access-Control-Allow-Headers": "authorization,content-type,idempotency-key", "Access-Control-Max-Age": "600",
	} {
		if got.StatusCode != 204 || got.Header.Get(name) != want {
			t.Errorf("preflight: %d, %s is %q, want %q", got.StatusCode, name, got.Header.Get(name), want)
		}
	}
	if got := ask("OPTIONS", "/bookings/reserve", "https://b.test"); got.StatusCode != 204 || len(got.Header["Access-Control-Allow-Origin"]) != 0 {
		t.Errorf("preflight of a stranger: %d %v", got.StatusCode, got.Header)
	}
	s.function.result.Payload = []byte(`{"statusCode":200,"headers":{"access-control-allow-origin":"*"},"body":""}`)
	if got := ask("GET", "/health", "https://b.test"); len(got.Header["Access-Control-Allow-Origin"]) != 0 {
		t.Errorf("the function's own header came through: %v", got.Header)
	}
	got = ask("GET", "/bookings/1", "https://a.test")
	if got.StatusCode != 401 || got.Header.Get("Access-Control-Allow-Origin") != "https://a.test" ||
		got.Header.Get("Access-Control-Expose-Headers") != "location,retry-after,idempotency-replayed" {
		t.Errorf("a refusal: %d %v", got.StatusCode, got.Header)
	}
	if got := newStand(t).do(httptest.NewRequest("OPTIONS", "/health", nil)); got.StatusCode != 404 {
		t.Errorf("without a configuration: %d, want 404", got.StatusCode)
	}
}
