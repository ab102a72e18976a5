package stacktest

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"stayhold/functions/local/template"
)

// The document is valid OpenAPI, its examples included, as a third party reads it.
func TestDescriptionIsOpenAPI(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromFile(descriptionFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := described(); err != nil {
		t.Error(err)
	}
}

// ours is the description; a test that stands on it does not go on without.
func ours(t *testing.T) *description {
	t.Helper()
	d, err := described()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestEveryRouteIsDescribed(t *testing.T) {
	deployed, err := template.Read(filepath.Join(root, "template.yaml"), template.Options{
		Parameters: map[string]string{"JwtIssuer": "https://issuer.test", "JwtAudience": "stayhold"},
		QueueURL:   func(name string) string { return "http://queue/" + name },
	})
	if err != nil {
		t.Fatal(err)
	}
	want, got := map[string]bool{}, map[string]bool{}
	for _, r := range deployed.Routes {
		want[r.Method+" "+r.Path] = r.Open
	}
	for _, o := range ours(t).operations {
		got[o.route] = o.open
	}
	if !maps.Equal(want, got) {
		t.Errorf("template.yaml routes (true: without a token)\n%v, and openapi.yaml has\n%v", want, got)
	}
}

// statusOf are the statuses of the kinds of errors.go, as the contract has them.
var statusOf = map[string]string{
	"Internal": "500", "Invalid": "400", "Unauthenticated": "401", "Declined": "402", "NotFound": "404", "Conflict": "409", "Gone": "410",
	"TooLarge": "413", "Unsupported": "415", "Unprocessable": "422", "Limited": "429", "Unavailable": "503",
}

func TestEveryCodeIsDescribed(t *testing.T) {
	d := ours(t)
	source, err := os.ReadFile(filepath.Join(root, "shared", "booking", "errors.go"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for _, m := range regexp.MustCompile(`define\((\w+), "([A-Z_]+)"`).FindAllStringSubmatch(string(source), -1) {
		want[m[2]] = statusOf[m[1]]
	}
	// A code's place is an answer of that status, on some route, which may bear it.
	got := map[string]string{}
	for path := range d.at("/paths").of {
		for _, method := range []string{"get", "post"} {
			responses := d.at("/paths/" + escape(path)).child(method).child("responses")
			for status := range responses.of {
				for _, code := range responses.child(status).child("content").child("application/problem+json").child("schema").codes() {
					if fixed := fmt.Sprint(d.at("/components/schemas/" + code).child("properties").child("status").of["const"]); fixed != status {
						t.Errorf("%s %s: %s is of status %s and stands under %s", method, path, code, fixed, status)
					}
					got[code] = status
				}
			}
		}
	}
	if !maps.Equal(want, got) {
		t.Errorf("errors.go has\n%v, and openapi.yaml\n%v", want, got)
	}
	for name, schema := range d.at("/components/schemas").of {
		if strings.ToUpper(name) == name && want[name] == "" {
			t.Errorf("the schema %s is of no code: %v", name, schema)
		}
	}
}

// codes are those that a problem's schema lets through.
func (p place) codes() (list []string) {
	if p.of == nil {
		return nil
	}
	choices, ok := p.of["oneOf"].([]any)
	if !ok {
		return []string{fmt.Sprint(p.child("properties").child("code").of["const"])}
	}
	for i := range choices {
		to := choices[i].(map[string]any)["$ref"].(string)
		list = append(list, p.document.at(strings.TrimPrefix(to, "#")).codes()...)
	}
	return list
}

// What is held against the description is refused when it differs, in any part.
func TestWhatIsNotDescribedIsSeen(t *testing.T) {
	const problem = `{"type":"/problems/hold-limit","title":"Hold limit","status":429,"detail":"d","code":"HOLD_LIMIT","retryable":true,"requestId":"r"}`
	const cancel, json, problemJSON = "POST /bookings/{bookingId}/cancel", "application/json", "application/problem+json"
	other := strings.NewReplacer("HOLD_LIMIT", "SOLD_OUT", "429", "409", "true", "false").Replace(problem)
	for _, c := range []struct {
		name, route string
		status      int
		kind, body  string
		headers     []string
		good        bool
	}{
		{"a balance", "GET /points", 200, json, `{"balance":"5.00"}`, nil, true},
		{"money without decimals", "GET /points", 200, json, `{"balance":"5"}`, nil, false},
		{"money as a number", "GET /points", 200, json, `{"balance":5.00}`, nil, false},
		{"another member", "GET /points", 200, json, `{"balance":"5.00","currency":"KRW"}`, nil, false},
		{"a member missing", "GET /points", 200, json, `{}`, nil, false},
		{"another status", "GET /points", 404, json, `{"message":"Not Found"}`, nil, false},
		{"another type", "GET /points", 200, "text/plain", `{"balance":"5.00"}`, nil, false},
		{"a header too many", "GET /points", 200, json, `{"balance":"5.00"}`, []string{"Location", "/bookings/1"}, false},
		{"a problem", "POST /bookings/reserve", 429, problemJSON, problem, []string{"Retry-After", "30"}, true},
		{"seconds of words", "POST /bookings/reserve", 429, problemJSON, problem, []string{"Retry-After", "soon"}, false},
		{"a problem with more", "POST /bookings/reserve", 429, problemJSON, strings.Replace(problem, "}", `,"limit":5}`, 1), nil, false},
		{"a code of another route", cancel, 409, problemJSON, other, nil, false},
		{"the same where it belongs", "POST /bookings/reserve", 409, problemJSON, other, nil, true},
		{"no booking", cancel, 200, json, `{}`, nil, false},
	} {
		i := slices.IndexFunc(ours(t).operations, func(o *operation) bool { return o.route == c.route })
		a := answer{status: c.status, body: []byte(c.body), header: http.Header{"Content-Type": {c.kind}}}
		for i := 0; i < len(c.headers); i += 2 {
			a.header.Set(c.headers[i], c.headers[i+1])
		}
		if err := ours(t).operations[i].judge("", a); (err == nil) != c.good {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
