package stacktest

import (
	"encoding/base64"
	"fmt"
	"strings"
)

// encoded is the body in base64, as the gateway sends what it takes for binary.
func encoded(body string) func(object) {
	return func(ev object) {
		ev["body"], ev["isBase64Encoded"] = base64.StdEncoding.EncodeToString([]byte(body)), true
	}
}

// sized is a body of soldOut with so many bytes in all.
func sized(n int) string { return strings.Repeat(" ", n-len(soldOut)) + soldOut }

func typed(media any) func(object)    { return with("headers.content-type", media) }
func coding(name string) func(object) { return with("headers.content-encoding", name) }

// Size, base64, Content-Type and Content-Encoding.
var mediaEdges = []edge{
	{"16 KiB", event(reserving, sized(16<<10)), noneLeft},
	{"a byte more", event(reserving, sized(16<<10+1)), tooLarge},
	{"a byte more that is no JSON", event(reserving, strings.Repeat("[", 16<<10+1)), tooLarge},
	{"16 KiB in characters of two bytes", event(reserving, `"`+strings.Repeat("ä", 8<<10)+`"`), tooLarge},
	{"16 KiB in base64", event(reserving, "", encoded(sized(16<<10))), noneLeft},
	{"a byte more in base64", event(reserving, "", encoded(sized(16<<10+1))), tooLarge},
	{"two bytes more in base64", event(reserving, "", encoded(sized(16<<10+2))), tooLarge},
	{"three bytes more in base64", event(reserving, "", encoded(sized(16<<10+3))), tooLarge},
	{"1 MB in base64", event(reserving, "", encoded(sized(1<<20))), tooLarge},
	{"1 MB that is no base64", event(reserving, strings.Repeat("!", 1<<20), with("isBase64Encoded", true)), tooLarge},
	{"1 MB to complete", event(completing, strings.Repeat("x", 1<<20)), tooLarge},
	{"1 MB to cancel", event(cancelling, strings.Repeat("x", 1<<20)), tooLarge},
	{"1 MB to register", event(registering, strings.Repeat("x", 1<<20)), tooLarge},
	{"1 MB to approve", event(approving, strings.Repeat("x", 1<<20)), tooLarge},
	{"base64", event(reserving, "", encoded(soldOut)), noneLeft},
	{"base64 of nothing", event(completing, "", with("isBase64Encoded", true)), unpaid},
	{"base64 of nothing but a newline", event(completing, "\n", with("isBase64Encoded", true)), badJSON},
	{"no base64", event(reserving, "%%%", with("isBase64Encoded", true)), badJSON},
	{"base64 without padding", event(reserving, "eyJwcm9kdWN0SWQiOjV9eA", with("isBase64Encoded", true)), badJSON},
	{"base64 of the URL's alphabet", event(reserving, "_-_-", with("isBase64Encoded", true)), badJSON},
	{"base64 that nobody announced", event(reserving, "eyJwcm9kdWN0SWQiOjV9"), badJSON},
	{"JSON announced as base64", event(reserving, soldOut, with("isBase64Encoded", true)), badJSON},
	{"base64 of bad UTF-8", event(reserving, "", encoded("{\"productId\xff\":5}")), badJSON},
	{"base64 of gzip", event(reserving, "", encoded("\x1f\x8b\x08\x00\x00\x00")), badJSON},

	{"a type in capitals", event(reserving, soldOut, typed("APPLICATION/JSON")), noneLeft},
	{"charset utf-8", event(reserving, soldOut, typed("application/json; charset=utf-8")), noneLeft},
	{"charset UTF-8 in quotes", event(reserving, soldOut, typed(`application/json;charset="UTF-8"`)), noneLeft},
	{"another parameter", event(reserving, soldOut, typed("application/json; profile=x")), noneLeft},
	{"blanks about the type", event(reserving, soldOut, typed(" application/json \t")), noneLeft},
	{"a header's name in capitals", event(reserving, soldOut, without("headers.content-type"), with("headers.CONTENT-TYPE", "application/json")), noneLeft},
	{"no type", event(reserving, soldOut, without("headers.content-type")), badType},
	{"an empty type", event(reserving, soldOut, typed("")), badType},
	{"a type that is null", event(reserving, soldOut, typed(nil)), badType},
	{"a type that is a number", event(reserving, soldOut, typed(5)), badType},
	{"a list of types", event(reserving, soldOut, typed([]string{"application/json"})), badType},
	{"text", event(reserving, soldOut, typed("text/plain")), badType},
	{"text/json", event(reserving, soldOut, typed("text/json")), badType},
	{"a form", event(reserving, "productId=5", typed("application/x-www-form-urlencoded")), badType},
	{"parts of a form", event(reserving, soldOut, typed("multipart/form-data; boundary=x")), badType},
	{"a problem", event(reserving, soldOut, typed("application/problem+json")), badType},
	{"a merge patch", event(reserving, soldOut, typed("application/merge-patch+json")), badType},
	{"JSON with a longer name", event(reserving, soldOut, typed("application/jsonx")), badType},
	{"JSON by the line", event(reserving, soldOut, typed("application/json-seq")), badType},
	{"any type", event(reserving, soldOut, typed("*/*")), badType},
	{"half a type", event(reserving, soldOut, typed("application/")), badType},
	{"latin-1", event(reserving, soldOut, typed("application/json; charset=iso-8859-1")), badType},
	{"utf-16", event(reserving, soldOut, typed("application/json; charset=utf-16")), badType},
	{"an empty charset", event(reserving, soldOut, typed("application/json; charset=")), badType},
	{"two charsets", event(reserving, soldOut, typed("application/json; charset=utf-8; charset=latin1")), badType},
	{"two types in one header", event(reserving, soldOut, typed("application/json, application/json")), badType},
	{"two types joined by the gateway", event(reserving, soldOut, typed("application/json,text/plain")), badType},
	{"two spellings of the header", event(reserving, soldOut, with("headers.Content-Type", "application/json")), badType},
	{"a type for no body", event(completing, "", typed("text/plain")), unpaid},
	{"no type for no body", event(completing, "", without("headers.content-type")), unpaid},
	{"a wrong type to register", event(registering, oneCent, typed("text/plain")), badType},
	{"a wrong type to approve", event(approving, "{}", typed("text/plain")), badType},
	{"a wrong type to complete", event(completing, "{}", typed("text/plain")), badType},
	{"a wrong type to cancel", event(cancelling, "{}", typed("text/plain")), badType},

	{"identity", event(reserving, soldOut, coding("identity")), noneLeft},
	{"Identity", event(reserving, soldOut, coding("Identity")), noneLeft},
	{"an empty coding", event(reserving, soldOut, coding("")), noneLeft},
	{"gzip", event(reserving, "", encoded("\x1f\x8b\x08\x00"), coding("gzip")), badType},
	{"gzip that is JSON", event(reserving, soldOut, coding("gzip")), badType},
	{"gzip of nothing", event(completing, "", coding("gzip")), badType},
	{"deflate", event(reserving, soldOut, coding("deflate")), badType},
	{"br", event(reserving, soldOut, coding("br")), badType},
	{"zstd to approve", event(approving, "{}", coding("zstd")), badType},
	{"identity and gzip", event(reserving, soldOut, coding("identity, gzip")), badType},
	{"gzip in capitals of the name", event(reserving, soldOut, with("headers.Content-Encoding", "gzip")), badType},
	{"an unknown coding", event(reserving, soldOut, coding("x")), badType},
}

