package stacktest

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// edge is one case: what is asked, and the one line that it comes to (see told).
type edge struct {
	name string
	ask  asked
	want string
}

// asked is a request: an event for a function, or HTTP for the front.
type asked struct {
	route    string // of an event
	function string
	payload  []byte
	http     *http.Request
}

// object is JSON in the making.
type object = map[string]any

// The routes, as events name them.
const (
	reserving   = "POST /bookings/reserve"
	registering = "POST /bookings/{bookingId}/payments/register"
	approving   = "POST /bookings/{bookingId}/payments/pg-approve"
	completing  = "POST /bookings/{bookingId}/complete"
	cancelling  = "POST /bookings/{bookingId}/cancel"
	oneBooking  = "GET /bookings/{bookingId}"
	myBookings  = "GET /bookings"
	oneProduct  = "GET /products/{productId}"
	allProducts = "GET /products"
	checkout    = "GET /checkout/{productId}"
	points      = "GET /points"
	health      = "GET /health"
)

var functionOf = map[string]string{
	reserving: "ReserveFunction", registering: "RegisterFunction", approving: "ApproveFunction",
	completing: "CompleteFunction", cancelling: "CancelFunction",
}

// Bodies of which nothing is wrong. soldOut is of product 5.
const (
	soldOut = `{"productId":5}`
	oneCent = `{"payments":[{"method":"CARD","amount":"0.01"}]}`
)

// event is the owner's request on a route, for booking 1 or product 1, as API Gateway sends it; change may spoil it.
func event(route, body string, change ...func(object)) asked {
	method, path, _ := strings.Cut(route, " ")
	plain := strings.NewReplacer("{bookingId}", "1", "{productId}", "1").Replace(path)
	ev := object{
		"version": "2.0", "routeKey": route, "rawPath": plain, "rawQueryString": "", "isBase64Encoded": false,
		"headers": object{"accept": "*/*", "content-type": "application/json", "host": "api.example"},
		"requestContext": object{
			"accountId": "123456789012", "apiId": "api", "domainName": "api.example", "requestId": "r-1", "routeKey": route,
			"stage": "$default", "time": "22/Nov/2026:06:00:00 +0000", "timeEpoch": 1795327200000,
			"http":       object{"method": method, "path": plain, "protocol": "HTTP/1.1", "sourceIp": "203.0.113.10", "userAgent": "x"},
			"authorizer": object{"jwt": object{"claims": object{"sub": owner}, "scopes": nil}},
		},
	}
	if _, name, found := strings.Cut(path, "{"); found {
		name, _, _ = strings.Cut(name, "}")
		ev["pathParameters"] = object{name: "1"}
	}
	if body != "" {
		ev["body"] = body
	}
	for _, c := range change {
		c(ev)
	}
	text, err := json.Marshal(ev)
	if err != nil {
		panic(err)
	}
	return payload(route, string(text))
}

// payload is whatever the route's function gets.
func payload(route, text string) asked {
	function, ok := functionOf[route]
	if !ok {
		function = "QueryFunction"
	}
	return asked{route: route, function: function, payload: []byte(text)}
}

// with puts a value at a path of names with dots between them.
func with(path string, value any) func(object) {
	return func(ev object) {
		names := strings.Split(path, ".")
		for _, name := range names[:len(names)-1] {
			inner, ok := ev[name].(object)
			if !ok {
				inner = object{}
				ev[name] = inner
			}
			ev = inner
		}
		ev[names[len(names)-1]] = value
	}
}

func without(path string) func(object) {
	return func(ev object) {
		names := strings.Split(path, ".")
		for _, name := range names[:len(names)-1] {
			ev = ev[name].(object)
		}
		delete(ev, names[len(names)-1])
	}
}

func claim(value any) func(object) { return with("requestContext.authorizer.jwt.claims.sub", value) }

var byStranger = claim(stranger)

// edgeCases are all cases by subject.
var edgeCases = map[string][]edge{
	"events":     eventEdges,
	"identity":   identityEdges(),
	"ids":        idEdges(),
	"media":      mediaEdges,
	"bodies":     bodyEdges,
	"members":    memberEdges,
	"amounts":    amountEdges(),
	"keys":       keyEdges(),
	"lists":      listEdges(),
	"precedence": precedenceEdges,
	"http":       httpEdges(),
}

// Every case gets the answer that its line tells, in the contract's form, and leaves rows and gate as they were. What is
// refused by its form asks nobody for that: those run first, and no connection is made for them.
func TestEdges(t *testing.T) {
	t.Parallel()
	e := newEdges(t)
	all := 0
	names := map[string]bool{}
	for _, asks := range []bool{false, true} {
		if asks {
			e.stock(t)
		}
		for _, subject := range slices.Sorted(maps.Keys(edgeCases)) {
			t.Run(subject, func(t *testing.T) {
				before := e.state(t)
				for _, c := range edgeCases[subject] {
					if strings.Contains(c.want, "(") != asks {
						continue
					}
					all++
					if names[subject+c.name] {
						t.Errorf("%q names two cases", c.name)
					}
					names[subject+c.name] = true
					t.Run(c.name, func(t *testing.T) { before = e.try(t, c, before) })
				}
			})
		}
	}
	if all < 300 {
		t.Errorf("%d cases", all)
	}
	t.Logf("%d cases", all)
}

