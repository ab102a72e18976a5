package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"stayhold/shared/booking"
)

// parseTest reads "compensate 12".
func parseTest(body string) (booking.Message, error) {
	id, ok := parseID(strings.TrimPrefix(body, "compensate "))
	if !ok {
		return booking.Message{}, errors.New("malformed")
	}
	return booking.Message{Task: booking.TaskCompensate, BookingID: id}, nil
}

func failed(t *testing.T, out []byte) string {
	t.Helper()
	var got struct {
		Failures []struct {
			ID string `json:"itemIdentifier"`
		} `json:"batchItemFailures"`
	}
	if err := json.Unmarshal(out, &got); err != nil || got.Failures == nil {
		t.Fatalf("%s: %v", out, err)
	}
	ids := []string{}
	for _, f := range got.Failures {
		ids = append(ids, f.ID)
	}
	return strings.Join(ids, " ")
}

func TestBatchRecordsStandForThemselves(t *testing.T) {
	b := newBench()
	var ran []int64
	h := b.Batch(0, parseTest, func(_ context.Context, m booking.Message) error {
		ran = append(ran, m.BookingID)
		switch m.BookingID {
		case 2:
			return booking.ErrUnavailable.Because(errors.New("refused"))
		case 3:
			panic("inner words")
		}
		return nil
	})
	out, err := h.Invoke(context.Background(), []byte(`{"Records":[
		{"messageId":"a","body":"compensate 1"},
		{"messageId":"b","body":"compensate 2"},
		{"messageId":"c","body":"compensate 3"},
		{"messageId":"d","body":"poison"},
		{"messageId":"e","body":5},
		{"messageId":"f"},
		{"messageId":"g","body":"compensate 4","attributes":{"x":null}}]}`))
	if err != nil || failed(t, out) != "b c d e f" || len(ran) != 4 {
		t.Errorf("%s %v %v", out, err, ran)
	}
	if !strings.Contains(b.log.String(), `"failed":5`) || !strings.Contains(b.log.String(), "inner words") {
		t.Error(b.log)
	}
	out, err = h.Invoke(context.Background(), []byte(`{"Records":[]}`))
	if err != nil || failed(t, out) != "" {
		t.Errorf("%s %v", out, err)
	}
	// A record without an id cannot be named: an empty name fails the whole batch.
	out, err = h.Invoke(context.Background(), []byte(`{"Records":[5]}`))
	if err != nil || string(out) != `{"batchItemFailures":[{"itemIdentifier":""}]}` {
		t.Errorf("%s %v", out, err)
	}
}

func TestBatchAcknowledgesWhatIsLeftToTheSweep(t *testing.T) {
	b := newBench()
	h := b.Batch(0, parseTest, func(context.Context, booking.Message) error {
		return fmt.Errorf("refund: %w: the gateway hangs", booking.ErrLeftToSweep)
	})
	out, err := h.Invoke(context.Background(), []byte(`{"Records":[{"messageId":"a","body":"compensate 1"}]}`))
	if err != nil || failed(t, out) != "" {
		t.Errorf("%s %v", out, err)
	}
	if !strings.Contains(b.log.String(), "LEFT_TO_SWEEP") || !strings.Contains(b.log.String(), "the gateway hangs") {
		t.Error(b.log)
	}
	h = b.Batch(0, parseTest, func(context.Context, booking.Message) error {
		return fmt.Errorf("%w: %w", booking.ErrRefundStuck, booking.ErrLeftToSweep)
	})
	out, err = h.Invoke(context.Background(), []byte(`{"Records":[{"messageId":"a","body":"compensate 1"}]}`))
	if err != nil || failed(t, out) != "" || !strings.Contains(b.metrics.String(), `"Code":"REFUND_STUCK"`) {
		t.Errorf("%s %v\n%s", out, err, b.metrics)
	}
}

func TestWhatIsNoBatch(t *testing.T) {
	h := newBench().Batch(0, parseTest, nil)
	for _, payload := range []string{"", "{}", "[]", "null", `{"Records":null}`, `{"Records":5}`, "\xff"} {
		refused(t, h, payload, "INVALID_REQUEST")
	}
}

func TestBatchStopsBeforeTheTimeIsUp(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ran := 0
	run := func(context.Context, booking.Message) error { ran++; return nil }
	payload := []byte(`{"Records":[{"messageId":"a","body":"compensate 1"},{"messageId":"b","body":"compensate 2"}]}`)
	out, err := newBench().Batch(time.Hour, parseTest, run).Invoke(ctx, payload)
	if err != nil || failed(t, out) != "a b" || ran != 0 {
		t.Errorf("%s %v %d", out, err, ran)
	}
	out, err = newBench().Batch(time.Second, parseTest, run).Invoke(ctx, payload)
	if err != nil || failed(t, out) != "" || ran != 2 {
		t.Errorf("%s %v %d", out, err, ran)
	}
}
