package api

import (
	"encoding/json"
	"strconv"

	"github.com/shopspring/decimal"

	"stayhold/shared/booking"
)

// The shapes of answers have their members in the order of the contract. A booking, which every
// step answers with, is put together by hand: with encoding/json it would be a quarter of what
// a handler adds to its statement.

// usualBooking is room for a booking with two payments, and for what renders around it.
const usualBooking = 1024

func renderBooking(b booking.Booking) json.RawMessage {
	return append(appendBooking(make([]byte, 0, usualBooking), b), '}')
}

// renderStory is a booking with its timeline.
func renderStory(b booking.Booking) json.RawMessage {
	to := append(appendBooking(make([]byte, 0, 2*usualBooking), b), `,"timeline":`...)
	to = appendList(to, b.Timeline, func(to []byte, e booking.Event) []byte {
		to = appendInstant(append(to, `{"at":`...), e.At)
		to = appendText(append(to, `,"event":`...), e.Event, asJSON)
		return append(appendText(append(to, `,"detail":`...), e.Detail, asJSON), '}')
	})
	return append(to, '}')
}

// appendBooking leaves the object open for further members.
func appendBooking(to []byte, b booking.Booking) []byte {
	to = strconv.AppendInt(append(to, `{"bookingId":`...), b.ID, 10)
	to = strconv.AppendInt(append(to, `,"productId":`...), b.ProductID, 10)
	to = strconv.AppendInt(append(to, `,"userId":`...), b.UserID, 10)
	to = appendText(append(to, `,"status":`...), b.Status, asJSON)
	to = appendMoney(append(to, `,"totalAmount":`...), b.Total)
	to = append(to, `,"holdExpiresAt":`...)
	if b.Status.Live() {
		to = appendInstant(to, b.HoldExpiresAt)
	} else {
		to = append(to, "null"...)
	}
	to = strconv.AppendInt(append(to, `,"remainMillis":`...), b.Remain().Milliseconds(), 10)
	to = appendList(append(to, `,"payments":`...), b.Payments, appendPayment)
	state, amount := b.Refund()
	to = appendText(append(to, `,"refund":{"state":`...), state, asJSON)
	to = append(appendMoney(append(to, `,"amount":`...), amount), '}')
	to = append(to, `,"failure":`...)
	if b.Failure == nil {
		to = append(to, "null"...)
	} else {
		to = appendText(append(to, `{"code":`...), b.Failure.Code, asJSON)
		to = append(appendText(append(to, `,"detail":`...), b.Failure.Detail, asJSON), '}')
	}
	to = appendList(append(to, `,"nextActions":`...), b.NextActions(), func(to []byte, a booking.Action) []byte {
		return appendText(to, a, asJSON)
	})
	to = appendInstant(append(to, `,"createdAt":`...), b.CreatedAt)
	return appendInstant(append(to, `,"updatedAt":`...), b.UpdatedAt)
}

func appendPayment(to []byte, p booking.Payment) []byte {
	to = strconv.AppendInt(append(to, `{"paymentId":`...), p.ID, 10)
	to = appendText(append(to, `,"method":`...), p.Method, asJSON)
	to = appendMoney(append(to, `,"amount":`...), p.Amount)
	to = appendText(append(to, `,"status":`...), p.Status, asJSON)
	to = appendText(append(to, `,"approval":`...), p.Approval, asJSON)
	to = append(to, `,"orderId":`...)
	if p.OrderID == "" {
		return append(to, "null}"...)
	}
	return append(appendText(to, p.OrderID, asJSON), '}')
}

func appendMoney(to []byte, d decimal.Decimal) []byte {
	return append(append(append(to, '"'), money(d)...), '"')
}

func appendList[T any](to []byte, list []T, item func([]byte, T) []byte) []byte {
	to = append(to, '[')
	for i, one := range list {
		if i > 0 {
			to = append(to, ',')
		}
		to = item(to, one)
	}
	return append(to, ']')
}

type productJSON struct {
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

func renderProduct(p booking.Product) productJSON {
	return productJSON{
		ProductID: p.ID, Name: p.Name, Price: money(p.Price), Status: p.Status,
		Available: p.Available, TotalStock: p.Total,
		SaleStartAt: instant(p.SaleStartAt), CheckInAt: instant(p.CheckInAt), CheckOutAt: instant(p.CheckOutAt),
	}
}