// stock gives the owner booking 1, and warms the gate of the products that cases ask for.
func (e *edges) stock(t *testing.T) {
	t.Helper()
	a := e.invoke(t, "ReserveFunction", event(reserving, `{"productId":1}`).payload).want(t, http.StatusCreated)
	if b := bookingOf(t, a.body); b.BookingID != 1 {
		t.Fatalf("%v: want booking 1", a)
	}
	for range 2 {
		e.invoke(t, "ReserveFunction", event(reserving, soldOut).payload).problem(t, http.StatusConflict, "SOLD_OUT")
	}
	e.invoke(t, "QueryFunction", event(checkout, "").payload).want(t, http.StatusOK)
	e.reset()
}

// try runs one case and returns the state after it.
func (e *edges) try(t *testing.T, c edge, before map[string]string) map[string]string {
	defer e.reset()
	a := e.answerTo(t, c.ask)
	got := e.told(t, a)
	if got != c.want {
		t.Errorf("got  %s\nwant %s\n%v", got, c.want, a)
	}
	clean(t, a)
	if method, path, ok := strings.Cut(c.ask.route, " "); !ok {
		a.hold(c.ask.http.Method, c.ask.http.URL.EscapedPath(), "")
	} else if !strings.Contains(string(a.body), `"Not Found"`) { // what has no route is nobody's answer
		a.hold(method, path, "")
	}
	if n := e.database.Connections() + e.gate.Connections(); n > 0 && !strings.Contains(c.want, "(") {
		t.Errorf("%d connections for nothing: %v", n, a)
	}
	after := e.state(t)
	if names := changed(before, after); len(names) > 0 {
		t.Errorf("changed %v: %v", names, a)
	}
	return after
}

func (e *edges) answerTo(t testing.TB, ask asked) answer {
	t.Helper()
	if ask.http == nil {
		return e.invoke(t, ask.function, ask.payload)
	}
	r := ask.http.Clone(t.Context())
	if user, err := strconv.ParseInt(r.Header.Get("Authorization"), 10, 64); err == nil {
		r.Header.Set("Authorization", "Bearer "+e.token(t, user))
	}
	r.RequestURI, r.URL.Scheme, r.URL.Host = "", "http", strings.TrimPrefix(e.front, "http://")
	a := answer{what: r.Method + " " + r.URL.String()}
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	a.status, a.header = res.StatusCode, res.Header
	if a.body, err = io.ReadAll(res.Body); err != nil {
		t.Fatal(err)
	}
	return a
}

// inner is text that only a library, a server or this program's inside writes.
var inner = regexp.MustCompile(`(?i)pgx|postgres|sqlstate|redis|\bdial\b|127\.0\.0\.1|localhost|goroutine|\.go:|panic|/tmp/|select |unmarshal|invalid character|strconv|illegal base64|mime:|bootstrap`)

// clean holds an answer against the form that every answer has.
func clean(t testing.TB, a answer) {
	t.Helper()
	var body struct{ Code, Message string }
	if err := json.Unmarshal(a.body, &body); err != nil {
		t.Fatalf("%v: %v", err, a)
	}
	if found := inner.FindString(string(a.body)); found != "" && a.status >= http.StatusBadRequest {
		t.Errorf("it tells of its inside (%q): %v", found, a)
	}
	if len(a.body) > 32<<10 {
		t.Errorf("an answer of %d bytes", len(a.body))
	}
	switch {
	case body.Message != "":
		a.message(t, a.status, body.Message)
	case a.status < http.StatusBadRequest:
		a.checkHeaders(t, "application/json")
	default:
		a.problem(t, a.status, body.Code, extra[body.Code]...)
	}
}

// extra are the members that the contract names for a code, besides errors.
var extra = map[string][]string{
	"DUPLICATE_RESERVATION": {"bookingId", "holdExpiresAt", "remainMillis", "nextActions"},
	"INVALID_STATE":         {"bookingStatus"},
	"SALE_NOT_OPEN":         {"saleStartAt"},
}

// request is the owner's over HTTP, with header lines as name and value by turns; a name that stands twice is sent twice.
// An Authorization that is a number becomes a token of that user.
func request(method, path, body string, headers ...string) asked {
	r, err := http.NewRequest(method, "http://front"+path, strings.NewReader(body))
	if err != nil {
		panic(fmt.Sprintf("%s %s: %v", method, path, err))
	}
	r.Header["Authorization"] = []string{owner}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Authorization" {
			r.Header.Del(headers[i])
		}
		r.Header[headers[i]] = append(r.Header[headers[i]], headers[i+1])
	}
	// The body can be read again, whenever the case runs.
	r.Body, r.GetBody = io.NopCloser(strings.NewReader(body)), nil
	return asked{http: r}
}
