package stacktest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// page reads one page of a list, each entry as it came.
func (b *buyer) page(t testing.TB, path, member string) (entries []json.RawMessage, next *string) {
	t.Helper()
	a := b.get(path).want(t, 200)
	a.checkHeaders(t, "application/json")
	members := membersOf(t, a.body)
	if got, want := slices.Sorted(maps.Keys(members)), slices.Sorted(slices.Values([]string{member, "nextCursor"})); !slices.Equal(got, want) {
		t.Errorf("members %v, want %v", got, want)
	}
	if err := json.Unmarshal(members[member], &entries); err != nil || entries == nil {
		t.Fatalf("%v: %v", err, a)
	}
	if err := json.Unmarshal(members["nextCursor"], &next); err != nil {
		t.Fatalf("%v: %v", err, a)
	}
	return entries, next
}

func TestMyBookings(t *testing.T) {
	t.Parallel()
	s := mainStack.get(t)
	b, other := s.buyer(t), s.buyer(t)
	var want []int64
	for i := range 5 {
		held := b.held(t, s.product(t, 1))
		want = append([]int64{held.BookingID}, want...)
		if i%2 == 0 {
			b.cancel(held.BookingID).want(t, 200)
		}
	}
	other.held(t, s.product(t, 1))

	list := func(query string) (got []int64) {
		t.Helper()
		cursor := ""
		for range 10 {
			entries, next := b.page(t, "/bookings?"+query+cursor, "bookings")
			for _, e := range entries {
				one := bookingOf(t, e)
				if one.UserID != b.id || one.Timeline != nil {
					t.Errorf("%s", e)
				}
				got = append(got, one.BookingID)
			}
			if next == nil {
				return got
			}
			cursor = "&cursor=" + url.QueryEscape(*next)
		}
		t.Fatalf("%s has no end", query)
		return nil
	}
	for _, query := range []string{"", "limit=1", "limit=2", "limit=5", "limit=100"} {
		if got := list(query); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", query, got, want)
		}
	}
	if got := list("status=CANCELLED&limit=1"); !slices.Equal(got, []int64{want[0], want[2], want[4]}) {
		t.Errorf("cancelled: %v of %v", got, want)
	}
	// Ids are int64 all through: a cursor beyond those of today is a page like any other.
	for _, far := range []string{"2147483648", "9223372036854775807"} {
		if entries, _ := b.page(t, "/bookings?limit=100&cursor="+far, "bookings"); len(entries) != len(want) {
			t.Errorf("%d bookings before %s, want %d", len(entries), far, len(want))
		}
		if entries, next := b.page(t, "/products?cursor="+far, "products"); len(entries) != 0 || next != nil {
			t.Errorf("products after %s: %s", far, entries)
		}
	}
	if got := list("status=CONFIRMED"); len(got) != 0 {
		t.Errorf("confirmed: %v", got)
	}
	for _, query := range []string{"limit=0", "limit=101", "limit=-1", "limit=x", "limit=1.5", "limit=", "status=DONE", "status=init", "cursor=%00", "cursor=!!", "cursor=9e9"} {
		b.get("/bookings?"+query).problem(t, 400, "INVALID_REQUEST", "errors")
	}
	for _, query := range []string{"limit=0", "limit=101", "cursor=!!"} {
		b.get("/products?"+query).problem(t, 400, "INVALID_REQUEST", "errors")
	}
}

func TestProducts(t *testing.T) {
	t.Parallel()
	s := mainStack.get(t)
	b := s.buyer(t)
	hidden := newRoom(1)
	hidden.Status = "INACTIVE"
	mine, gone, none := s.product(t, 7), s.put(t, hidden), s.product(t, 0)
	found := map[int64]product{}
	cursor := ""
	for range 100 {
		entries, next := b.page(t, "/products?limit=10"+cursor, "products")
		for _, e := range entries {
			p := productOf(t, e)
			if _, twice := found[p.ProductID]; twice {
				t.Errorf("product %d twice", p.ProductID)
			}
			found[p.ProductID] = p
		}
		if next == nil {
			break
		}
		cursor = "&cursor=" + url.QueryEscape(*next)
	}
	if p := found[mine]; p.Available != 7 || p.TotalStock != 7 || p.Status != "ACTIVE" || p.Price != "100000.00" {
		t.Errorf("%+v", p)
	}
	if p := found[none]; p.Status != "SOLD_OUT" || p.Available != 0 {
		t.Errorf("%+v", p)
	}
	if _, listed := found[gone]; listed {
		t.Error("an INACTIVE product is listed")
	}
	if _, listed := found[4]; listed {
		t.Error("the demo's INACTIVE product is listed")
	}
	if _, listed := found[1]; !listed {
		t.Error("the demo's first product is not listed")
	}
	b.get("/products/0").want(t, 400, 404)
	b.get("/products/abc").want(t, 400, 404)
}

