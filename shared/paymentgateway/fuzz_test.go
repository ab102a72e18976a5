package paymentgateway

import (
	"encoding/json"
	"math/big"
	"strings"
	"testing"
	"time"

	"stayhold/shared/booking"
	"stayhold/shared/servertest"
)

// Whatever the gateway answers, it is a charge only when a decoder that knows nothing of ours reads the very order, key
// and amount that were asked for in it, and a refusal only when it bears a listed code under a status that decides.
func FuzzAnswers(f *testing.F) {
	for _, seed := range []string{
		object(), errorBody("REJECT_CARD_PAYMENT"), errorBody("NOT_FOUND_PAYMENT"), "", "{}", "[]", object("totalAmount", "1e99"),
		object("totalAmount", "97000.00"), object("totalAmount", "97001"), object("totalAmount", "9.7e4"), object("totalAmount", `"97000"`), object("status", `"CANCELED"`),
		object("status", `"WAITING_FOR_DEPOSIT"`), object("orderId", `"other"`), object("paymentKey", "null"), object("currency", `"USD"`),
		`{"totalAmount":1,` + object()[1:], `{"Status":"DONE",` + object("status", "")[1:], object() + "}",
	} {
		for _, status := range []int{200, 404, 403} {
			f.Add(status, []byte(seed))
		}
	}
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		servertest.Cost(t, 2*time.Second, func() {
			ch, got := charge(), reply{status, body}
			a := confirmed(ch, got)
			if a.Verdict == booking.VerdictApproved && !saysCharged(ch, got) {
				t.Fatalf("confirm: approved by %d %s", status, body)
			}
			if a.Verdict == booking.VerdictDeclined && (!declines(a.DeclineCode) || status < 400 || status > 499) {
				t.Fatalf("declined by %d %q", status, a.DeclineCode)
			}
			a = lookedUp(ch, got)
			if a.Verdict == booking.VerdictApproved && !saysCharged(ch, got) {
				t.Fatalf("look-up: approved by %d %s", status, body)
			}
			if a.Verdict == booking.VerdictRefused {
				t.Fatal("a look-up was refused")
			}
			if a.Verdict == booking.VerdictMismatched && !a.Amount.IsPositive() {
				t.Fatalf("%v goes back", a.Amount)
			}
			switch a := cancelled(ch, got); a.Verdict {
			case booking.VerdictReturned, booking.VerdictRefused, booking.VerdictUnknown:
			default:
				t.Fatalf("cancel: %s", a.Verdict)
			}
		})
	})
}

// saysCharged reads an answer by the standard decoder.
func saysCharged(ch booking.Charge, got reply) bool {
	var p struct {
		Status, OrderID, PaymentKey string
		TotalAmount                 json.Number
	}
	if got.status != 200 || json.Unmarshal(got.body, &p) != nil || len(p.TotalAmount) > 40 {
		return false
	}
	amount, ok := new(big.Rat).SetString(p.TotalAmount.String())
	return ok && p.Status == "DONE" && p.OrderID == ch.OrderID && p.PaymentKey == ch.PaymentKey && amount.Cmp(ch.Amount.Rat()) == 0
}

// A charge that was made is believed whatever stands beside its order, key and amount, and never with one of them changed.
func FuzzAlteredSuccess(f *testing.F) {
	f.Add(testOrder, testKey, "97000", "card", `{"amount":1}`)
	f.Add(testOrder, testKey, "97000.00", "note", `"x"`)
	f.Add(testOrder, testKey, "96999.99", "note", `"x"`)
	f.Add(testOrder, testKey, "97000.001", "note", `"x"`)
	f.Add(testOrder+" ", testKey, "9.7e4", "orderId", `"x"`)
	f.Add(testOrder, testKey+"\x00", "097000", "ORDERID", `null`)
	f.Fuzz(func(t *testing.T, order, key, amount, name, value string) {
		text := func(s string) string {
			out, err := json.Marshal(s)
			if err != nil {
				t.Fatal(err)
			}
			return string(out)
		}
		if !json.Valid([]byte(amount)) {
			return // it may be an amount with more members behind it
		}
		amount = strings.Trim(amount, " \t\r\n")
		body := object("orderId", text(order), "paymentKey", text(key), "totalAmount", amount, "card", "")
		body = body[:len(body)-1] + "," + text(name) + ":" + value + "}"
		servertest.Cost(t, 2*time.Second, func() {
			ch := charge()
			exact, ok := new(big.Rat).SetString(amount)
			same := order == ch.OrderID && key == ch.PaymentKey && len(amount) <= maxAmountToken && ok && exact.Cmp(ch.Amount.Rat()) == 0
			for call, judged := range map[string]booking.Answer{"confirm": confirmed(ch, reply{200, []byte(body)}), "look-up": lookedUp(ch, reply{200, []byte(body)})} {
				if judged.Verdict == booking.VerdictApproved && !same {
					t.Fatalf("%s: approved by %s", call, body)
				}
			}
		})
	})
}
