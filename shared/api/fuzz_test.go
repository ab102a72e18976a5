package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/shopspring/decimal"

	"stayhold/shared/booking"
	"stayhold/shared/servertest"
)

// dear is more of the processor's time than any input may take, on any machine.
const dear = 2 * time.Second

// seeds are the events of the repository.
func seeds(f *testing.F) (list [][]byte) {
	paths, err := filepath.Glob("../../events/*.json")
	if err != nil || len(paths) == 0 {
		f.Fatalf("no sample events: %v", err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		list = append(list, text)
	}
	return list
}

// told are the codes that the edge may answer an event with when no step fails.
var told = []string{
	"INVALID_JSON", "INVALID_REQUEST", "UNKNOWN_FIELD", "DUPLICATE_FIELD", "INVALID_AMOUNT", "INVALID_METHOD", "DUPLICATE_METHOD",
	"INVALID_IDEMPOTENCY_KEY", "UNAUTHENTICATED", "INVALID_SUBJECT", "BOOKING_NOT_FOUND", "PRODUCT_NOT_FOUND", "PAYLOAD_TOO_LARGE",
	"UNSUPPORTED_MEDIA_TYPE",
}

// Whatever the event is, it is read as encoding/json reads it, and its answer is a success of a checked command or one of
// the documented errors.
func FuzzEvent(f *testing.F) {
	for _, seed := range seeds(f) {
		f.Add(seed)
	}
	seed, err := json.Marshal(post(registerPath, pay(`"CARD"`, `"1.00"`), header("idempotency-key", "k")))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add([]byte(`{"requestContext":{"authorizer":{"jwt":{"claims":{"sub":7}}}}}`))
	f.Add([]byte(`{"headers":[],"body":7,"requestContext":{"authorizer":{"jwt":{"claims":{"sub":"7"}}}}}`))
	for _, seed := range strange {
		f.Add([]byte(seed))
	}
	e := New(Options{Recaller: &recaller{}, Log: io.Discard})
	mistaken := func(user, id int64) {
		if user <= 0 || id <= 0 {
			panic("a command that no check let through")
		}
	}
	handlers := []lambda.Handler{
		e.Reserve(func(_ context.Context, r booking.ReserveCommand) (booking.Result, error) {
			mistaken(r.UserID, r.ProductID)
			return booking.Result{}, nil
		}),
		e.Register(func(_ context.Context, r booking.Registration) (booking.Result, error) {
			mistaken(r.UserID, r.BookingID)
			if len(r.Set) == 0 || r.Set.CheckMethods() != nil || !r.Set.Sum().IsPositive() {
				panic("a set that no check let through")
			}
			return booking.Result{}, nil
		}),
		e.Approve(func(_ context.Context, r booking.ApproveCommand) (booking.Result, error) {
			mistaken(r.UserID, r.BookingID)
			return booking.Result{}, nil
		}),
		e.Complete(func(_ context.Context, r booking.CompleteCommand) (booking.Result, error) {
			mistaken(r.UserID, r.BookingID)
			return booking.Result{}, nil
		}),
		e.Query(&reader{}),
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		sameEvent(t, payload)
		servertest.Cost(t, dear, func() {
			for _, h := range handlers {
				a := invoke(t, h, payload)
				if a.Status < 300 || a.Body == `{"message":"Not Found"}` {
					continue
				}
				var p struct{ Code string }
				if json.Unmarshal([]byte(a.Body), &p) != nil || !slices.Contains(told, p.Code) {
					t.Errorf("%d %s", a.Status, a.Body)
				}
			}
		})
	})
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{`{"productId":1}`, `[1,"a",{"b":null}]`, `{"a":{"a":1,"a":2}}`, `"\ud800"`, nested(9), "\xff", `{"a":1}}`,
		"[" + strings.Repeat("[0],", keptItems) + "1]", "[" + strings.Repeat("0,", keptItems) + `{"a":[1],"a":2}]`} {
		f.Add([]byte(seed))
	}
	for _, seed := range seeds(f) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		servertest.Cost(t, dear, func() {
			v, err := parse(body)
			if v == nil && err == nil {
				t.Fatal("neither value nor error")
			}
			if err != nil {
				return
			}
			checkTree(t, v, 0)
			if again, err := parse([]byte(v.written())); err != nil || again.written() != v.written() {
				t.Fatalf("%s is written as %s, and that is read as %v, %v", body, v.written(), again, err)
			}
			if !reflect.DeepEqual(plainly(t, body), plainly(t, []byte(v.written()))) {
				t.Fatalf("%s is written as %s", body, v.written())
			}
		})
	})
}

// plainly is what the standard decoder reads, less the items that parse does not keep.
func plainly(t *testing.T, text []byte) (v any) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return kept(v)
}

func kept(v any) any {
	switch v := v.(type) {
	case []any:
		v = v[:min(len(v), keptItems)]
		for i := range v {
			v[i] = kept(v[i])
		}
		return v
	case map[string]any:
		for name := range v {
			v[name] = kept(v[name])
		}
	}
	return v
}

