package stacktest

import (
	"fmt"
	"testing"
	"time"
)

// A lost message costs no more than the sweep's interval, its grace and 5 s.
func TestTheSweepMakesLostMessagesGoodInTime(t *testing.T) {
	t.Parallel()
	const interval, grace = 2 * time.Second, time.Second
	s := ownStack(t, fmt.Sprintf("SWEEP_INTERVAL=%v", interval), fmt.Sprintf("SWEEP_GRACE=%v", grace), "GATEWAY_TIMEOUT=1s")
	// Each message comes a quarter of an hour too late, and is as good as lost.
	s.queue(t, "SetQueueAttributes", map[string]any{"QueueUrl": s.queueURL, "Attributes": map[string]string{"DelaySeconds": "900"}}, nil)
	const within = interval + grace + 5*time.Second

	b, unknown := s.buyer(t), s.buyer(t)
	paid := b.approved(t, s.product(t, 1), oneCard)
	asked := unknown.registered(t, s.product(t, 1), oneCard)

	b.cancel(paid.BookingID).want(t, 200)
	began := time.Now()
	eventually(t, within, "the refund", func() error {
		if got := b.booking(t, paid.BookingID); got.Refund.State != "DONE" {
			return fmt.Errorf("refund %+v", got.Refund)
		}
		return nil
	})
	t.Logf("a lost refund was made good after %v", time.Since(began).Round(time.Millisecond))

	unknown.unknown(t, asked.BookingID, key("lost"))
	began = time.Now()
	unknown.becomes(t, asked.BookingID, within, "PAYMENT_PENDING", "SUCCESS", "APPROVED")
	t.Logf("a lost look-up was made good after %v", time.Since(began).Round(time.Millisecond))
	unknown.finishes(t, asked.BookingID)

	if n := s.waiting(t, s.queueURL); n < 2 {
		t.Errorf("%d messages are in the queue: somebody took the others", n)
	}
	s.oneCharge(t, paid, "100000.00", true)
	s.oneCharge(t, asked, "100000.00", false)
	s.audited(t, 0)
}
