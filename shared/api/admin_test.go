package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambda/messages"
	"github.com/shopspring/decimal"

	"stayhold/shared/booking"
)

// operator writes down what it is asked to do.
type operator struct {
	did   string
	err   error
	left  error // after the commit
	draft booking.ProductDraft
	story booking.BookingStory
}

func (o *operator) note(format string, args ...any) { o.did = fmt.Sprintf(format, args...) }

func (o *operator) PutProduct(_ context.Context, d booking.ProductDraft) (int64, error) {
	o.note("put %d", d.ID)
	o.draft = d
	return 3, o.err
}

func (o *operator) AdjustStock(_ context.Context, id, delta int64, reason string) (booking.Stock, error) {
	o.note("adjust %d %d %s", id, delta, reason)
	return booking.Stock{ProductID: id, Total: 10, Remaining: 7}, o.err
}

func (o *operator) GrantPoints(_ context.Context, id int64, amount decimal.Decimal, reason string) (decimal.Decimal, error) {
	o.note("grant %d %s %s", id, amount, reason)
	return decimal.New(5, 3), o.err
}

func (o *operator) CancelBooking(_ context.Context, id int64, reason string) (booking.Result, error) {
	o.note("cancel %d %s", id, reason)
	return booking.Result{Booking: sample(), Deferred: o.left}, o.err
}

func (o *operator) Explain(_ context.Context, id int64) (booking.BookingStory, error) {
	o.note("explain %d", id)
	return o.story, o.err
}

func (o *operator) Audit(_ context.Context, id int64) ([]booking.Breach, error) {
	o.note("audit %d", id)
	return []booking.Breach{{Invariant: "I1", Detail: "x"}}, o.err
}

func (o *operator) Reconcile(_ context.Context, id int64) ([]booking.Reconciliation, error) {
	o.note("reconcile %d", id)
	return nil, o.err
}

func (o *operator) Redrive(_ context.Context, id int64) ([]int64, error) {
	o.note("redrive %d", id)
	return nil, o.err
}

// refused wants a function error with the code, on one line.
func refused(t *testing.T, h lambda.Handler, payload, code string) {
	t.Helper()
	out, err := h.Invoke(context.Background(), []byte(payload))
	var told messages.InvokeResponse_Error
	if !errors.As(err, &told) || told.Type != code || told.Message == "" || strings.Contains(told.Message, "\n") || out != nil {
		t.Errorf("%.80s: %s, %+v; want %s", payload, out, err, code)
	}
}

const draft = `"name":"Room","price":"100000.00","saleStartAt":"2026-11-22T06:00:00Z","checkInAt":"2027-06-01T15:00:00+09:00","checkOutAt":"2027-06-02T02:00:00.5Z","status":"ACTIVE"`

func TestActions(t *testing.T) {
	for _, c := range []struct{ payload, did, result string }{
		{`{"action":"put-product","product":{` + draft + `,"stock":0}}`, "put 0", `{"productId":3}`},
		{`{"action":"put-product","product":{` + draft + `,"productId":3}}`, "put 3", `{"productId":3}`},
		{`{"action":"adjust-stock","productId":1,"delta":-5,"reason":"r"}`, "adjust 1 -5 r", `{"productId":1,"totalStock":10,"remainingStock":7}`},
		{`{"reason":"r","delta":5,"productId":1,"action":"adjust-stock"}`, "adjust 1 5 r", `{"productId":1,"totalStock":10,"remainingStock":7}`},
		{`{"action":"grant-points","userId":7,"amount":"-5.50","reason":"r"}`, "grant 7 -5.5 r", `{"userId":7,"balance":"5000.00"}`},
		{`{"action":"grant-points","userId":7,"amount":5,"reason":"r"}`, "grant 7 5 r", `{"userId":7,"balance":"5000.00"}`},
		{`{"action":"cancel","bookingId":12,"reason":"r"}`, "cancel 12 r", ""},
		{`{"action":"audit"}`, "audit 0", `{"violations":[{"invariant":"I1","detail":"x","bookingIds":[]}]}`},
		{`{"action":"audit","productId":2}`, "audit 2", `{"violations":[{"invariant":"I1","detail":"x","bookingIds":[]}]}`},
		{`{"action":"reconcile"}`, "reconcile 0", `{"products":[]}`},
		{`{"action":"redrive","bookingId":12}`, "redrive 12", `{"bookingIds":[]}`},
	} {
		o := &operator{}
		out, err := newBench().Admin(o).Invoke(context.Background(), []byte(c.payload))
		if err != nil || o.did != c.did || c.result != "" && string(out) != c.result {
			t.Errorf("%s\n%s %s %v", c.payload, o.did, out, err)
		}
	}
	o := &operator{}
	if _, err := newBench().Admin(o).Invoke(context.Background(), []byte(`{"action":"put-product","product":{`+draft+`,"stock":4}}`)); err != nil {
		t.Fatal(err)
	}
	if d := o.draft; *d.Stock != 4 || d.Price.String() != "100000" || d.CheckInAt.Hour() != 6 || d.CheckOutAt.Nanosecond() != 5e8 {
		t.Errorf("%+v", d)
	}
}

