package stacktest

import (
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"stayhold/functions/local/template"
)

// endpoint is one call of the contract: to a booking of the owner, where its path names one.
type endpoint struct {
	method, path, body string
	open               bool // takes no token, and looks at none
	owner, other       int
}

// endpoints are in the order in which the owner takes them, again and again. By then he has a booking with its charge
// registered.
var endpoints = []endpoint{
	{method: "POST", path: "/bookings/reserve", body: `{"productId":{productId}}`, owner: 409, other: 201},
	{method: "POST", path: "/bookings/{bookingId}/payments/register", body: `{"payments":[` + oneCard + `]}`, owner: 200, other: 404},
	{method: "POST", path: "/bookings/{bookingId}/payments/pg-approve", body: `{"paymentKey":"ok-{bookingId}"}`, owner: 200, other: 404},
	{method: "POST", path: "/bookings/{bookingId}/complete", owner: 200, other: 404},
	{method: "GET", path: "/bookings/{bookingId}", owner: 200, other: 404},
	{method: "GET", path: "/bookings", owner: 200, other: 200},
	{method: "GET", path: "/products", owner: 200, other: 200},
	{method: "GET", path: "/products/{productId}", owner: 200, other: 200},
	{method: "GET", path: "/checkout/{productId}", owner: 200, other: 200},
	{method: "GET", path: "/points", owner: 200, other: 200},
	{method: "GET", path: "/health", open: true, owner: 200, other: 200},
	{method: "POST", path: "/bookings/{bookingId}/cancel", owner: 200, other: 404},
}

// ownTemplate is the template that the stack has its routes from.
func ownTemplate(t *testing.T) *template.Template {
	t.Helper()
	read, err := template.Read(filepath.Join(root, "template.yaml"), template.Options{
		Parameters: map[string]string{"JwtIssuer": "https://issuer.test", "JwtAudience": "stayhold"},
		QueueURL:   func(name string) string { return "http://queue.test/" + name },
	})
	if err != nil {
		t.Fatal(err)
	}
	return read
}

// TestEveryCredentialAtEveryEndpoint asks each route of the template in every way, forged and genuine. The table cannot
// lack a route.
func TestEveryCredentialAtEveryEndpoint(t *testing.T) {
	t.Parallel()
	var routes, known []string
	for _, r := range ownTemplate(t).Routes {
		routes = append(routes, fmt.Sprintf("%s %s, open %v", r.Method, r.Path, r.Open))
	}
	for _, e := range endpoints {
		known = append(known, fmt.Sprintf("%s %s, open %v", e.method, e.path, e.open))
	}
	slices.Sort(routes)
	slices.Sort(known)
	if !slices.Equal(routes, known) {
		t.Fatalf("the template has the routes\n%s\nand the table\n%s", strings.Join(routes, "\n"), strings.Join(known, "\n"))
	}

	s := mainStack.get(t)
	owner, other := s.buyer(t), s.buyer(t)
	held := owner.registered(t, s.product(t, 9), oneCard)
	all := newMint(t, owner).credentials(other.token)
	names := strings.NewReplacer("{bookingId}", fmt.Sprint(held.BookingID), "{productId}", fmt.Sprint(held.ProductID))
	for _, e := range endpoints {
		e.path, e.body = names.Replace(e.path), names.Replace(e.body)
		// Whoever is refused comes first: whatever he could have done, the owner would find it done.
		before := owner.booking(t, held.BookingID)
		for _, c := range all {
			if c.comesTo != asOwner {
				e.judge(t, s, c)
			}
		}
		after := owner.booking(t, held.BookingID)
		if before.UpdatedAt != after.UpdatedAt || len(before.Timeline) != len(after.Timeline) {
			t.Errorf("%s %s changed a booking of somebody else: %+v, then %+v", e.method, e.path, before, after)
		}
		for _, c := range all {
			if c.comesTo == asOwner {
				e.judge(t, s, c)
			}
		}
	}
	// The owner has been through all of them by now.
	owner.refunded(t, held.BookingID, "CANCELLED", "100000.00")
	s.oneCharge(t, held, "100000.00", true)
	s.audited(t, held.ProductID)
}