// What is JSON, and what is only nearly so.
var bodyEdges = []edge{
	{"blanks around", event(reserving, " \t\r\n"+soldOut+"\n"), noneLeft},
	{"an escaped name", event(reserving, `{"\u0070roductId":5}`), noneLeft},
	{"nothing", event(reserving, ""), missingRoom},
	{"a blank", event(reserving, " "), badJSON},
	{"a bracket behind", event(reserving, soldOut+"]"), badJSON},
	{"a brace behind", event(reserving, soldOut+"}"), badJSON},
	{"a value behind", event(reserving, soldOut+soldOut), badJSON},
	{"a word behind", event(reserving, soldOut+"null"), badJSON},
	{"a comma behind", event(reserving, soldOut+","), badJSON},
	{"a comment behind", event(reserving, soldOut+"//"), badJSON},
	{"a comment within", event(reserving, `{/**/"productId":5}`), badJSON},
	{"a comma before the end", event(reserving, `{"productId":5,}`), badJSON},
	{"a comma at the beginning", event(reserving, `{,"productId":5}`), badJSON},
	{"no colon", event(reserving, `{"productId" 5}`), badJSON},
	{"no comma", event(reserving, `{"productId":5 "x":1}`), badJSON},
	{"no end", event(reserving, `{"productId":5`), badJSON},
	{"no end of a string", event(reserving, `{"productId`), badJSON},
	{"the wrong end", event(reserving, `{"productId":5]`), badJSON},
	{"a bare name", event(reserving, `{productId:5}`), badJSON},
	{"single quotes", event(reserving, `{'productId':5}`), badJSON},
	{"a NUL behind", event(reserving, soldOut+"\x00"), badJSON},
	{"a NUL before", event(reserving, "\x00"+soldOut), badJSON},
	{"a NUL in a name", event(reserving, "{\"product\x00Id\":5}"), badJSON},
	{"a newline in a string", event(reserving, "{\"product\nId\":5}"), badJSON},
	{"a tab in a string", event(approving, "{\"paymentKey\":\"a\tb\"}"), badJSON},
	{"a byte order mark", event(reserving, "\ufeff"+soldOut), badJSON},
	{"a no-break space", event(reserving, "\u00a0"+soldOut), badJSON},
	{"a form feed", event(reserving, "\f"+soldOut), badJSON},
	{"bad UTF-8", event(reserving, "", encoded("{\"productId\":5,\"\xff\":1}")), badJSON},
	{"UTF-8 that is too long", event(reserving, "", encoded("{\"\xc0\x80\":5}")), badJSON},
	{"a surrogate in UTF-8", event(reserving, "", encoded("{\"\xed\xa0\x80\":5}")), badJSON},
	{"UTF-16", event(reserving, "", encoded("{\x00\"\x00}\x00")), badJSON},
	{"half a surrogate pair", event(reserving, `{"\ud800":5}`), badJSON},
	{"the other half", event(reserving, `{"\udc00":5}`), badJSON},
	{"a pair the wrong way round", event(reserving, `{"\udc00\ud800":5}`), badJSON},
	{"half a pair in a value", event(approving, `{"paymentKey":"\ud800"}`), badJSON},
	{"half a pair where nobody looks", event(reserving, `{"x":["\ud800"]}`), badJSON},
	{"an unknown escape", event(reserving, `{"\x70roductId":5}`), badJSON},
	{"a short escape", event(reserving, `{"\u00":5}`), badJSON},
	{"null", event(reserving, "null"), "400 INVALID_REQUEST  INVALID_TYPE"},
	{"an array", event(reserving, "[]"), "400 INVALID_REQUEST  INVALID_TYPE"},
	{"an object in an array", event(reserving, "["+soldOut+"]"), "400 INVALID_REQUEST  INVALID_TYPE"},
	{"a string", event(reserving, `"x"`), "400 INVALID_REQUEST  INVALID_TYPE"},
	{"a string of JSON", event(reserving, `"{\"productId\":5}"`), "400 INVALID_REQUEST  INVALID_TYPE"},
	{"a number", event(reserving, "5"), "400 INVALID_REQUEST  INVALID_TYPE"},
	{"true", event(reserving, "true"), "400 INVALID_REQUEST  INVALID_TYPE"},
	{"null to complete", event(completing, "null"), "400 INVALID_REQUEST  INVALID_TYPE"},
	{"an array to cancel", event(cancelling, "[]"), "400 INVALID_REQUEST  INVALID_TYPE"},
	{"a string to approve", event(approving, `""`), "400 INVALID_REQUEST  INVALID_TYPE"},
	{"an array to register", event(registering, "[]"), "400 INVALID_REQUEST  INVALID_TYPE"},
	{"an empty object to complete", event(completing, "{}"), unpaid},
	{"blanks in an object to complete", event(completing, " {\n} "), unpaid},
	{"an empty object to cancel", event(cancelling, "{}", byStranger), notTheirs},
	{"nothing to cancel", event(cancelling, "", byStranger), notTheirs},
	{"8 deep", event(reserving, `{"productId":`+nest(7)+`}`), "400 INVALID_REQUEST /productId INVALID_TYPE"},
	{"9 deep", event(reserving, `{"productId":`+nest(8)+`}`), "400 INVALID_REQUEST /productId/0/0/0/0/0/0/0 TOO_DEEP"},
	{"8,000 deep", event(reserving, nest(8000)), "400 INVALID_REQUEST /0/0/0/0/0/0/0/0 TOO_DEEP"},
	{"8,000 deep and no end", event(reserving, strings.Repeat("[", 8000)), badJSON},
	{"8,000 objects deep and no end", event(reserving, strings.Repeat(`{"":`, 4000)), badJSON},
	{"a string of 16,000", event(reserving, `"`+strings.Repeat("x", 16000)+`"`), "400 INVALID_REQUEST  INVALID_TYPE"},
}