func TestActionsThatAreRefused(t *testing.T) {
	for payload, code := range map[string]string{
		``:                                    "INVALID_JSON",
		`{"action":"audit"}x`:                 "INVALID_JSON",
		`[]`:                                  "INVALID_REQUEST",
		`{}`:                                  "INVALID_REQUEST",
		`{"action":null}`:                     "INVALID_REQUEST",
		`{"action":"drop"}`:                   "INVALID_REQUEST",
		`{"action":"Audit"}`:                  "INVALID_REQUEST",
		`{"Action":"audit"}`:                  "INVALID_REQUEST",
		`{"action":"audit","action":"audit"}`: "DUPLICATE_FIELD",
		`{"action":"audit","bookingId":1}`:    "UNKNOWN_FIELD",
		`{"action":"audit","productId":null}`: "INVALID_REQUEST",
		`{"action":"audit","productId":0}`:    "INVALID_REQUEST",
		`{"action":"audit","productId":"1"}`:  "INVALID_REQUEST",
		`{"action":"explain"}`:                "INVALID_REQUEST",
		`{"action":"cancel","bookingId":1}`:   "INVALID_REQUEST",
		`{"action":"cancel","bookingId":1,"reason":""}`:                                    "INVALID_REQUEST",
		`{"action":"cancel","bookingId":1,"reason":"\u0000"}`:                              "INVALID_REQUEST",
		`{"action":"cancel","bookingId":1,"reason":"` + strings.Repeat("é", 201) + `"}`:    "INVALID_REQUEST",
		`{"action":"adjust-stock","productId":1,"delta":0,"reason":"r"}`:                   "INVALID_REQUEST",
		`{"action":"adjust-stock","productId":1,"delta":1.5,"reason":"r"}`:                 "INVALID_REQUEST",
		`{"action":"adjust-stock","productId":1,"delta":1e9,"reason":"r"}`:                 "INVALID_REQUEST",
		`{"action":"adjust-stock","productId":1,"delta":9999999999,"reason":"r"}`:          "INVALID_REQUEST",
		`{"action":"grant-points","userId":7,"amount":0,"reason":"r"}`:                     "INVALID_AMOUNT",
		`{"action":"grant-points","userId":7,"amount":"-0.00","reason":"r"}`:               "INVALID_AMOUNT",
		`{"action":"grant-points","userId":7,"amount":"--1","reason":"r"}`:                 "INVALID_AMOUNT",
		`{"action":"grant-points","userId":7,"amount":"+1","reason":"r"}`:                  "INVALID_AMOUNT",
		`{"action":"grant-points","userId":7,"amount":1.001,"reason":"r"}`:                 "INVALID_AMOUNT",
		`{"action":"grant-points","userId":7,"amount":null,"reason":"r"}`:                  "INVALID_REQUEST",
		`{"action":"put-product"}`:                                                         "INVALID_REQUEST",
		`{"action":"put-product","product":[]}`:                                            "INVALID_REQUEST",
		`{"action":"put-product","product":{` + draft + `}}`:                               "INVALID_REQUEST",
		`{"action":"put-product","product":{` + draft + `,"stock":-1}}`:                    "INVALID_REQUEST",
		`{"action":"put-product","product":{` + draft + `,"stock":1,"productId":3}}`:       "INVALID_REQUEST",
		`{"action":"put-product","product":{` + draft + `,"stock":1,"id":3}}`:              "UNKNOWN_FIELD",
		edited(`"price":"100000.00"`, `"price":"-1"`):                                      "INVALID_AMOUNT",
		edited(`"status":"ACTIVE"`, `"status":"SOLD_OUT"`):                                 "INVALID_REQUEST",
		edited(`2026-11-22T06:00:00Z`, `2026-11-22`):                                       "INVALID_REQUEST",
		edited(`2026-11-22T06:00:00Z`, `2026-11-22T6:00:00Z`):                              "INVALID_REQUEST",
		edited(`2026-11-22T06:00:00Z`, `2026-13-22T06:00:00Z`):                             "INVALID_REQUEST",
		edited(`2026-11-22T06:00:00Z`, `2028-11-22T06:00:00Z`):                             "INVALID_REQUEST",
		edited(`2027-06-02T02:00:00.5Z`, `2027-06-01T06:00:00Z`):                           "INVALID_REQUEST",
		edited(`"name":"Room"`, `"name":"  "`):                                             "INVALID_REQUEST",
		`{"action":"audit","x":` + strings.Repeat("[", 20) + strings.Repeat("]", 20) + `}`: "INVALID_REQUEST",
		`{"action":"audit","x":"` + strings.Repeat("x", maxBody) + `"}`:                    "PAYLOAD_TOO_LARGE",
	} {
		o := &operator{}
		refused(t, newBench().Admin(o), payload, code)
		if o.did != "" {
			t.Errorf("%s: did %s", payload, o.did)
		}
	}
	refused(t, newBench().Admin(&operator{err: booking.ErrBookingNotFound}), `{"action":"explain","bookingId":9}`, "BOOKING_NOT_FOUND")
	refused(t, newBench().Admin(&operator{err: errors.New("driver's\nwords")}), `{"action":"redrive"}`, "INTERNAL")
	refused(t, newBench().Admin(nil), `{"action":"redrive"}`, "INTERNAL") // a panic
}

