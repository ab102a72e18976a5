package booking

import (
	"slices"

	"github.com/shopspring/decimal"
)

// Method is how a part of the total is paid.
type Method string

// The payment methods. POINT never goes to a gateway.
const (
	Card  Method = "CARD"
	YPay  Method = "YPAY"
	Point Method = "POINT"
)

// Methods lists every Method.
var Methods = []Method{Card, YPay, Point}

// ByGateway says that the method's money is moved by an external gateway.
func (m Method) ByGateway() bool { return m == Card || m == YPay }

// PaymentStatus is where one payment of a booking stands.
type PaymentStatus string

// The states of a payment: READY → SUCCESS → CANCELLED, READY → FAILED,
// READY → CANCELLED.
const (
	PaymentReady     PaymentStatus = "READY"
	PaymentSuccess   PaymentStatus = "SUCCESS"
	PaymentFailed    PaymentStatus = "FAILED"
	PaymentCancelled PaymentStatus = "CANCELLED"
)

// Approval is what is known of a payment's gateway calls.
type Approval string

// The states of an approval, as buyers see them.
const (
	ApprovalNone            Approval = "NONE"
	ApprovalRequested       Approval = "REQUESTED"
	ApprovalUnknown         Approval = "UNKNOWN"
	ApprovalApproved        Approval = "APPROVED"
	ApprovalDeclined        Approval = "DECLINED"
	ApprovalCancelRequested Approval = "CANCEL_REQUESTED"
	ApprovalCancelled       Approval = "CANCELLED"
	ApprovalCancelFailed    Approval = "CANCEL_FAILED"
)

// Open says that the gateway's answer is still awaited.
func (a Approval) Open() bool { return a == ApprovalRequested || a == ApprovalUnknown }

// Payment is one row of a booking's payments.
type Payment struct {
	ID       int64
	Method   Method
	Amount   decimal.Decimal
	Status   PaymentStatus
	Approval Approval
	OrderID  string // empty for POINT

	RefundState  RefundState
	RefundAmount decimal.Decimal // what the gateway took, 0 while RefundState is NONE
}

// Part is one line of a payment set that a buyer registers.
type Part struct {
	Method Method
	Amount decimal.Decimal
}

// Set is a whole payment set, in the buyer's order.
type Set []Part

// CheckMethods returns ErrDuplicateMethod when a method stands twice, which is a fault
// of the body. Which methods may stand together is judged after the booking's state,
// in the transaction.
func (s Set) CheckMethods() error {
	for i, p := range s {
		if slices.ContainsFunc(s[:i], func(q Part) bool { return q.Method == p.Method }) {
			return ErrDuplicateMethod.WithPointer("/payments", i, "method")
		}
	}
	return nil
}

// Sum is the total of the set.
func (s Set) Sum() decimal.Decimal {
	sum := decimal.Zero
	for _, p := range s {
		sum = sum.Add(p.Amount)
	}
	return sum
}
