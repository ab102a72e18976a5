package paymentgatewaytest_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"stayhold/shared/booking"
	"stayhold/shared/paymentgateway"
	"stayhold/shared/paymentgateway/paymentgatewaytest"
)

const secret = "test_sk_simulator"

// gateway is a simulator behind a real server, with a real client of it.
type gateway struct {
	*paymentgatewaytest.Simulator
	*paymentgateway.Client
	url string
}

func start(t *testing.T, o paymentgatewaytest.Options) gateway {
	t.Helper()
	o.Secret = secret
	sim, err := paymentgatewaytest.New(o)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(sim)
	t.Cleanup(func() {
		if err := sim.Close(); err != nil {
			t.Error(err)
		}
		server.Close()
	})
	return gateway{sim, client(server.URL), server.URL}
}

func client(url string) *paymentgateway.Client {
	return paymentgateway.New(paymentgateway.Options{CardURL: url, CardSecret: secret})
}

func charge(order, paymentKey string) booking.Charge {
	return booking.Charge{
		Method: booking.Card, OrderID: order, PaymentKey: paymentKey, Key: "confirm-" + order,
		Amount: decimal.RequireFromString("97000.00"),
	}
}

// refund is the same charge with its cancel's own key.
func refund(c booking.Charge) booking.Charge {
	c.Key = "cancel-" + c.OrderID
	return c
}

// want holds an answer against its verdict.
func want(t *testing.T, what string, a booking.Answer, v booking.Verdict) {
	t.Helper()
	if a.Verdict != v {
		t.Fatalf("%s: got %s (%v), want %s", what, a.Verdict, a.Cause, v)
	}
}

// briefly gives up on a call that is never answered as soon as the simulator has it.
func briefly(t *testing.T, g gateway, c booking.Charge) booking.Answer {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	before := g.Confirms(c.OrderID)
	answered := make(chan booking.Answer, 1)
	go func() { answered <- g.Confirm(ctx, c) }()
	eventually(t, func() bool { return g.Confirms(c.OrderID) > before })
	cancel()
	a := <-answered
	if !errors.Is(a.Cause, context.Canceled) {
		t.Fatalf("it was answered: %+v", a)
	}
	return a
}

func eventually(t *testing.T, holds func() bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-deadline:
			t.Fatal("did not come true in time")
		case <-tick.C:
		}
	}
}

func wantLedger(t *testing.T, g gateway, net string, charges ...paymentgatewaytest.Charge) {
	t.Helper()
	if charges == nil {
		charges = []paymentgatewaytest.Charge{}
	}
	got := g.Ledger()
	if expected := (paymentgatewaytest.Ledger{Charges: charges, Net: net}); !reflect.DeepEqual(got, expected) {
		t.Fatalf("ledger %+v, want %+v", got, expected)
	}
}

const order, amount = "order-000001", "97000.00"

func entry(key, amount string, cancelled bool, confirms, cancels int) paymentgatewaytest.Charge {
	return paymentgatewaytest.Charge{
		OrderID: order, PaymentKey: key, Amount: amount, Cancelled: cancelled, Confirms: confirms, Cancels: cancels,
	}
}