func edited(old, replacement string) string {
	return `{"action":"put-product","product":{` + strings.Replace(draft, old, replacement, 1) + `,"stock":1}}`
}

func TestExplain(t *testing.T) {
	o := &operator{story: booking.BookingStory{
		Explanation: booking.Explanation{
			Booking:  sample(),
			Attempts: []map[string]any{{"amount": decimal.New(5, 0), "leaseUntil": noon, "tries": 2}},
		},
		Gate: booking.Occupancy{Facts: booking.Facts{Stock: 10}, Available: 8, Held: 2}, SafeToDo: "Nothing.",
		Place: &booking.Place{Token: "token", Deadline: noon},
	}}
	out, err := newBench().Admin(o).Invoke(context.Background(), []byte(`{"action":"explain","bookingId":12}`))
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "explain", response{Body: string(out)})
	o.story.GateFault = errors.New("refused")
	out, err = newBench().Admin(o).Invoke(context.Background(), []byte(`{"action":"explain","bookingId":12}`))
	var got object
	if err != nil || json.Unmarshal(out, &got) != nil || got["gate"] != nil {
		t.Errorf("%s %v", out, err)
	}
}

func TestAuditWithoutALedgerIsAnAuditStill(t *testing.T) {
	b := newBench()
	fault := fmt.Errorf("%w: answer 404", booking.ErrNoLedger)
	out, err := b.Admin(&operator{err: fault}).Invoke(context.Background(), []byte(`{"action":"audit"}`))
	if err != nil || !strings.Contains(string(out), `"invariant":"I1"`) || !strings.Contains(b.log.String(), fault.Error()) {
		t.Errorf("%s %v\n%s", out, err, b.log)
	}
}

// What is committed is answered, and what is still to come of it is in the log.
func TestAnActionThatLeavesSomethingIsDoneStill(t *testing.T) {
	behind := fmt.Errorf("%w: %w", booking.ErrGateBehind, booking.ErrUnavailable)
	for payload, want := range map[string]string{
		`{"action":"adjust-stock","productId":3,"delta":1,"reason":"found"}`: `{"productId":3,"totalStock":10,"remainingStock":7}`,
		edited("", ""): `{"productId":3}`,
	} {
		b := newBench()
		out, err := b.Admin(&operator{err: behind}).Invoke(context.Background(), []byte(payload))
		if err != nil || string(out) != want || !strings.Contains(b.log.String(), `"deferred":"`+behind.Error()) {
			t.Errorf("%s: %s %v\n%s", payload, out, err, b.log)
		}
	}
	b := newBench()
	_, err := b.Admin(&operator{left: booking.ErrUnavailable}).Invoke(context.Background(), []byte(`{"action":"cancel","bookingId":12,"reason":"closed"}`))
	if err != nil || !strings.Contains(b.log.String(), `"deferred":"DEPENDENCY_UNAVAILABLE`) {
		t.Errorf("cancelled: %v\n%s", err, b.log)
	}
}

