package postgres

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"stayhold/shared/booking"
)

// The plain rows are what a routine answers as encoding/json reads it: what the reader is held against.
type (
	plainOutcome struct {
		Booking *plainBooking     `json:"booking"`
		Created bool              `json:"created"`
		Pending bool              `json:"pending"`
		Error   *plainRefusal     `json:"error"`
		Sending []plainOutgoing   `json:"sending"`
		Intent  *plainIntent      `json:"intent"`
		Else    map[string][]int8 `json:"else"` // what nobody asks for
	}
	plainRefusal struct {
		Code    string         `json:"code"`
		Members map[string]any `json:"members"`
	}
	plainOutgoing struct {
		ID        int64        `json:"id"`
		Task      booking.Task `json:"task"`
		BookingID int64        `json:"bookingId"`
	}
	plainBooking struct {
		ID            int64           `json:"id"`
		UserID        int64           `json:"userId"`
		ProductID     int64           `json:"productId"`
		Status        booking.Status  `json:"status"`
		Total         decimal.Decimal `json:"total"`
		HoldToken     string          `json:"holdToken"`
		HoldExpiresAt time.Time       `json:"holdExpiresAt"`
		CheckInAt     time.Time       `json:"checkInAt"`
		Payments      []plainPayment  `json:"payments"`
		FailureCode   *string         `json:"failureCode"`
		FailureDetail *string         `json:"failureDetail"`
		CreatedAt     time.Time       `json:"createdAt"`
		UpdatedAt     time.Time       `json:"updatedAt"`
		ReadAt        time.Time       `json:"readAt"`
		Timeline      []plainEvent    `json:"timeline"`
	}
	plainPayment struct {
		ID           int64                 `json:"id"`
		Method       booking.Method        `json:"method"`
		Amount       decimal.Decimal       `json:"amount"`
		Status       booking.PaymentStatus `json:"status"`
		Approval     booking.Approval      `json:"approval"`
		OrderID      *string               `json:"orderId"`
		RefundState  booking.RefundState   `json:"refundState"`
		RefundAmount decimal.Decimal       `json:"refundAmount"`
	}
	plainEvent struct {
		At     time.Time `json:"at"`
		Event  string    `json:"event"`
		Detail string    `json:"detail"`
	}
	plainIntent struct {
		AttemptID  int64           `json:"attemptId"`
		BookingID  int64           `json:"bookingId"`
		First      bool            `json:"first"`
		Over       bool            `json:"over"`
		Stuck      bool            `json:"stuck"`
		Method     booking.Method  `json:"method"`
		OrderID    string          `json:"orderId"`
		PaymentKey string          `json:"paymentKey"`
		Key        string          `json:"key"`
		Amount     decimal.Decimal `json:"amount"`
		ProductID  int64           `json:"productId"`
		UserID     int64           `json:"userId"`
		HoldToken  string          `json:"holdToken"`
		Deadline   time.Time       `json:"deadline"`
		LeftMillis int64           `json:"leftMs"`
	}
)

func (o plainOutcome) domain() outcome {
	out := outcome{Result: booking.Result{Created: o.Created, Pending: o.Pending}}
	if o.Booking != nil {
		out.Booking = o.Booking.domain()
	}
	for _, s := range o.Sending {
		out.Sending = append(out.Sending, booking.Outgoing{ID: s.ID, Message: booking.Message{Task: s.Task, BookingID: s.BookingID}})
	}
	if o.Error != nil && inner[o.Error.Code] != nil {
		out.refusal = inner[o.Error.Code]
	} else if o.Error != nil {
		refusal := booking.ErrorByCode(o.Error.Code)
		for name, value := range o.Error.Members {
			refusal = refusal.With(name, value)
		}
		out.refusal = refusal
	}
	if o.Intent != nil {
		in := o.Intent
		out.intent = &intent{
			Intent: booking.Intent{
				AttemptID: in.AttemptID, BookingID: in.BookingID, First: in.First, Over: in.Over,
				Charge:   booking.Charge{Method: in.Method, OrderID: in.OrderID, PaymentKey: in.PaymentKey, Key: in.Key, Amount: in.Amount},
				Hold:     booking.Hold{ProductID: in.ProductID, UserID: in.UserID, Token: in.HoldToken},
				Deadline: in.Deadline, HoldLeft: time.Duration(in.LeftMillis) * time.Millisecond,
			},
			stuck: in.Stuck,
		}
	}
	return out
}

func (r plainBooking) domain() booking.Booking {
	b := booking.Booking{
		ID: r.ID, UserID: r.UserID, ProductID: r.ProductID, Status: r.Status, Total: r.Total,
		HoldToken: r.HoldToken, HoldExpiresAt: r.HoldExpiresAt, CheckInAt: r.CheckInAt,
		CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt, ReadAt: r.ReadAt,
	}
	for _, p := range r.Payments {
		b.Payments = append(b.Payments, booking.Payment{
			ID: p.ID, Method: p.Method, Amount: p.Amount, Status: p.Status, Approval: p.Approval,
			OrderID: orEmpty(p.OrderID), RefundState: p.RefundState, RefundAmount: p.RefundAmount,
		})
	}
	if code := orEmpty(r.FailureCode); code != "" {
		b.Failure = &booking.Failure{Code: code, Detail: orEmpty(r.FailureDetail)}
	}
	for _, e := range r.Timeline {
		b.Timeline = append(b.Timeline, booking.Event(e))
	}
	return b
}

func orEmpty(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}