// judge asks the endpoint with one credential.
func (e endpoint) judge(t *testing.T, s *stack, c credential) {
	t.Helper()
	req, err := http.NewRequest(e.method, s.api+e.path, strings.NewReader(e.body))
	if err != nil {
		t.Fatal(err)
	}
	if e.body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header["Authorization"] = c.lines
	a := do(req, e.body, e.method+" "+e.path+" with "+c.name)
	switch {
	case c.comesTo == tooLong:
		a.message(t, 431, "Request Header Fields Too Large")
	case e.open, c.comesTo == asOwner:
		a.want(t, e.owner)
	case c.comesTo == asOther && e.other == 404:
		a.problem(t, 404, "BOOKING_NOT_FOUND")
	case c.comesTo == asOther:
		a.want(t, e.other)
	case c.comesTo == shut:
		a.message(t, 401, "Unauthorized")
		got := a.header.Get("Www-Authenticate")
		want := `Bearer scope="" error="invalid_token" error_description="`
		if strings.Join(c.lines, "") == "" {
			want = "Bearer"
		}
		if !strings.HasPrefix(got, want) || want == "Bearer" && got != want {
			t.Errorf("Www-Authenticate %q: %v", got, a)
		}
	default:
		a.problem(t, 401, c.comesTo)
		if got := a.header.Get("Www-Authenticate"); got != "" {
			t.Errorf("Www-Authenticate %q: %v", got, a)
		}
	}
}

// unrouted are the functions that no caller of the API reaches.
var unrouted = []string{"AdminFunction", "MigrateFunction", "SweepFunction", "CompensateFunction"}

func TestOperatorsFunctionsHaveNoRoute(t *testing.T) {
	t.Parallel()
	for _, r := range ownTemplate(t).Routes {
		if slices.Contains(unrouted, r.Function) {
			t.Errorf("%s %s leads to %s", r.Method, r.Path, r.Function)
		}
	}
	s := mainStack.get(t)
	b := s.buyer(t)
	held := b.held(t, s.product(t, 1))
	for _, function := range unrouted {
		name := strings.ToLower(strings.TrimSuffix(function, "Function"))
		for _, path := range []string{
			"/" + name, "/" + function, "/functions/" + function, "/2015-03-31/functions/" + function + "/invocations", "/bookings/../" + name,
			fmt.Sprintf("/bookings/%d/%s", held.BookingID, name), "/bookings/reserve/" + name, "//" + name, "/health/" + name, "/$default/" + name,
		} {
			for _, method := range []string{"POST", "GET", "PUT", "DELETE", "PATCH"} {
				b.send(method, path, `{"action":"audit"}`, "X-Amz-Target", function).message(t, 404, "Not Found")
			}
		}
	}
}

// TestRequestsThatWentAstray invokes each function without a route with the events of those that have one, as a route
// would that was wired to it by mistake.
func TestRequestsThatWentAstray(t *testing.T) {
	t.Parallel()
	s := mainStack.get(t)
	b := s.buyer(t)
	done := b.bought(t, s.product(t, 2), oneCard)
	path := fmt.Sprintf("/bookings/%d", done.BookingID)
	before := b.get(path).want(t, 200)
	event := apiEvent(t, fmt.Sprintf(`{"action":"cancel","bookingId":%d,"reason":"x"}`, done.BookingID), false, map[string]any{"sub": fmt.Sprint(b.id)})
	for _, function := range unrouted {
		a := s.invoke(function, event).want(t, 200)
		var refusal struct{ ErrorType, ErrorMessage string }
		if !decode(a.body, &refusal) || refusal.ErrorType != "INVALID_REQUEST" || refusal.ErrorMessage == "" || a.header.Get("X-Amz-Function-Error") == "" {
			t.Errorf("%s: X-Amz-Function-Error %q, %v", function, a.header.Get("X-Amz-Function-Error"), a)
		}
	}
	if after := b.get(path).want(t, 200); string(after.body) != string(before.body) {
		t.Errorf("%v, and before %v", after, before)
	}
	s.audited(t, done.ProductID)
}