// stories tell what becomes of a charge, by the prefix of its paymentKey.
var stories = map[string]func(*testing.T, gateway){
	"ok": func(t *testing.T, g gateway) {
		c := charge(order, "ok-1")
		want(t, "look-up before", g.Lookup(t.Context(), c), booking.VerdictNotFound)
		a := g.Confirm(t.Context(), c)
		want(t, "confirm", a, booking.VerdictApproved)
		want(t, "look-up", g.Lookup(t.Context(), c), booking.VerdictApproved)
		wantLedger(t, g, amount, entry("ok-1", amount, false, 1, 0))
		if b := g.Confirm(t.Context(), c); b.Verdict != a.Verdict || b.Reference != a.Reference || a.Reference == "" {
			t.Fatalf("repeat: %+v, first: %+v", b, a)
		}
		other := c
		other.Key = "another key"
		want(t, "confirm with another key", g.Confirm(t.Context(), other), booking.VerdictUnknown)
		want(t, "cancel", g.Cancel(t.Context(), refund(c), "x"), booking.VerdictReturned)
		want(t, "cancel again", g.Cancel(t.Context(), refund(c), "x"), booking.VerdictReturned)
		other.Key = "another cancel key"
		want(t, "cancel with another key", g.Cancel(t.Context(), other, "x"), booking.VerdictReturned)
		want(t, "look-up after", g.Lookup(t.Context(), c), booking.VerdictReturned)
		other.Key = "a third key"
		want(t, "confirm of a cancelled order", g.Confirm(t.Context(), other), booking.VerdictUnknown)
		wantLedger(t, g, "0.00", entry("ok-1", amount, true, 4, 3))
	},
	"decline": func(t *testing.T, g gateway) {
		c := charge(order, "decline-1")
		a := g.Confirm(t.Context(), c)
		want(t, "confirm", a, booking.VerdictDeclined)
		if a.DeclineCode != "REJECT_CARD_PAYMENT" {
			t.Fatalf("code %q", a.DeclineCode)
		}
		want(t, "look-up", g.Lookup(t.Context(), c), booking.VerdictDeclined)
		wantLedger(t, g, "0.00")
	},
	"timeout": func(t *testing.T, g gateway) {
		c := charge(order, "timeout-1")
		want(t, "confirm", briefly(t, g, c), booking.VerdictUnknown)
		want(t, "look-up", g.Lookup(t.Context(), c), booking.VerdictNotFound)
		wantLedger(t, g, "0.00")
	},
	"lost": func(t *testing.T, g gateway) {
		c := charge(order, "lost-1")
		want(t, "confirm", briefly(t, g, c), booking.VerdictUnknown)
		eventually(t, func() bool { return g.Lookup(t.Context(), c).Verdict == booking.VerdictApproved })
		want(t, "the same again", g.Confirm(t.Context(), c), booking.VerdictApproved)
		want(t, "cancel", g.Cancel(t.Context(), refund(c), "x"), booking.VerdictReturned)
		wantLedger(t, g, "0.00", entry("lost-1", amount, true, 2, 1))
	},
	"late": func(t *testing.T, g gateway) {
		c := charge(order, "late-1")
		want(t, "confirm", briefly(t, g, c), booking.VerdictUnknown)
		want(t, "look-up at once", g.Lookup(t.Context(), c), booking.VerdictNotFound)
		want(t, "the same again", g.Confirm(t.Context(), c), booking.VerdictUnknown)
		wantLedger(t, g, "0.00")
		eventually(t, func() bool { return g.Lookup(t.Context(), c).Verdict == booking.VerdictApproved })
		want(t, "the same later", g.Confirm(t.Context(), c), booking.VerdictApproved)
		wantLedger(t, g, amount, entry("late-1", amount, false, 3, 0))
	},
	"error": func(t *testing.T, g gateway) {
		c := charge(order, "error-1")
		want(t, "confirm", g.Confirm(t.Context(), c), booking.VerdictUnknown)
		want(t, "again", g.Confirm(t.Context(), c), booking.VerdictUnknown)
		want(t, "look-up", g.Lookup(t.Context(), c), booking.VerdictNotFound)
		wantLedger(t, g, "0.00")
	},
	"flaky": func(t *testing.T, g gateway) {
		c := charge(order, "flaky-1")
		want(t, "confirm", g.Confirm(t.Context(), c), booking.VerdictUnknown)
		want(t, "look-up", g.Lookup(t.Context(), c), booking.VerdictNotFound)
		want(t, "again", g.Confirm(t.Context(), c), booking.VerdictApproved)
		wantLedger(t, g, amount, entry("flaky-1", amount, false, 2, 0))
	},
	"slow": func(t *testing.T, g gateway) {
		began := time.Now()
		want(t, "confirm", g.Confirm(t.Context(), charge(order, "slow-60-1")), booking.VerdictApproved)
		if took := time.Since(began); took < 60*time.Millisecond {
			t.Fatalf("took %s", took)
		}
		wantLedger(t, g, amount, entry("slow-60-1", amount, false, 1, 0))
	},
	"slow, and the caller goes": func(t *testing.T, g gateway) {
		c := charge(order, "slow-300-1")
		want(t, "confirm", briefly(t, g, c), booking.VerdictUnknown)
		eventually(t, func() bool { return g.Lookup(t.Context(), c).Verdict == booking.VerdictApproved })
	},
	"mismatch": func(t *testing.T, g gateway) {
		c := charge(order, "mismatch-1")
		want(t, "confirm", g.Confirm(t.Context(), c), booking.VerdictUnknown)
		a := g.Lookup(t.Context(), c)
		want(t, "look-up", a, booking.VerdictMismatched)
		if a.Amount.StringFixed(2) != "96999.00" {
			t.Fatalf("amount %s", a.Amount)
		}
		wantLedger(t, g, "96999.00", entry("mismatch-1", "96999.00", false, 1, 0))
		want(t, "cancel", g.Cancel(t.Context(), refund(c), "x"), booking.VerdictReturned)
		wantLedger(t, g, "0.00", entry("mismatch-1", "96999.00", true, 1, 1))
	},
	"mismatch of a small amount": func(t *testing.T, g gateway) {
		c := charge(order, "mismatch-1")
		c.Amount = decimal.RequireFromString("0.50")
		want(t, "confirm", g.Confirm(t.Context(), c), booking.VerdictUnknown)
		wantLedger(t, g, "1.50", entry("mismatch-1", "1.50", false, 1, 0))
	},
	"stuckcancel": func(t *testing.T, g gateway) {
		c := charge(order, "stuckcancel-1")
		want(t, "confirm", g.Confirm(t.Context(), c), booking.VerdictApproved)
		for range 3 {
			want(t, "cancel", g.Cancel(t.Context(), refund(c), "x"), booking.VerdictUnknown)
		}
		wantLedger(t, g, amount, entry("stuckcancel-1", amount, false, 1, 3))
	},
	"slowcancel": func(t *testing.T, g gateway) {
		c := charge(order, "slowcancel-2-1")
		want(t, "confirm", g.Confirm(t.Context(), c), booking.VerdictApproved)
		want(t, "cancel 1", g.Cancel(t.Context(), refund(c), "x"), booking.VerdictUnknown)
		want(t, "cancel 2", g.Cancel(t.Context(), refund(c), "x"), booking.VerdictUnknown)
		want(t, "cancel 3", g.Cancel(t.Context(), refund(c), "x"), booking.VerdictReturned)
		wantLedger(t, g, "0.00", entry("slowcancel-2-1", amount, true, 1, 3))
	},
	"another prefix": func(t *testing.T, g gateway) {
		for _, key := range []string{"tgen_123", "ok", "okay-1", "slow-x-1", "slow--1", "slowcancel-1"} {
			c := charge("order-"+key+"-0", key)
			if key == "slowcancel-1" { // the number may end the key
				want(t, key, g.Confirm(t.Context(), c), booking.VerdictApproved)
				continue
			}
			a := g.Confirm(t.Context(), c)
			want(t, key, a, booking.VerdictDeclined)
			if a.DeclineCode != "NOT_FOUND_PAYMENT_SESSION" {
				t.Fatalf("%s: code %q", key, a.DeclineCode)
			}
		}
	},
}

