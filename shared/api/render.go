package api

import "stayhold/shared/booking"

// The shapes of answers, members in the order of the contract.
type (
	bookingJSON struct {
		BookingID     int64            `json:"bookingId"`
		ProductID     int64            `json:"productId"`
		UserID        int64            `json:"userId"`
		Status        booking.Status   `json:"status"`
		TotalAmount   string           `json:"totalAmount"`
		HoldExpiresAt *string          `json:"holdExpiresAt"`
		RemainMillis  int64            `json:"remainMillis"`
		Payments      []paymentJSON    `json:"payments"`
		Refund        refundJSON       `json:"refund"`
		Failure       *failureJSON     `json:"failure"`
		NextActions   []booking.Action `json:"nextActions"`
		CreatedAt     *string          `json:"createdAt"`
		UpdatedAt     *string          `json:"updatedAt"`
		Timeline      *[]eventJSON     `json:"timeline,omitempty"`
	}
	paymentJSON struct {
		PaymentID int64                 `json:"paymentId"`
		Method    booking.Method        `json:"method"`
		Amount    string                `json:"amount"`
		Status    booking.PaymentStatus `json:"status"`
		Approval  booking.Approval      `json:"approval"`
		OrderID   *string               `json:"orderId"`
	}
	refundJSON struct {
		State  booking.RefundState `json:"state"`
		Amount string              `json:"amount"`
	}
	failureJSON struct {
		Code   string `json:"code"`
		Detail string `json:"detail"`
	}
	eventJSON struct {
		At     *string `json:"at"`
		Event  string  `json:"event"`
		Detail string  `json:"detail"`
	}
	productJSON struct {
		ProductID   int64   `json:"productId"`
		Name        string  `json:"name"`
		Price       string  `json:"price"`
		Status      string  `json:"status"`
		Available   int64   `json:"available"`
		TotalStock  int64   `json:"totalStock"`
		SaleStartAt *string `json:"saleStartAt"`
		CheckInAt   *string `json:"checkInAt"`
		CheckOutAt  *string `json:"checkOutAt"`
	}
)

func renderBooking(b booking.Booking) bookingJSON {
	out := bookingJSON{
		BookingID: b.ID, ProductID: b.ProductID, UserID: b.UserID, Status: b.Status,
		TotalAmount: money(b.Total), RemainMillis: b.Remain().Milliseconds(),
		Payments: make([]paymentJSON, len(b.Payments)), NextActions: b.NextActions(),
		CreatedAt: instant(b.CreatedAt), UpdatedAt: instant(b.UpdatedAt),
	}
	if b.Status.Live() {
		out.HoldExpiresAt = instant(b.HoldExpiresAt)
	}
	for i, p := range b.Payments {
		out.Payments[i] = paymentJSON{
			PaymentID: p.ID, Method: p.Method, Amount: money(p.Amount), Status: p.Status, Approval: p.Approval,
		}
		if p.OrderID != "" {
			out.Payments[i].OrderID = &p.OrderID
		}
	}
	state, amount := b.Refund()
	out.Refund = refundJSON{state, money(amount)}
	if b.Failure != nil {
		out.Failure = &failureJSON{b.Failure.Code, b.Failure.Detail}
	}
	return out
}

// renderStory is a booking with its timeline.
func renderStory(b booking.Booking) bookingJSON {
	out := renderBooking(b)
	timeline := make([]eventJSON, len(b.Timeline))
	for i, e := range b.Timeline {
		timeline[i] = eventJSON{instant(e.At), e.Event, e.Detail}
	}
	out.Timeline = &timeline
	return out
}

func renderProduct(p booking.Product) productJSON {
	return productJSON{
		ProductID: p.ID, Name: p.Name, Price: money(p.Price), Status: p.Status,
		Available: p.Available, TotalStock: p.Total,
		SaleStartAt: instant(p.SaleStartAt), CheckInAt: instant(p.CheckInAt), CheckOutAt: instant(p.CheckOutAt),
	}
}