// anything draws a value of the type.
func anything(t *rapid.T, of reflect.Type) reflect.Value {
	v := reflect.New(of).Elem()
	switch of {
	case reflect.TypeFor[time.Time]():
		at := time.UnixMicro(rapid.Int64Range(0, 1<<52).Draw(t, "at"))
		v.Set(reflect.ValueOf(at.In(time.FixedZone("", 3600*rapid.IntRange(-11, 11).Draw(t, "zone")))))
		return v
	case reflect.TypeFor[decimal.Decimal]():
		v.Set(reflect.ValueOf(decimal.New(rapid.Int64().Draw(t, "cents"), -2)))
		return v
	case reflect.TypeFor[map[string]any]():
		v.Set(reflect.ValueOf(map[string]any{"a": rapid.String().Draw(t, "member"), "b": []any{"c", true, nil, map[string]any{}}}))
		return v
	}
	switch of.Kind() {
	case reflect.Struct:
		for i := range of.NumField() {
			v.Field(i).Set(anything(t, of.Field(i).Type))
		}
		if of == reflect.TypeFor[plainRefusal]() {
			v.FieldByName("Code").SetString(rapid.SampledFrom([]string{"SOLD_OUT", "HOLD_EXPIRED", "INTERNAL", "TOKEN_SPENT", "HOLD_SHORT", "PAYMENT_KEY_NEEDED", "ANOTHER"}).Draw(t, "code"))
		}
	case reflect.Pointer:
		if rapid.Bool().Draw(t, "null") {
			return v
		}
		v.Set(reflect.New(of.Elem()))
		v.Elem().Set(anything(t, of.Elem()))
	case reflect.Slice:
		for range rapid.IntRange(0, 2).Draw(t, "items") {
			v = reflect.Append(v, anything(t, of.Elem()))
		}
	case reflect.Map:
		v.Set(reflect.ValueOf(map[string][]int8{"x": {1}, rapid.String().Draw(t, "name"): {}}))
	case reflect.String:
		v.SetString(rapid.String().Draw(t, "text"))
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "bool"))
	default:
		v.SetInt(rapid.Int64Range(-1<<(of.Bits()-1)/1_000_000, 1<<(of.Bits()-1)/1_000_001).Draw(t, "number"))
	}
	return v
}

// lacking is a JSON value of which members are missing, null or empty lists.
func lacking(t *rapid.T, v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = lacking(t, v[i])
		}
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			switch rapid.IntRange(0, 19).Draw(t, name) {
			case 0:
				delete(v, name)
			case 1:
				v[name] = nil
			default:
				v[name] = lacking(t, v[name])
			}
			if _, list := v[name].([]any); list && rapid.IntRange(0, 9).Draw(t, name) == 0 {
				v[name] = []any{}
			}
		}
	}
	return v
}

func TestAnswersAreReadAsTheLibraryReadsThem(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		whole, err := json.Marshal(anything(t, reflect.TypeFor[plainOutcome]()).Interface())
		if err != nil {
			t.Fatal(err)
		}
		decoder := json.NewDecoder(bytes.NewReader(whole))
		decoder.UseNumber()
		var drawn any
		if err := decoder.Decode(&drawn); err != nil {
			t.Fatal(err)
		}
		text, err := json.MarshalIndent(lacking(t, drawn), "", rapid.SampledFrom([]string{"", " "}).Draw(t, "indent"))
		if err != nil {
			t.Fatal(err)
		}
		var plain plainOutcome
		if err := json.Unmarshal(text, &plain); err != nil {
			t.Fatal(err)
		}
		got, err := decodeOutcome(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if want := plain.domain(); !reflect.DeepEqual(got, want) {
			t.Fatalf("%s\nis read as %+v\nand the library has %+v", text, got, want)
		}
	})
}

// An answer that is not what it should be is a fault of ours, and never a booking with a hole in it.
func TestAnswersThatAreNone(t *testing.T) {
	const good = `{"booking":{"id":1,"total":"1.5","status":"INIT","createdAt":"2026-01-01T00:00:00Z","payments":[]},"created":true,"error":{"members":{}},"sending":[]}`
	if _, err := decodeOutcome([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for _, change := range [][2]string{
		{good, ""}, {good, "7"}, {good, "[]"}, {good, good + "x"}, {"true", "tru"}, {"true", `"true"`}, {"true", "1"},
		{`"id":1`, `"id":"1"`}, {`"id":1`, `"id":1.0`}, {`"id":1`, `"id":9223372036854775808`}, {`"id":1`, `"id":{}`},
		{`"1.5"`, "1.5"}, {`"1.5"`, "true"}, {`"1.5"`, `""`}, {`"INIT"`, "1"}, {`"INIT"`, "{}"}, {"2026-01-01T", "2026-13-01T"},
		{`"2026-01-01T00:00:00Z"`, "7"}, {`"2026-01-01T00:00:00Z"`, `""`}, {`"payments":[]`, `"payments":{}`}, {`"payments":[]`, `"payments":[1]`},
		{`"members":{}`, `"members":[]`}, {`"sending":[]`, `"sending":[[]]`}, {`"booking":`, `"intent":1,"booking":`}, {`"id":1,`, `"id":1`},
	} {
		text := strings.Replace(good, change[0], change[1], 1)
		if _, err := decodeOutcome([]byte(text)); !errors.Is(err, booking.ErrInternal) {
			t.Errorf("%s: %v", text, err)
		}
	}
	const token = `{"booking":{"id":{"holdToken":"secret"}}}`
	if _, err := decodeOutcome([]byte(token)); err == nil || !strings.Contains(err.Error(), `"id" is no integer`) || strings.Contains(err.Error(), "secret") {
		t.Errorf("%v", err)
	}
}
