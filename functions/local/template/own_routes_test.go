package template

import (
	"slices"
	"strings"
	"testing"
)

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
	want = []string{
		"GET /bookings", "GET /bookings/{bookingId}", "GET /checkout/{productId}", "GET /health, open", "GET /points", "GET /products",
		"GET /products/{productId}", "POST /bookings/reserve", "POST /bookings/{bookingId}/cancel", "POST /bookings/{bookingId}/complete",
		"POST /bookings/{bookingId}/payments/pg-approve", "POST /bookings/{bookingId}/payments/register",
	}
	var routes []string
	for _, r := range got.Routes {
		route := r.Method + " " + r.Path
		if r.Open {
			route += ", open"
		}
		routes = append(routes, route)
		if slices.Contains([]string{"AdminFunction", "MigrateFunction", "CompensateFunction", "SweepFunction"}, r.Function) {
			t.Errorf("buyers reach %s by %s", r.Function, route)
		}
	}
	if slices.Sort(routes); !slices.Equal(routes, want) {
		t.Errorf("routes %q, want %q", routes, want)
	}
}

// A route without a limit of its own has the account's, which is everybody's.
func TestOwnTemplateThrottlesEachRoute(t *testing.T) {
	s := own(t, nil)
	limits := func(path ...string) (rate, burst int) {
		of := at(s.get("BuyerApi"), path...)
		rate, _ = at(of, "ThrottlingRateLimit").(int)
		burst, _ = at(of, "ThrottlingBurstLimit").(int)
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
	if named, _ := s.get("BuyerApi", settings).(map[string]any); len(named) != len(routes) {
		t.Errorf("limits of %d routes, want %d", len(named), len(routes))
	}
}

func TestOwnTemplateAuthorityAndCors(t *testing.T) {
	got := readOwn(t, map[string]string{"CorsAllowOrigins": "https://a.test,https://b.test"})
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
