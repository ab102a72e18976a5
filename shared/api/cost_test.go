package api

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"stayhold/shared/booking"
)

// refusals are a handler whose step finds everything sold, and the sample event, without its key, that it is asked with.
func refusals(t testing.TB) (lambda.Handler, context.Context, []byte) {
	t.Helper()
	payload, err := os.ReadFile("../../events/reserve.json")
	if err != nil {
		t.Fatal(err)
	}
	e := New(Options{Log: io.Discard, UserIDClaim: "sub"})
	h := e.Reserve(func(context.Context, booking.ReserveCommand) (booking.Result, error) {
		return booking.Result{}, booking.ErrSoldOut.With("earliestReleaseAt", noon)
	})
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	t.Cleanup(cancel)
	return h, ctx, without(t, payload, "idempotency-key")
}

func BenchmarkSoldOut(b *testing.B) {
	h, ctx, payload := refusals(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := h.Invoke(ctx, payload); err != nil {
			b.Fatal(err)
		}
	}
}

// without is the event less one header.
func without(t testing.TB, payload []byte, name string) []byte {
	t.Helper()
	var ev object
	if err := json.Unmarshal(payload, &ev); err != nil {
		t.Fatal(err)
	}
	delete(ev["headers"].(object), name)
	text, err := json.Marshal(ev)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// answers is a step that says yes.
func answers[C any](context.Context, C) (booking.Result, error) {
	return booking.Result{Booking: sample()}, nil
}

// What stands around a step stays small: of a refusal, which is what most callers of a sale get, and of the rest.
func TestRequestsTakeLittleMemory(t *testing.T) {
	soldOut, ctx, withoutKey := refusals(t)
	e := New(Options{Log: io.Discard, Recaller: &recaller{keys: make([]booking.IdempotencyKey, 0, 1000)}})
	sampled := func(name string) []byte {
		payload, err := os.ReadFile("../../events/" + name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		return payload
	}
	for name, c := range map[string]struct {
		h       lambda.Handler
		payload []byte
		reached float64 // allocations, the step's and the sample's among them
	}{
		"sold out": {soldOut, withoutKey, 24},
		"reserve":  {e.Reserve(answers[booking.ReserveCommand]), sampled("reserve"), 52},
		"register": {e.Register(answers[booking.Registration]), sampled("register"), 89},
		"approve":  {e.Approve(answers[booking.ApproveCommand]), sampled("approve"), 58},
		"complete": {e.Complete(answers[booking.CompleteCommand]), sampled("complete"), 44},
		"cancel":   {e.Cancel(answers[booking.Cancellation]), sampled("cancel"), 44},
		"booking":  {e.Query(&reader{}), sampled("query"), 38},
		"checkout": {e.Query(&reader{}), sampled("query-checkout"), 34},
	} {
		got := testing.AllocsPerRun(100, func() {
			if _, err := c.h.Invoke(ctx, c.payload); err != nil {
				t.Fatal(err)
			}
		})
		if got > c.reached*3/2 {
			t.Errorf("%s: %v allocations, and %v are enough", name, got, c.reached)
		}
	}
}
