package api

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/lambda"

	"stayhold/shared/booking"
)

// every is a handler for each sample event, by the beginning of its file's name.
func every(b bench, got *any) map[string]lambda.Handler {
	keep := func(command any) (booking.Result, error) {
		*got = command
		return booking.Result{Booking: sample(), Created: true}, nil
	}
	return map[string]lambda.Handler{
		"reserve":  b.Reserve(func(_ context.Context, c booking.ReserveCommand) (booking.Result, error) { return keep(c) }),
		"register": b.Register(func(_ context.Context, c booking.Registration) (booking.Result, error) { return keep(c) }),
		"approve":  b.Approve(func(_ context.Context, c booking.ApproveCommand) (booking.Result, error) { return keep(c) }),
		"complete": b.Complete(func(_ context.Context, c booking.CompleteCommand) (booking.Result, error) { return keep(c) }),
		"cancel":   b.Cancel(func(_ context.Context, c booking.Cancellation) (booking.Result, error) { return keep(c) }),
		"query":    b.Query(&reader{}),
		"compensate": b.Batch(0, func(body string) (booking.Message, error) {
			var m struct{ BookingID int64 }
			err := json.Unmarshal([]byte(body), &m)
			return booking.Message{BookingID: m.BookingID}, err
		}, func(context.Context, booking.Message) error { return nil }),
		"sweep":   b.Sweep(func(context.Context) (booking.SweepReport, error) { return booking.SweepReport{}, nil }, nothingLeft),
		"admin":   b.Admin(&operator{story: booking.BookingStory{Explanation: booking.Explanation{Booking: sample()}}}),
		"migrate": b.Migrate(func(context.Context) ([]string, int64, error) { return nil, 1, nil }),
	}
}

func TestSampleEvents(t *testing.T) {
	files, err := filepath.Glob("../../events/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no sample events: %v", err)
	}
	var got any
	handlers := every(newBench(), &got)
	served := map[string]bool{}
	for _, file := range files {
		name, _, _ := strings.Cut(strings.TrimSuffix(filepath.Base(file), ".json"), "-")
		t.Run(filepath.Base(file), func(t *testing.T) {
			payload, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			h, ok := handlers[name]
			if !ok {
				t.Fatalf("no function takes %s", file)
			}
			served[name] = true
			out, err := h.Invoke(context.Background(), payload)
			if strings.Contains(string(payload), `"ResponseURL"`) {
				if err == nil || !strings.Contains(err.Error(), booking.ErrUnavailable.Code) {
					t.Errorf("nobody hears of it, and it says %v", err)
				}
				return
			}
			if err != nil {
				t.Fatalf("function error: %v", err)
			}
			var a response
			if err := json.Unmarshal(out, &a); err != nil || a.Status >= 300 {
				t.Errorf("%v %s", err, out)
			}
		})
	}
	for name := range handlers {
		if !served[name] {
			t.Errorf("%s has no sample event", name)
		}
	}
}

func TestWhatSampleEventsAskFor(t *testing.T) {
	for name, asked := range map[string]func(any) bool{
		"reserve": func(c any) bool {
			r, ok := c.(booking.ReserveCommand)
			return ok && r.UserID == 7 && r.ProductID == 1 && r.Key != nil
		},
		"register": func(c any) bool {
			r, ok := c.(booking.Registration)
			return ok && r.BookingID == 1 && r.Set.Sum().String() == "100000"
		},
		"approve": func(c any) bool {
			r, ok := c.(booking.ApproveCommand)
			return ok && r.BookingID == 1 && r.PaymentKey != ""
		},
		"complete": func(c any) bool { r, ok := c.(booking.CompleteCommand); return ok && r.UserID == 7 && r.BookingID == 1 },
		"cancel":   func(c any) bool { r, ok := c.(booking.Cancellation); return ok && r.UserID == 7 && r.BookingID == 1 },
	} {
		payload, err := os.ReadFile("../../events/" + name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		var got any
		if _, err := every(newBench(), &got)[name].Invoke(context.Background(), payload); err != nil || !asked(got) {
			t.Errorf("%s: %+v %v", name, got, err)
		}
	}
}