func TestEveryPrefix(t *testing.T) {
	t.Parallel()
	for name, story := range stories {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			story(t, start(t, paymentgatewaytest.Options{LateAfter: time.Second}))
		})
	}
}

// TestOneKeyAtATime has many repeats of one confirm arrive while the first is at work:
// one charge, and each answer is the charge's or "still processing".
func TestOneKeyAtATime(t *testing.T) {
	t.Parallel()
	g := start(t, paymentgatewaytest.Options{Dir: t.TempDir()})
	c := charge("order-000001", "slow-200-1")
	var wg sync.WaitGroup
	verdicts := make(chan booking.Verdict, 20)
	for range cap(verdicts) {
		wg.Go(func() { verdicts <- g.Confirm(t.Context(), c).Verdict })
	}
	wg.Wait()
	close(verdicts)
	counts := map[booking.Verdict]int{}
	for v := range verdicts {
		counts[v]++
	}
	if counts[booking.VerdictApproved] == 0 || counts[booking.VerdictApproved]+counts[booking.VerdictUnknown] != 20 {
		t.Fatalf("verdicts %v", counts)
	}
	if l := g.Ledger(); len(l.Charges) != 1 || l.Net != "97000.00" || g.Confirms(c.OrderID) != 20 {
		t.Fatalf("ledger %+v", l)
	}
}

