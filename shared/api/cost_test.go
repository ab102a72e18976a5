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
	e := New(Options{Log: io.Discard, Metrics: io.Discard, UserIDClaim: "sub"})
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

// A refusal is what most callers of a sale get: what stands around its step stays small.
func TestARefusalTakesLittleMemory(t *testing.T) {
	const reached = 24 // allocations, the four of the step among them
	h, ctx, payload := refusals(t)
	got := testing.AllocsPerRun(100, func() {
		if _, err := h.Invoke(ctx, payload); err != nil {
			t.Fatal(err)
		}
	})
	if got > reached*3/2 {
		t.Errorf("%v allocations, and %d are enough", got, reached)
	}
}