// written is the value as JSON, from what parse kept of it.
func (v *value) written() string {
	var parts []string
	for i, item := range v.items {
		name := ""
		if v.kind == isObject {
			text, err := marshal(v.names[i])
			if err != nil {
				return err.Error()
			}
			name = string(text) + ":"
		}
		parts = append(parts, name+item.written())
	}
	switch v.kind {
	case isObject:
		return "{" + strings.Join(parts, ",") + "}"
	case isArray:
		return "[" + strings.Join(parts, ",") + "]"
	}
	return v.raw
}

// checkTree holds what the readers of a value rely on.
func checkTree(t *testing.T, v *value, depth int) {
	if depth > maxDepth {
		t.Fatal("too deep")
	}
	if v.kind == isObject && len(v.names) != len(v.items) {
		t.Fatal("a member without a name")
	}
	if v.kind == isString && (len(v.raw) < 2 || v.raw[0] != '"' || v.raw[len(v.raw)-1] != '"') {
		t.Fatalf("string token %q", v.raw)
	}
	if v.kind == isNumber && strings.Trim(v.raw, "0123456789+-.eE") != "" {
		t.Fatalf("number token %q", v.raw)
	}
	for _, item := range v.items {
		checkTree(t, item, depth+1)
	}
}

// contractAmount is the contract's, to the letter.
var contractAmount = regexp.MustCompile(`^(0|[1-9][0-9]{0,12})(\.[0-9]{1,2})?$`)

// An amount is taken exactly when its token is the contract's and not 0, and is then that decimal and no other.
func FuzzAmount(f *testing.F) {
	for _, seed := range []string{`"3000"`, `97000.00`, `0.01`, `"0"`, `"0.00"`, `1e5`, `"01"`, `"1."`, `".5"`, `-1`, `9999999999999.99`, `10000000000000`, `"1\u0030"`, `"NaN"`, `"１"`, `1.005`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		servertest.Cost(t, dear, func() {
			v, err := parse([]byte(`{"amount":` + token + `}`))
			if err != nil || len(v.items) != 1 || v.items[0].raw == "" {
				return
			}
			raw := strings.Trim(v.items[0].raw, `"`)
			exact, ok := new(big.Rat).SetString(raw)
			may := v.items[0].kind == isString || v.items[0].kind == isNumber
			want := may && contractAmount.MatchString(raw) && ok && exact.Sign() > 0
			faults := &faults{}
			got := faults.open(v, "amount").amount("amount", false)
			if taken := faults.err() == nil; taken != want {
				t.Fatalf("%s: taken %v, and the contract says %v", token, taken, want)
			}
			if !want {
				return
			}
			if got.Rat().Cmp(exact) != 0 {
				t.Fatalf("%s was read as %v", token, got)
			}
			if back, err := decimal.NewFromString(money(got)); err != nil || !back.Equal(got) || !contractAmount.MatchString(money(got)) {
				t.Fatalf("%s is shown as %s", token, money(got))
			}
		})
	})
}

// contractKey is a key without its quotes, as the contract has it.
var contractKey = regexp.MustCompile(`^[!-+\--~]{1,255}$`)

// A key that is taken is of the contract's form, and quoting it changes nothing.
func FuzzIdempotencyKey(f *testing.F) {
	for _, seed := range []string{"abc", `"abc"`, "  abc  ", `a"b`, "", `""`, "a,b", `"a\"`, "a\x00", "ä", strings.Repeat("k", 255), strings.Repeat("k", 256)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		servertest.Cost(t, dear, func() {
			of := func(text string) (string, error) {
				return event{headers: members{{name: "Idempotency-Key", text: text}}}.key()
			}
			key, err := of(header)
			bare := strings.Trim(header, " \t")
			if err != nil {
				if !errors.Is(err, booking.ErrInvalidIdempotencyKey) || contractKey.MatchString(bare) && bare[0] != '"' {
					t.Fatalf("%q is refused: %v", header, err)
				}
				return
			}
			if !contractKey.MatchString(key) || key != bare && `"`+key+`"` != bare {
				t.Fatalf("%q is the key %q", header, key)
			}
			if again, err := of(`"` + key + `"`); !strings.ContainsAny(key, `"\`) && (err != nil || again != key) {
				t.Fatalf("%q in quotes is %q, %v", key, again, err)
			}
		})
	})
}

// A cursor that is taken is the one that is written for its id.
func FuzzCursor(f *testing.F) {
	for _, seed := range []string{"1", "0", "-1", "+1", "01", "9223372036854775807", "9223372036854775808", "1e3", "", " 1", "１", "1,2"} {
		f.Add(seed, int64(len(seed)))
	}
	f.Fuzz(func(t *testing.T, text string, id int64) {
		read := func(text string) (booking.Page, error) {
			f := &faults{}
			page := event{parameters: members{{name: "cursor", text: text}}}.page(f)
			return page, f.err()
		}
		if page, err := read(text); err == nil && (page.Cursor < 1 || *cursor(page.Cursor) != text || page.Limit != defaultLimit) {
			t.Fatalf("%q is read as %+v", text, page)
		}
		if id <= 0 {
			if _, err := read(strconv.FormatInt(id, 10)); err == nil {
				t.Fatalf("%d is a cursor", id)
			}
			return
		}
		if page, err := read(*cursor(id)); err != nil || page.Cursor != id {
			t.Fatalf("the cursor of %d is read as %+v, %v", id, page, err)
		}
	})
}