func TestCheckout(t *testing.T) {
	t.Parallel()
	s := mainStack.get(t)
	b := s.buyer(t)
	b.grant(t, "12.5")
	id := s.product(t, 1)
	type checkout struct {
		Product            json.RawMessage
		AvailableUserPoint string
		Reservable         bool
		Booking            json.RawMessage
	}
	see := func(who *buyer, product int64) checkout {
		t.Helper()
		a := who.get(fmt.Sprintf("/checkout/%d", product)).want(t, 200)
		a.checkHeaders(t, "application/json")
		if got := slices.Sorted(maps.Keys(membersOf(t, a.body))); !slices.Equal(got, []string{"availableUserPoint", "booking", "product", "reservable"}) {
			t.Errorf("members %v", got)
		}
		var c checkout
		a.into(t, &c)
		productOf(t, c.Product)
		return c
	}
	if c := see(b, id); c.AvailableUserPoint != "12.50" || !c.Reservable || string(c.Booking) != "null" {
		t.Errorf("%+v", c)
	}
	held := b.held(t, id)
	if c := see(b, id); c.Reservable || bookingOf(t, c.Booking).BookingID != held.BookingID || productOf(t, c.Product).Available != 0 {
		t.Errorf("with a hold: %+v", c)
	}
	if c := see(s.buyer(t), id); c.Reservable || string(c.Booking) != "null" || c.AvailableUserPoint != "0.00" {
		t.Errorf("another buyer: %+v", c)
	}
	if c := see(b, 3); c.Reservable {
		t.Errorf("before the sale: %+v", c)
	}
	b.cancel(held.BookingID).want(t, 200)
	if c := see(b, id); !c.Reservable || string(c.Booking) != "null" {
		t.Errorf("after the cancel: %+v", c)
	}
}

func TestHealthAndCORS(t *testing.T) {
	t.Parallel()
	s := mainStack.get(t)
	a := send("GET", s.api+"/health", "").want(t, 200)
	if string(a.body) != `{"status":"ok","redis":"ok","database":"ok"}` {
		t.Errorf("%v", a)
	}
	b := s.buyer(t)
	const shop = "https://shop.example"
	a = send("OPTIONS", s.api+"/bookings/reserve", "", "Origin", shop, "Access-Control-Request-Method", "POST",
		"Access-Control-Request-Headers", "authorization,content-type,idempotency-key").want(t, 200, 204)
	if got := a.header.Get("Access-Control-Allow-Origin"); got != shop {
		t.Errorf("preflight: allowed origin %q", got)
	}
	allowed := strings.ToLower(a.header.Get("Access-Control-Allow-Headers"))
	for _, h := range []string{"authorization", "content-type", "idempotency-key"} {
		if !strings.Contains(allowed, h) {
			t.Errorf("preflight: %s is not in %q", h, allowed)
		}
	}
	if got := a.header.Get("Access-Control-Allow-Methods"); !strings.Contains(got, "POST") || !strings.Contains(got, "GET") {
		t.Errorf("preflight: methods %q", got)
	}
	a = b.send("GET", "/points", "", "Origin", shop).want(t, 200)
	exposed := strings.ToLower(a.header.Get("Access-Control-Expose-Headers"))
	if a.header.Get("Access-Control-Allow-Origin") != shop || !strings.Contains(exposed, "location") || !strings.Contains(exposed, "retry-after") ||
		!strings.Contains(exposed, "idempotency-replayed") {
		t.Errorf("headers %v", a.header)
	}
	// A page may read why it was refused, too.
	a = send("GET", s.api+"/points", "", "Origin", shop).want(t, 401)
	if a.header.Get("Access-Control-Allow-Origin") != shop {
		t.Errorf("401 without CORS: %v", a.header)
	}
	a = send("OPTIONS", s.api+"/bookings/reserve", "", "Origin", "https://evil.example", "Access-Control-Request-Method", "POST")
	if got := a.header.Get("Access-Control-Allow-Origin"); got != "" {
		t.Errorf("a foreign origin is allowed: %q", got)
	}
	if a = b.send("GET", "/points", "", "Origin", "https://evil.example"); a.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("a foreign origin is allowed: %v", a.header)
	}
}

// Logs tell what happened, never a token, a body or a secret.
func TestLogsKeepSecrets(t *testing.T) {
	t.Parallel()
	s := mainStack.get(t)
	b := s.buyer(t)
	r := b.registered(t, s.product(t, 1), oneCard)
	paymentKey := key("ok")
	b.approve(r.BookingID, paymentKey).want(t, 200)
	b.approve(r.BookingID, key("bad key, said aloud")).want(t, 400)
	b.complete(r.BookingID).want(t, 200)
	u, err := url.Parse(s.database)
	if err != nil {
		t.Fatal(err)
	}
	password, _ := u.User.Password()
	paths, err := filepath.Glob(filepath.Join(s.dir, "log", "*Function.log"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no logs: %v", err)
	}
	all := ""
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all += string(text)
	}
	all += s.out.String()
	for what, secret := range map[string]string{
		"a token": b.token, "a paymentKey": paymentKey, "a body": "said aloud", "the database's password": password, "the gateway's key": "Basic ",
	} {
		if secret != "" && strings.Contains(all, secret) {
			t.Errorf("the logs have %s", what)
		}
	}
}
