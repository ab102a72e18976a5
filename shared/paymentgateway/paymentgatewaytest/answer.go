package paymentgatewaytest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/shopspring/decimal"
)

// answer is what goes back to the caller.
type answer struct {
	status int
	body   json.RawMessage
}

// send writes the answer. A write that fails means that the caller is gone, and what
// was done stays done.
func (a answer) send(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body)
}

// refuse is the gateway's error object.
func refuse(status int, code string) answer {
	return encode(status, map[string]string{"code": code, "message": strings.ToLower(strings.ReplaceAll(code, "_", " "))})
}

func encode(status int, v any) answer {
	body, err := json.Marshal(v)
	if err != nil {
		// Only strings, numbers and times are encoded here: it cannot fail.
		panic(err)
	}
	return answer{status, body}
}

// paymentObject is the part of the gateway's Payment object that callers use.
type paymentObject struct {
	Version            string         `json:"version"`
	PaymentKey         string         `json:"paymentKey"`
	OrderID            string         `json:"orderId"`
	Status             string         `json:"status"`
	LastTransactionKey *string        `json:"lastTransactionKey"`
	Currency           string         `json:"currency"`
	TotalAmount        json.Number    `json:"totalAmount"`
	BalanceAmount      json.Number    `json:"balanceAmount"`
	ApprovedAt         *time.Time     `json:"approvedAt"`
	Cancels            []cancelObject `json:"cancels"`
	Failure            *failureObject `json:"failure"`
}

type cancelObject struct {
	CancelAmount   json.Number `json:"cancelAmount"`
	TransactionKey string      `json:"transactionKey"`
	CancelStatus   string      `json:"cancelStatus"`
}

type failureObject struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// payment is the order as the gateway shows it: DONE, CANCELED or ABORTED.
func payment(o order) answer {
	total := json.Number(o.amount.String())
	p := paymentObject{
		Version: "2022-11-16", PaymentKey: o.paymentKey, OrderID: o.id, Status: "DONE",
		Currency: "KRW", TotalAmount: total, BalanceAmount: total,
	}
	key := transactionKey(o, "charge")
	at := o.due.UTC()
	switch {
	case o.declined:
		p.Status, p.Failure = "ABORTED", &failureObject{codeDecline, "card payment rejected"}
		return encode(200, p)
	case o.cancelled:
		key = transactionKey(o, "cancel")
		p.Status, p.BalanceAmount = "CANCELED", json.Number(decimal.Zero.String())
		p.Cancels = []cancelObject{{CancelAmount: total, TransactionKey: key, CancelStatus: "DONE"}}
	}
	p.LastTransactionKey, p.ApprovedAt = &key, &at
	return encode(200, p)
}

// transactionKey is the same for the same event, so that a repeat shows the same.
func transactionKey(o order, event string) string {
	sum := sha256.Sum256([]byte(o.id + "\x00" + o.paymentKey + "\x00" + event))
	return strings.ToUpper(hex.EncodeToString(sum[:16]))
}
