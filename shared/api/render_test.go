package api

import (
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"stayhold/shared/booking"
)

// The plain shapes are a booking as encoding/json writes it: what is put together by hand is held against them.
type (
	plainBooking struct {
		BookingID     int64            `json:"bookingId"`
		ProductID     int64            `json:"productId"`
		UserID        int64            `json:"userId"`
		Status        booking.Status   `json:"status"`
		TotalAmount   string           `json:"totalAmount"`
		HoldExpiresAt *string          `json:"holdExpiresAt"`
		RemainMillis  int64            `json:"remainMillis"`
		Payments      []plainPayment   `json:"payments"`
		Refund        plainRefund      `json:"refund"`
		Failure       *plainFailure    `json:"failure"`
		NextActions   []booking.Action `json:"nextActions"`
		CreatedAt     *string          `json:"createdAt"`
		UpdatedAt     *string          `json:"updatedAt"`
		Timeline      *[]plainLine     `json:"timeline,omitempty"`
	}
	plainPayment struct {
		PaymentID int64                 `json:"paymentId"`
		Method    booking.Method        `json:"method"`
		Amount    string                `json:"amount"`
		Status    booking.PaymentStatus `json:"status"`
		Approval  booking.Approval      `json:"approval"`
		OrderID   *string               `json:"orderId"`
	}
	plainRefund struct {
		State  booking.RefundState `json:"state"`
		Amount string              `json:"amount"`
	}
	plainFailure struct {
		Code   string `json:"code"`
		Detail string `json:"detail"`
	}
	plainLine struct {
		At     *string `json:"at"`
		Event  string  `json:"event"`
		Detail string  `json:"detail"`
	}
)

func plainBookingOf(b booking.Booking) plainBooking {
	state, amount := b.Refund()
	out := plainBooking{
		BookingID: b.ID, ProductID: b.ProductID, UserID: b.UserID, Status: b.Status,
		TotalAmount: money(b.Total), RemainMillis: b.Remain().Milliseconds(), Payments: []plainPayment{},
		Refund: plainRefund{state, money(amount)}, NextActions: b.NextActions(),
		CreatedAt: instant(b.CreatedAt), UpdatedAt: instant(b.UpdatedAt),
	}
	if b.Status.Live() {
		out.HoldExpiresAt = instant(b.HoldExpiresAt)
	}
	for _, p := range b.Payments {
		one := plainPayment{PaymentID: p.ID, Method: p.Method, Amount: money(p.Amount), Status: p.Status, Approval: p.Approval}
		if p.OrderID != "" {
			one.OrderID = &p.OrderID
		}
		out.Payments = append(out.Payments, one)
	}
	if b.Failure != nil {
		out.Failure = &plainFailure{b.Failure.Code, b.Failure.Detail}
	}
	return out
}

func anyBooking(t *rapid.T) booking.Booking {
	id := func() int64 { return rapid.Int64().Draw(t, "id") }
	amount := func() decimal.Decimal { return decimal.New(rapid.Int64().Draw(t, "amount"), -2) }
	at := func() time.Time {
		if rapid.Bool().Draw(t, "never") {
			return time.Time{}
		}
		return time.UnixMicro(rapid.Int64Range(0, 1<<52).Draw(t, "at")).In(time.FixedZone("", 3600*rapid.IntRange(-11, 11).Draw(t, "zone")))
	}
	b := booking.Booking{
		ID: id(), UserID: id(), ProductID: id(), Status: rapid.SampledFrom(booking.Statuses).Draw(t, "status"), Total: amount(),
		HoldExpiresAt: at(), CheckInAt: at(), CreatedAt: at(), UpdatedAt: at(), ReadAt: at(),
	}
	for range rapid.IntRange(0, 3).Draw(t, "payments") {
		b.Payments = append(b.Payments, booking.Payment{
			ID: id(), Method: rapid.SampledFrom(booking.Methods).Draw(t, "method"), Amount: amount(),
			Status:      rapid.SampledFrom([]booking.PaymentStatus{booking.PaymentReady, booking.PaymentSuccess, "ENDED"}).Draw(t, "payment"),
			Approval:    rapid.SampledFrom([]booking.Approval{booking.ApprovalNone, booking.ApprovalRequested, "APPROVED"}).Draw(t, "approval"),
			OrderID:     rapid.String().Draw(t, "orderId"),
			RefundState: rapid.SampledFrom([]booking.RefundState{booking.RefundNone, booking.RefundDone, booking.RefundStuck}).Draw(t, "refund"), RefundAmount: amount(),
		})
	}
	if rapid.Bool().Draw(t, "failed") {
		b.Failure = &booking.Failure{Code: rapid.String().Draw(t, "code"), Detail: rapid.String().Draw(t, "detail")}
	}
	for range rapid.IntRange(0, 2).Draw(t, "timeline") {
		b.Timeline = append(b.Timeline, booking.Event{At: at(), Event: rapid.String().Draw(t, "event"), Detail: rapid.String().Draw(t, "detail")})
	}
	return b
}

func TestBookingsAreWrittenAsTheLibraryWritesThem(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := anyBooking(t)
		want := plainBookingOf(b)
		if text, err := marshal(want); err != nil || string(text) != string(renderBooking(b)) {
			t.Fatalf("written\n%s\nand by the library\n%s, %v", renderBooking(b), text, err)
		}
		timeline := []plainLine{}
		for _, e := range b.Timeline {
			timeline = append(timeline, plainLine{instant(e.At), e.Event, e.Detail})
		}
		want.Timeline = &timeline
		if text, err := marshal(want); err != nil || string(text) != string(renderStory(b)) {
			t.Fatalf("written\n%s\nand by the library\n%s, %v", renderStory(b), text, err)
		}
	})
}
