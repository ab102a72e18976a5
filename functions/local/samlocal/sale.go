package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"stayhold/functions/local/harness"
	"stayhold/functions/local/template"
)

// refundWithin is how long a refund may take that goes over queue and function.
const refundWithin = 30 * time.Second

// booking is what is looked at of an answer.
type booking struct {
	BookingID int64
	Status    string
	Refund    struct{ State, Amount string }
}

// sale has one buyer go through a whole sale with points and card, and then cancel it: his money comes back by the queue.
func (s *session) sale(ctx context.Context, _ *template.Template) error {
	shop := harness.NewShop(s.front)
	product, err := shop.Product(ctx, "100000.00", 3)
	if err != nil {
		return err
	}
	b, err := shop.Buyer(ctx, 11)
	if err != nil {
		return err
	}
	var made booking
	post := func(path, body string, want int, status string) error {
		began := time.Now()
		a, err := b.Post(ctx, path, body, "")
		if err != nil {
			return err
		}
		made = booking{}
		if err := json.Unmarshal(a.Body, &made); err != nil || a.Status != want || made.Status != status {
			return fmt.Errorf("POST %s: %d %s, want %d with a booking that is %s", path, a.Status, a.Body, want, status)
		}
		s.say("POST %-38s %d %-15s %5.0f ms", path, a.Status, made.Status, float64(time.Since(began).Microseconds())/1000)
		return nil
	}
	if err := post("/bookings/reserve", fmt.Sprintf(`{"productId":%d}`, product), 201, "INIT"); err != nil {
		return err
	}
	path := fmt.Sprintf("/bookings/%d", made.BookingID)
	for _, one := range []struct {
		step, body string
		code       int
		status     string
	}{
		{"/payments/register", `{"payments":[{"method":"POINT","amount":"3000"},{"method":"CARD","amount":"97000.00"}]}`, 201, "INIT"},
		{"/payments/pg-approve", `{"paymentKey":"ok-sam"}`, 200, "PAYMENT_PENDING"},
		{"/complete", "", 200, "CONFIRMED"},
		{"/complete", "", 200, "CONFIRMED"}, // warm
		{"/cancel", "", 200, "CANCELLED"},
	} {
		if err := post(path+one.step, one.body, one.code, one.status); err != nil {
			return err
		}
	}
	return s.refunded(ctx, b, path)
}

// refunded waits until the booking's money is back.
func (s *session) refunded(ctx context.Context, b harness.Buyer, path string) error {
	began := time.Now()
	for {
		a, err := b.Get(ctx, path)
		if err != nil {
			return err
		}
		var now booking
		if err := json.Unmarshal(a.Body, &now); err != nil || a.Status != 200 {
			return fmt.Errorf("GET %s: %d %s", path, a.Status, a.Body)
		}
		if now.Refund.State == "DONE" && now.Refund.Amount == "97000.00" {
			s.say("refunded over the queue after %.1f s", time.Since(began).Seconds())
			return nil
		}
		if time.Since(began) > refundWithin {
			return fmt.Errorf("the money is not back after %v: %s", refundWithin, a.Body)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// batch sends a batch as SQS does, two of whose three records nobody understands: these alone are reported as failed.
func (s *session) batch(ctx context.Context, _ *template.Template) error {
	event, err := os.ReadFile(filepath.Join("events", "compensate-malformed.json"))
	if err != nil {
		return err
	}
	a, err := harness.NewShop(s.front).Send(ctx, "POST", s.front.Invoke+"/2015-03-31/functions/CompensateFunction/invocations", string(event))
	if err != nil {
		return err
	}
	if err := partial(a.Body); err != nil || a.Status != 200 {
		return fmt.Errorf("CompensateFunction: %d, %w", a.Status, err)
	}
	s.say("CompensateFunction fails 2 records of a batch of 3, and takes the third")
	return nil
}

// partial holds what compensate answers to its malformed sample against what is due.
func partial(answer []byte) error {
	var got struct {
		BatchItemFailures []struct{ ItemIdentifier string }
	}
	var failed []string
	err := json.Unmarshal(answer, &got)
	for _, f := range got.BatchItemFailures {
		failed = append(failed, f.ItemIdentifier[strings.LastIndexByte(f.ItemIdentifier, '-')+1:])
	}
	slices.Sort(failed)
	if err != nil || !slices.Equal(failed, []string{"661970000002", "661970000003"}) {
		return fmt.Errorf("its second and third record should fail, and nothing else: %s", answer)
	}
	return nil
}