// repeated is n members, name0 to name<n-1>, and pointers what an answer tells of them.
func repeated(name string, n int) string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf(`"%s%d":0`, name, i))
	}
	return strings.Join(list, ",")
}

func pointers(name string, n int) string {
	text := ""
	for i := range n {
		text += fmt.Sprintf(" /%s%d", name, i)
	}
	return text
}

func nest(depth int) string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) }

// Members: which there may be, once, and of what type.
var memberEdges = []edge{
	{"unknown", event(reserving, `{"productId":5,"userId":7}`), "400 UNKNOWN_FIELD /userId"},
	{"unknown beside a room that is free", event(reserving, `{"productId":1,"userId":8}`), "400 UNKNOWN_FIELD /userId"},
	{"a room that is free, twice", event(reserving, `{"productId":1,"productId":1}`), "400 DUPLICATE_FIELD /productId"},
	{"a room that is free, and a bracket", event(reserving, `{"productId":1}]`), badJSON},
	{"a room that is free, in text", event(reserving, `{"productId":1}`, typed("text/plain")), badType},
	{"a room that is free, under a bad key", event(reserving, `{"productId":1}`, with("headers.idempotency-key", "a,b")), badKey},
	{"unknown alone", event(reserving, `{"room":5}`), "400 UNKNOWN_FIELD /room"},
	{"two that are unknown", event(reserving, `{"productId":5,"a":1,"b":2}`), "400 UNKNOWN_FIELD /a /b"},
	{"twenty that are unknown", event(reserving, "{"+repeated("a", 20)+"}"), "400 UNKNOWN_FIELD" + pointers("a", 16)},
	{"a capital", event(reserving, `{"ProductId":5}`), "400 UNKNOWN_FIELD /ProductId"},
	{"capitals", event(reserving, `{"productID":5}`), "400 UNKNOWN_FIELD /productID"},
	{"a letter that folds", event(registering, `{"payment\u017f":[]}`), "400 UNKNOWN_FIELD /paymentſ"},
	{"an empty name", event(reserving, `{"productId":5,"":1}`), "400 UNKNOWN_FIELD /"},
	{"a blank in the name", event(reserving, `{"productId ":5}`), "400 UNKNOWN_FIELD /productId "},
	{"a NUL in the name", event(reserving, `{"productId\u0000":5}`), "400 UNKNOWN_FIELD /productId\x00"},
	{"a slash and a tilde", event(reserving, `{"a/b~c":5}`), "400 UNKNOWN_FIELD /a~1b~0c"},
	{"markup", event(reserving, `{"<script>":5}`), "400 UNKNOWN_FIELD /<script>"},
	{"__proto__", event(reserving, `{"productId":5,"__proto__":{}}`), "400 UNKNOWN_FIELD /__proto__"},
	{"twice", event(reserving, `{"productId":5,"productId":5}`), "400 DUPLICATE_FIELD /productId"},
	{"twice, once escaped", event(reserving, `{"productId":5,"\u0070roductId":5}`), "400 DUPLICATE_FIELD /productId"},
	{"twice and unknown", event(reserving, `{"x":5,"x":5}`), "400 DUPLICATE_FIELD /x"},
	{"twice further in", event(reserving, `{"x":{"y":1,"y":1}}`), "400 DUPLICATE_FIELD /x/y"},
	{"twice in an array", event(reserving, `{"x":[0,{"y":1,"y":1}]}`), "400 DUPLICATE_FIELD /x/1/y"},
	{"twice behind a thousand", event(reserving, "{"+repeated("a", 1000)+`,"a0":0}`), "400 DUPLICATE_FIELD /a0"},
	{"twice with another type", event(reserving, `{"productId":5,"productId":null}`), "400 DUPLICATE_FIELD /productId"},
	{"none", event(reserving, `{}`), missingRoom},
	{"something to complete", event(completing, `{"bookingId":1}`), "400 UNKNOWN_FIELD /bookingId"},
	{"something to cancel", event(cancelling, `{"reason":"x"}`), "400 UNKNOWN_FIELD /reason"},
	{"twice to complete", event(completing, `{"a":1,"a":2}`), "400 DUPLICATE_FIELD /a"},

	{"no payments", event(registering, ""), "400 INVALID_REQUEST /payments REQUIRED"},
	{"null payments", event(registering, `{"payments":null}`), "400 INVALID_REQUEST /payments INVALID_TYPE"},
	{"payments in an object", event(registering, `{"payments":{}}`), "400 INVALID_REQUEST /payments INVALID_TYPE"},
	{"payments in a string", event(registering, `{"payments":"CARD"}`), "400 INVALID_REQUEST /payments INVALID_TYPE"},
	{"an empty set", event(registering, `{"payments":[]}`), "400 INVALID_REQUEST /payments OUT_OF_RANGE"},
	{"nine payments", event(registering, payments(strings.TrimSuffix(strings.Repeat(pay("CARD", "1")+",", 9), ","))), "400 INVALID_REQUEST /payments OUT_OF_RANGE"},
	{"five thousand payments", event(registering, payments(strings.TrimSuffix(strings.Repeat("{},", 5000), ","))), "400 INVALID_REQUEST /payments OUT_OF_RANGE"},
	{"a payment of null", event(registering, payments("null")), "400 INVALID_REQUEST /payments/0 INVALID_TYPE"},
	{"a payment of an array", event(registering, payments("[]")), "400 INVALID_REQUEST /payments/0 INVALID_TYPE"},
	{"an empty payment", event(registering, payments("{}")), "400 INVALID_REQUEST /payments/0/method REQUIRED /payments/0/amount REQUIRED"},
	{"no method", event(registering, payments(`{"amount":1}`)), "400 INVALID_REQUEST /payments/0/method REQUIRED"},
	{"no amount", event(registering, payments(`{"method":"CARD"}`)), "400 INVALID_REQUEST /payments/0/amount REQUIRED"},
	{"an unknown member of a payment", event(registering, payments(`{"method":"CARD","amount":1,"orderId":"x"}`)), "400 UNKNOWN_FIELD /payments/0/orderId"},
	{"a capital in a payment", event(registering, payments(`{"Method":"CARD","amount":1}`)), "400 UNKNOWN_FIELD /payments/0/Method"},
	{"an amount twice", event(registering, payments(`{"method":"CARD","amount":1,"amount":2}`)), "400 DUPLICATE_FIELD /payments/0/amount"},
	{"faults of two payments", event(registering, payments(`{"method":7,"amount":1},{"method":"CARD"}`)), "400 INVALID_REQUEST /payments/0/method INVALID_TYPE /payments/1/amount REQUIRED"},
	{"a method in small letters", event(registering, payments(pay("card", "1"))), "400 INVALID_METHOD /payments/0/method"},
	{"a foreign method", event(registering, payments(pay("CASH", "1"))), "400 INVALID_METHOD /payments/0/method"},
	{"an empty method", event(registering, payments(pay("", "1"))), "400 INVALID_METHOD /payments/0/method"},
	{"a method with a blank", event(registering, payments(pay("CARD ", "1"))), "400 INVALID_METHOD /payments/0/method"},
	{"a method with a NUL", event(registering, payments(`{"method":"CARD\u0000","amount":1}`)), "400 INVALID_METHOD /payments/0/method"},
	{"a method in full width", event(registering, payments(pay("ＣＡＲＤ", "1"))), "400 INVALID_METHOD /payments/0/method"},
	{"a method of null", event(registering, payments(`{"method":null,"amount":1}`)), "400 INVALID_REQUEST /payments/0/method INVALID_TYPE"},
	{"a method of true", event(registering, payments(`{"method":true,"amount":1}`)), "400 INVALID_REQUEST /payments/0/method INVALID_TYPE"},
	{"a method twice", event(registering, payments(pay("CARD", "1")+","+pay("CARD", "1"))), "400 DUPLICATE_METHOD /payments/1/method"},
	{"a method twice, once escaped", event(registering, payments(pay("CARD", "1")+`,{"method":"C\u0041RD","amount":1}`)), "400 DUPLICATE_METHOD /payments/1/method"},
	{"card and ypay", event(registering, payments(pay("CARD", "1")+","+pay("YPAY", "1"))), "422 METHOD_COMBINATION (database)"},
	{"all three", event(registering, payments(pay("CARD", "1")+","+pay("YPAY", "1")+","+pay("POINT", "1"))), "422 METHOD_COMBINATION (database)"},
	{"a set of somebody else's booking", event(registering, oneCent, byStranger), notTheirs},

	{"no paymentKey", event(approving, ""), unpaid},
	{"a paymentKey", event(approving, `{"paymentKey":"ok-1_=Z"}`), unpaid},
	{"a paymentKey of 200", event(approving, paymentKey(strings.Repeat("k", 200))), unpaid},
	{"a paymentKey of 201", event(approving, paymentKey(strings.Repeat("k", 201))), wrongKey},
	{"an empty paymentKey", event(approving, paymentKey("")), wrongKey},
	{"a paymentKey with a slash", event(approving, paymentKey("a/../b")), wrongKey},
	{"a paymentKey with a blank", event(approving, paymentKey("a b")), wrongKey},
	{"a paymentKey with a newline", event(approving, paymentKey(`a\nb`)), wrongKey},
	{"a paymentKey with a NUL", event(approving, paymentKey(`a\u0000`)), wrongKey},
	{"a paymentKey with an umlaut", event(approving, paymentKey("ä")), wrongKey},
	{"a paymentKey with a plus", event(approving, paymentKey("a+b")), wrongKey},
	{"a paymentKey with a per cent", event(approving, paymentKey("%2e%2e")), wrongKey},
	{"a paymentKey of null", event(approving, `{"paymentKey":null}`), "400 INVALID_REQUEST /paymentKey INVALID_TYPE"},
	{"a paymentKey of a number", event(approving, `{"paymentKey":1}`), "400 INVALID_REQUEST /paymentKey INVALID_TYPE"},
	{"a paymentKey in an array", event(approving, `{"paymentKey":["k"]}`), "400 INVALID_REQUEST /paymentKey INVALID_TYPE"},
	{"a paymentKey twice", event(approving, `{"paymentKey":"a","paymentKey":"b"}`), "400 DUPLICATE_FIELD /paymentKey"},
	{"a paymentKey in capitals", event(approving, `{"PaymentKey":"a"}`), "400 UNKNOWN_FIELD /PaymentKey"},
	{"an orderId to approve", event(approving, `{"orderId":"a"}`), "400 UNKNOWN_FIELD /orderId"},
	{"an amount to approve", event(approving, `{"paymentKey":"a","amount":1}`), "400 UNKNOWN_FIELD /amount"},
}

const wrongKey = "400 INVALID_REQUEST /paymentKey INVALID_VALUE"

func payments(list string) string   { return `{"payments":[` + list + `]}` }
func paymentKey(text string) string { return `{"paymentKey":"` + text + `"}` }
