package paymentgatewaytest

import (
	"strconv"
	"strings"
	"time"

	"github.com/shopspring/decimal"
)

// behaviour is what a paymentKey's prefix asks for.
type behaviour struct {
	kind  kind
	wait  time.Duration // slow: before the charge
	fails int           // slowcancel: cancels that answer 500
}

type kind int

const (
	unknownKey  kind = iota // no prefix of ours: 404 NOT_FOUND_PAYMENT_SESSION
	ok                      // "ok-…": charged, and returned by a cancel
	decline                 // "decline-…": 403 REJECT_CARD_PAYMENT
	timeout                 // "timeout-…": never answers, not charged
	lost                    // "lost-…": charged, never answers
	late                    // "late-…": never answers, charged LateAfter later
	failing                 // "error-…": 500, not charged
	flaky                   // "flaky-…": an order's first call 500, the next charged
	slow                    // "slow-<ms>-…": charged and answered after so long
	mismatch                // "mismatch-…": charges and answers another amount
	stuckCancel             // "stuckcancel-…": charged, every cancel 500
	slowCancel              // "slowcancel-<n>-…": charged, the first n cancels 500
)

const (
	codeDecline = "REJECT_CARD_PAYMENT"
	maxSlow     = 10 * time.Minute
)

var plain = map[string]kind{
	"ok": ok, "decline": decline, "timeout": timeout, "lost": lost, "late": late, "error": failing,
	"flaky": flaky, "mismatch": mismatch, "stuckcancel": stuckCancel,
}

func behaviourOf(paymentKey string) behaviour {
	prefix, rest, found := strings.Cut(paymentKey, "-")
	if !found {
		return behaviour{}
	}
	if k, ok := plain[prefix]; ok {
		return behaviour{kind: k}
	}
	digits, _, _ := strings.Cut(rest, "-")
	n, err := strconv.ParseUint(digits, 10, 31)
	if err != nil {
		return behaviour{}
	}
	switch prefix {
	case "slow":
		return behaviour{kind: slow, wait: min(time.Duration(n)*time.Millisecond, maxSlow)}
	case "slowcancel":
		return behaviour{kind: slowCancel, fails: int(n)}
	}
	return behaviour{}
}

// takes is the amount that is charged when so much was asked.
func (b behaviour) takes(asked decimal.Decimal) decimal.Decimal {
	if b.kind != mismatch {
		return asked
	}
	one := decimal.NewFromInt(1)
	if other := asked.Sub(one); other.IsPositive() {
		return other
	}
	return asked.Add(one)
}