func TestSweepAndMigrate(t *testing.T) {
	b := newBench()
	report := booking.SweepReport{Lapsed: 2, Stuck: 1, Reconciled: 9, Faults: []string{"settle booking 12: refund stuck", "gate: gone"}}
	left := booking.Outstanding{UnknownCharge: 1, PendingRefund: 2, StuckRefunds: 3, UnsentMessage: 4, LapsedHold: 5}
	out, err := b.Sweep(func(context.Context) (booking.SweepReport, error) { return report, booking.ErrUnavailable },
		func(context.Context) (booking.Outstanding, error) { return left, nil }).Invoke(context.Background(), []byte("anything"))
	if err != nil || !strings.Contains(string(out), `"lapsed":2`) || !strings.Contains(b.log.String(), "DEPENDENCY_UNAVAILABLE") {
		t.Errorf("%s %v\n%s", out, err, b.log)
	}
	// A schedule throws the answer away: the log names the booking.
	for _, want := range []string{`"stuck":1`, `"msg":"fault"`, `"error":"settle booking 12: refund stuck"`, `"error":"gate: gone"`} {
		if strings.Count(b.log.String(), want) == 0 {
			t.Errorf("%s is not in the log:\n%s", want, b.log)
		}
	}
	watches(t, b, object{
		"GateDrift": 9.0, "UnknownChargeAge": 1.0, "PendingRefundAge": 2.0, "RefundsStuck": 3.0, "UnsentMessageAge": 4.0, "LapsedHoldAge": 5.0,
	})
	// What cannot be read is missing, which an alarm sees too; zeros would say that all is well.
	b = newBench()
	out, err = b.Sweep(func(context.Context) (booking.SweepReport, error) { return report, nil },
		func(context.Context) (booking.Outstanding, error) {
			return booking.Outstanding{}, booking.ErrUnavailable
		}).Invoke(context.Background(), nil)
	if err != nil || !strings.Contains(string(out), `"lapsed":2`) || !strings.Contains(b.log.String(), "DEPENDENCY_UNAVAILABLE") {
		t.Errorf("%s %v\n%s", out, err, b.log)
	}
	watches(t, b, object{})
	out, err = b.Migrate(func(context.Context) ([]string, int64, error) { return nil, 4, nil }).Invoke(context.Background(), nil)
	if err != nil || string(out) != `{"applied":[],"version":4}` {
		t.Errorf("%s %v", out, err)
	}
	refused(t, b.Migrate(func(context.Context) ([]string, int64, error) { return nil, 0, errors.New("x") }), "{}", "INTERNAL")
}

// What brings a deployment back, and calls somebody: what is ours to put right, on whatever way it was asked for. A
// refusal is its caller's.
func TestFaultsAreOurs(t *testing.T) {
	for err, want := range map[error]float64{
		nil: 0, booking.ErrSoldOut: 0, booking.ErrHoldExpired: 0, booking.ErrInternal: 1, booking.ErrUnavailable: 1, booking.ErrCommitResultUnknown: 1,
		errors.New("driver's words"): 1,
	} {
		swept, asked := newBench(), newBench()
		if _, failed := swept.Sweep(func(context.Context) (booking.SweepReport, error) { return booking.SweepReport{}, err }, nothingLeft).Invoke(t.Context(), nil); failed != nil {
			t.Fatal(failed)
		}
		invoke(t, asked.Reserve(func(context.Context, booking.ReserveCommand) (booking.Result, error) {
			return booking.Result{Booking: sample()}, err
		}),
			post(reservePath, `{"productId":1}`))
		for way, b := range map[string]bench{"a sweep": swept, "a reserve": asked} {
			var line struct{ Fault float64 }
			if broken := json.Unmarshal(b.metrics.Bytes(), &line); broken != nil || line.Fault != want {
				t.Errorf("%s that ends in %v: %v, want %v (%v)", way, err, line.Fault, want, broken)
			}
		}
	}
}

// An audit of everything is watched; one of a product is not, which would hide what another one has.
func TestAuditIsWatched(t *testing.T) {
	for payload, want := range map[string]object{`{"action":"audit"}`: {"AuditViolations": 1.0}, `{"action":"audit","productId":1}`: {}} {
		b := newBench()
		if _, err := b.Admin(&operator{}).Invoke(t.Context(), []byte(payload)); err != nil {
			t.Fatal(err)
		}
		watches(t, b, want)
	}
}

// watches looks at the metrics that alarms watch: those without a dimension, which are the same ones whatever becomes of
// a call.
func watches(t *testing.T, b bench, want object) {
	t.Helper()
	var line object
	if err := json.Unmarshal(b.metrics.Bytes(), &line); err != nil {
		t.Fatalf("%s: %v", b.metrics, err)
	}
	got := object{}
	for _, d := range line["_aws"].(object)["CloudWatchMetrics"].([]any) {
		if sets := d.(object)["Dimensions"].([]any); len(sets) != 1 || len(sets[0].([]any)) != 0 {
			continue
		}
		for _, m := range d.(object)["Metrics"].([]any) {
			name := m.(object)["Name"].(string)
			got[name] = line[name]
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("watched %v, want %v", got, want)
	}
}
