package stacktest

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"
)

var compensation = regexp.MustCompile(`(?s)      Events:\n        Compensation:\n.*?\n\n`)

// The same template, but nobody takes messages from the queue: each is as good as lost.
func deafQueue(t *testing.T) string {
	t.Helper()
	dir := ownDir(t)
	text, err := os.ReadFile(filepath.Join(root, "template.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if len(compensation.FindAll(text, -1)) != 1 {
		t.Fatal("the template's CompensateFunction has not the one event that this test takes away")
	}
	if err := os.WriteFile(filepath.Join(dir, "template.yaml"), compensation.ReplaceAll(text, []byte("\n")), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// A lost message costs no more than the sweep's interval, its grace and 5 s.
func TestTheSweepMakesLostMessagesGoodInTime(t *testing.T) {
	t.Parallel()
	const interval, grace = 2 * time.Second, time.Second
	s := startIn(t, deafQueue(t), fmt.Sprintf("SWEEP_INTERVAL=%v", interval), fmt.Sprintf("SWEEP_GRACE=%v", grace), "GATEWAY_TIMEOUT=1s")
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
		t.Errorf("%d messages wait in the queue: somebody took the others", n)
	}
	s.oneCharge(t, paid, "100000.00", true)
	s.oneCharge(t, asked, "100000.00", false)
	s.audited(t, 0)
}