// TestRestart has everything that was answered, and what is still to come, outlive the
// process. A torn last line is dropped.
func TestRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := start(t, paymentgatewaytest.Options{Dir: dir, LateAfter: time.Second})
	paid, gone, coming, no := charge("order-paid-1", "ok-1"), charge("order-gone-1", "ok-2"), charge("order-late-1", "late-3"), charge("order-none-1", "decline-4")
	failed := charge("order-flaky-1", "flaky-5")
	want(t, "confirm", first.Confirm(t.Context(), paid), booking.VerdictApproved)
	want(t, "confirm", first.Confirm(t.Context(), gone), booking.VerdictApproved)
	want(t, "cancel", first.Cancel(t.Context(), refund(gone), "x"), booking.VerdictReturned)
	want(t, "decline", first.Confirm(t.Context(), no), booking.VerdictDeclined)
	want(t, "flaky", first.Confirm(t.Context(), failed), booking.VerdictUnknown)
	briefly(t, first, coming)
	path := filepath.Join(dir, "ledger.jsonl")
	var whole []byte
	eventually(t, func() bool {
		var err error
		if whole, err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(whole), `"op":"charge","orderId":"order-late-1"`)
	})
	before := first.Ledger()
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(whole, `{"op":"char`...), 0o600); err != nil {
		t.Fatal(err)
	}
	second := start(t, paymentgatewaytest.Options{Dir: dir})
	if l := second.Ledger(); len(l.Charges) < len(before.Charges) {
		t.Fatalf("ledger %+v, before %+v", l, before)
	}
	want(t, "the same confirm", second.Confirm(t.Context(), paid), booking.VerdictApproved)
	want(t, "the same decline", second.Confirm(t.Context(), no), booking.VerdictDeclined)
	want(t, "the same cancel", second.Cancel(t.Context(), refund(gone), "x"), booking.VerdictReturned)
	want(t, "flaky's second", second.Confirm(t.Context(), failed), booking.VerdictApproved)
	eventually(t, func() bool { return second.Lookup(t.Context(), coming).Verdict == booking.VerdictApproved })
	if l := second.Ledger(); l.Net != "291000.00" || len(l.Charges) != 4 || l.Charges[0].Confirms != 2 || l.Charges[1].Cancels != 2 {
		t.Fatalf("ledger %+v", l)
	}

	if err := second.Reset(); err != nil {
		t.Fatal(err)
	}
	wantLedger(t, second, "0.00")
	want(t, "after a reset", second.Lookup(t.Context(), paid), booking.VerdictNotFound)
	want(t, "after a reset", second.Confirm(t.Context(), paid), booking.VerdictApproved)
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	third := start(t, paymentgatewaytest.Options{Dir: dir})
	if l := third.Ledger(); l.Net != "97000.00" || len(l.Charges) != 1 {
		t.Fatalf("ledger after the reset %+v", l)
	}
}

func TestDamageIsNotTaken(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "ledger.jsonl"), []byte("{\n{\"op\":\"confirm\"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := paymentgatewaytest.New(paymentgatewaytest.Options{Dir: dir}); err == nil {
		t.Fatal("a log that is damaged before its end was taken")
	}
}

// TestCloseLetsGo has a held request end without an answer when the simulator closes.
func TestCloseLetsGo(t *testing.T) {
	t.Parallel()
	g := start(t, paymentgatewaytest.Options{})
	c := charge("order-000001", "timeout-1")
	answered := make(chan booking.Answer, 1)
	go func() { answered <- g.Confirm(t.Context(), c) }()
	eventually(t, func() bool { return g.Confirms(c.OrderID) == 1 })
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	want(t, "confirm", <-answered, booking.VerdictUnknown)
}

// TestOnePaymentKeyForTwoOrders charges both, and gives each back once.
func TestOnePaymentKeyForTwoOrders(t *testing.T) {
	t.Parallel()
	g := start(t, paymentgatewaytest.Options{})
	a, b := charge("order-000001", "ok-1"), charge("order-000002", "ok-1")
	for _, c := range []booking.Charge{a, b} {
		want(t, "confirm", g.Confirm(t.Context(), c), booking.VerdictApproved)
	}
	want(t, "cancel", g.Cancel(t.Context(), refund(b), "x"), booking.VerdictReturned)
	want(t, "the other", g.Lookup(t.Context(), a), booking.VerdictApproved)
	want(t, "its own", g.Lookup(t.Context(), b), booking.VerdictReturned)
	want(t, "cancel", g.Cancel(t.Context(), refund(a), "x"), booking.VerdictReturned)
	if l := g.Ledger(); l.Net != "0.00" || len(l.Charges) != 2 || g.Cancels(a.OrderID) != 1 || g.Cancels(b.OrderID) != 1 {
		t.Fatalf("ledger %+v", l)
	}
}

func TestCredentialsAndLedgerOverHTTP(t *testing.T) {
	t.Parallel()
	g := start(t, paymentgatewaytest.Options{})
	stranger := paymentgateway.New(paymentgateway.Options{CardURL: g.url, CardSecret: "another"})
	want(t, "confirm", stranger.Confirm(t.Context(), charge("order-000001", "ok-1")), booking.VerdictRefused)
	want(t, "look-up", stranger.Lookup(t.Context(), charge("order-000001", "ok-1")), booking.VerdictUnknown)
	want(t, "cancel", stranger.Cancel(t.Context(), charge("order-000001", "ok-1"), "x"), booking.VerdictRefused)
	want(t, "confirm", g.Confirm(t.Context(), charge("order-000001", "ok-1")), booking.VerdictApproved)

	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.url+"/ledger", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var got map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	expected := map[string]any{"net": "97000.00", "charges": []any{map[string]any{
		"orderId": "order-000001", "paymentKey": "ok-1", "amount": "97000.00",
		"cancelled": false, "confirms": 1.0, "cancels": 0.0,
	}}}
	if !reflect.DeepEqual(got, expected) {
		t.Fatalf("ledger %v", got)
	}
}
