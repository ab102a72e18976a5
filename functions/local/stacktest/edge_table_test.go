package stacktest

import (
	"fmt"
	"net/url"
	"strings"
)

// amountEdges are the spellings of money, each as a JSON string and as a JSON number. Those that are taken come to another
// sum than the booking's.
func amountEdges() []edge {
	const refused, wrong = "400 INVALID_AMOUNT /payments/0/amount", "400 INVALID_REQUEST /payments/0/amount INVALID_TYPE"
	var all []edge
	for _, c := range []struct{ token, asString, asNumber string }{
		{"1", wrongSum, wrongSum},
		{"100000.01", wrongSum, wrongSum},
		{"0.01", wrongSum, wrongSum},
		{"0.1", wrongSum, wrongSum},
		{"0.10", wrongSum, wrongSum},
		{"9999999999999", wrongSum, wrongSum},
		{"9999999999999.99", wrongSum, wrongSum},
		{"10000000000000", refused, refused},
		{"99999999999999.99", refused, refused},
		{"0", refused, refused},
		{"0.0", refused, refused},
		{"0.00", refused, refused},
		{"-0", refused, refused},
		{"-0.00", refused, refused},
		{"-5", refused, refused},
		{"00", refused, badJSON},
		{"05", refused, badJSON},
		{"00.5", refused, badJSON},
		{"+5", refused, badJSON},
		{".5", refused, badJSON},
		{"5.", refused, badJSON},
		{"5.000", refused, refused},
		{"5.001", refused, refused},
		{"0.001", refused, refused},
		{"5.0.0", refused, badJSON},
		{".", refused, badJSON},
		{"-", refused, badJSON},
		{"5e0", refused, refused},
		{"5E2", refused, refused},
		{"5e-1", refused, refused},
		{"1e309", refused, refused},
		{"1e-309", refused, refused},
		{"1e999999999", refused, refused},
		{"5e", refused, badJSON},
		{"1_000", refused, badJSON},
		{"1,000", refused, badJSON},
		{"1 000", refused, badJSON},
		{"0x10", refused, badJSON},
		{"0b1", refused, badJSON},
		{"5f", refused, badJSON},
		{"5.00 KRW", refused, badJSON},
		{"NaN", refused, badJSON},
		{"nan", refused, badJSON},
		{"Infinity", refused, badJSON},
		{"-Infinity", refused, badJSON},
		{"inf", refused, badJSON},
		{"null", refused, wrong},
		{"true", refused, wrong},
		{"", refused, badJSON},
		{"−5", refused, badJSON}, // U+2212
		{"５", refused, badJSON},
		{"٥", refused, badJSON},
		{"½", refused, badJSON},
		{"5．00", refused, badJSON},
		{"\u200b5", refused, badJSON},
		{strings.Repeat("9", 14), refused, refused},
		{strings.Repeat("9", 16000), refused, refused},
		{"0." + strings.Repeat("0", 16000) + "1", refused, refused},
		{"1e" + strings.Repeat("9", 16000), refused, refused},
		{strings.Repeat("9", 2_000_000), tooLarge, tooLarge},
		{" 5", refused, wrongSum}, // blanks between tokens are no part of a number
		{"5 ", refused, wrongSum},
	} {
		all = append(all,
			edge{named("a string of " + c.token), event(registering, payments(`{"method":"CARD","amount":"`+c.token+`"}`)), c.asString},
			edge{named("a number of " + c.token), event(registering, payments(`{"method":"CARD","amount":`+c.token+`}`)), c.asNumber},
		)
	}
	for _, c := range []struct{ token, want string }{
		{`"5\u0000"`, refused}, {`"\u00005"`, refused}, {`"\u0035"`, refused}, {`"5\n"`, refused}, {`"5\u002e00"`, refused}, {`"\\5"`, refused},
		{"\"5\x00\"", badJSON}, {"5\x00", badJSON}, {`"\ud800"`, badJSON}, {`["5"]`, wrong}, {`{"value":"5"}`, wrong}, {`[]`, wrong}, {`""""`, badJSON},
	} {
		all = append(all, edge{fmt.Sprintf("an amount of %q", c.token), event(registering, payments(`{"method":"CARD","amount":`+c.token+`}`)), c.want})
	}
	return append(all,
		edge{"every amount that is wrong", event(registering, payments(pay("CARD", "0")+","+pay("POINT", "1")+","+pay("YPAY", "-1"))), "400 INVALID_AMOUNT /payments/0/amount /payments/2/amount"},
		edge{"an amount that is wrong beside a wrong method", event(registering, payments(pay("CASH", "0"))), "400 INVALID_AMOUNT /payments/0/amount"},
		edge{"an amount that is wrong beside a method twice", event(registering, payments(pay("CARD", "0")+","+pay("CARD", "1"))), "400 INVALID_AMOUNT /payments/0/amount"},
		edge{"an amount that is wrong beside a wrong type", event(registering, payments(`{"method":1,"amount":0}`)), "400 INVALID_REQUEST /payments/0/method INVALID_TYPE"},
		edge{"a sum of two that is wrong", event(registering, payments(pay("CARD", "50000")+","+pay("POINT", "49999.99"))), wrongSum},
	)
}

// named is a case's name when it is not too long for one.
func named(text string) string {
	if len(text) > 100 {
		return fmt.Sprintf("%.40s… (%d)", text, len(text))
	}
	return text
}

// keyEdges are the forms of Idempotency-Key, on a request that leaves its key free.
func keyEdges() []edge {
	long := strings.Repeat("k", 255)
	all := []edge{
		{"a key on another route, register", event(registering, oneCent, with("headers.idempotency-key", "a,b")), badKey},
		{"a key on another route, approve", event(approving, "", with("headers.idempotency-key", "a,b")), badKey},
		{"a key on another route, cancel", event(cancelling, "", with("headers.idempotency-key", "a,b")), badKey},
		{"a key on another route, reserve", event(reserving, soldOut, with("headers.idempotency-key", "a,b")), badKey},
		{"two spellings of the header", event(completing, "", with("headers.idempotency-key", "a"), with("headers.Idempotency-Key", "a")), badKey},
		{"the header in capitals", event(completing, "", with("headers.IDEMPOTENCY-KEY", "a b")), badKey},
		{"a bad key that a read does not look at", event(points, "", with("headers.idempotency-key", "a,b")), served},
	}
	for _, c := range []struct {
		key  any
		want string
	}{
		{"k", unpaid}, {"!", unpaid}, {"~", unpaid}, {long, unpaid}, {`"k"`, unpaid}, {`"` + long + `"`, unpaid}, {" k ", unpaid}, {"a;b", unpaid},
		{"8e03978e-40d5-43e8-bc93-6894a57f9324", unpaid}, {"'k'", unpaid}, {"(k)", unpaid},
		{"", badKey}, {" ", badKey}, {`""`, badKey}, {`"`, badKey}, {`"k`, badKey}, {`"k""`, badKey}, {`"k\"`, badKey}, {`"a\"b"`, badKey}, {long + "k", badKey},
		{`"` + long + `k"`, badKey}, {"a,b", badKey}, {`"a,b"`, badKey}, {",", badKey}, {"a b", badKey}, {`"a b"`, badKey}, {`" k"`, badKey}, {"a\tb", badKey},
		{"a\x00", badKey}, {"a\x1f", badKey}, {"a\x7f", badKey}, {"a\r\nb", badKey}, {"ä", badKey}, {"ｋ", badKey}, {"\u200bk", badKey}, {5, badKey}, {true, badKey},
		{[]string{"k"}, badKey},
	} {
		all = append(all, edge{named(fmt.Sprintf("the key %T %q", c.key, fmt.Sprint(c.key))), event(completing, "", with("headers.idempotency-key", c.key)), c.want})
	}
	return all
}

// listEdges are the parameters of the lists: in the parameters that the gateway decoded, and in the raw query.
func listEdges() []edge {
	const last = "9223372036854775807"
	const limit, cursor, status = "400 INVALID_REQUEST /limit OUT_OF_RANGE", "400 INVALID_REQUEST /cursor INVALID_VALUE", "400 INVALID_REQUEST /status INVALID_VALUE"
	var all []edge
	for _, route := range []string{myBookings, allProducts} {
		good := served
		if route == allProducts {
			good = servedBoth
		}
		for _, c := range []struct{ name, value, want string }{
			{"limit", "1", good}, {"limit", "100", good}, {"limit", "101", limit}, {"limit", "0", limit}, {"limit", "-1", limit}, {"limit", "+1", limit}, {"limit", "01", limit},
			{"limit", "1e1", limit}, {"limit", "1.0", limit}, {"limit", "", limit}, {"limit", " 1", limit}, {"limit", "ten", limit}, {"limit", "１", limit}, {"limit", "1,1", limit},
			{"limit", "9223372036854775808", limit}, {"limit", "4294967297", limit}, {"limit", strings.Repeat("1", 5000), limit}, {"limit", "null", limit}, {"limit", "1\x00", limit},
			{"cursor", "1", good}, {"cursor", last, good}, {"cursor", "9223372036854775808", cursor}, {"cursor", "0", cursor}, {"cursor", "-1", cursor}, {"cursor", "+1", cursor},
			{"cursor", "01", cursor}, {"cursor", "", cursor}, {"cursor", "x", cursor}, {"cursor", "1' OR '1'='1", cursor}, {"cursor", "1,2", cursor}, {"cursor", "null", cursor}, {"cursor", "١", cursor},
			{"status", "INIT", served}, {"status", "CONFIRMED", served}, {"status", "init", status}, {"status", "", status}, {"status", "INIT,INIT", status}, {"status", "ALL", status},
			{"status", "INIT ", status}, {"status", "SUCCESS", status}, {"status", "INIT\x00", status},
			{"Limit", "0", good}, {"unknown", "0", good},
		} {
			if c.name == "status" && route == allProducts {
				continue
			}
			name := fmt.Sprintf("%s=%s, %s", c.name, named(c.value), route)
			if c.name == "cursor" && c.value == last {
				c.want = served // nothing comes after it: there is no product to ask the gate for
			}
			all = append(all, edge{name, event(route, "", with("queryStringParameters", object{c.name: c.value})), c.want})
			if c.want == limit || c.want == cursor || c.want == status {
				all = append(all, edge{name + ", raw", event(route, "", with("rawQueryString", url.Values{c.name: {c.value}}.Encode())), c.want})
			}
		}
		all = append(all,
			edge{"everything wrong, " + route, event(route, "", with("queryStringParameters", object{"limit": "x", "cursor": "x"})), "400 INVALID_REQUEST /limit OUT_OF_RANGE /cursor INVALID_VALUE"},
			edge{"a limit twice, " + route, event(route, "", with("rawQueryString", "limit=1&limit=1")), limit},
			edge{"a limit that is a number, " + route, event(route, "", with("queryStringParameters", object{"limit": 5})), limit},
			edge{"a limit that is a list, " + route, event(route, "", with("queryStringParameters", object{"limit": []int{5}})), limit},
			edge{"parameters that are a string, " + route, event(route, "", with("queryStringParameters", "limit=0")), good},
			edge{"parameters that are null beside a raw query, " + route, event(route, "", with("queryStringParameters", nil), with("rawQueryString", "limit=0")), limit},
		)
	}
	return all
}

// precedenceEdges have several faults; the contract's order says which is told.
var precedenceEdges = []edge{
	{"nobody, before everything", event(completing, strings.Repeat("x", 17<<10), claim(nil), typed("text/plain"), with("headers.idempotency-key", "a,b")), nobodyAsks},
	{"size, before its type", event(completing, strings.Repeat("x", 17<<10), typed("text/plain"), with("headers.idempotency-key", "a,b")), tooLarge},
	{"size, before its coding", event(completing, strings.Repeat("x", 17<<10), coding("gzip")), tooLarge},
	{"the type, before the body", event(completing, "{", typed("text/plain"), with("headers.idempotency-key", "a,b")), badType},
	{"the coding, before base64 that is none", event(completing, "%", with("isBase64Encoded", true), coding("gzip")), badType},
	{"the body, before the key", event(completing, "{", with("headers.idempotency-key", "a,b")), badJSON},
	{"a member, before the key", event(completing, `{"a":1}`, with("headers.idempotency-key", "a,b")), "400 UNKNOWN_FIELD /a"},
	{"an amount, before the key", event(registering, payments(pay("CARD", "0")), with("headers.idempotency-key", "a,b")), "400 INVALID_AMOUNT /payments/0/amount"},
	{"a method twice, before the key", event(registering, payments(pay("CARD", "1")+","+pay("CARD", "1")), with("headers.idempotency-key", "a,b")), "400 DUPLICATE_METHOD /payments/1/method"},
	{"the key, before the path", event(completing, "", with("headers.idempotency-key", "a,b"), with("pathParameters.bookingId", "x")), badKey},
	{"the body, before the path", event(completing, `{"a":1}`, with("pathParameters.bookingId", "x")), "400 UNKNOWN_FIELD /a"},
	{"the body, before whose it is", event(completing, `{"a":1}`, byStranger), "400 UNKNOWN_FIELD /a"},
	{"whose it is, before its state", event(approving, "", byStranger), notTheirs},
	{"whose it is, before its sum", event(registering, oneCent, byStranger), notTheirs},
	{"no JSON, before a member twice", event(reserving, `{"a":1,"a":1`), badJSON},
	{"a member twice, before an unknown one", event(reserving, `{"a":1,"productId":1,"productId":1}`), "400 DUPLICATE_FIELD /productId"},
	{"an unknown member, before a wrong type", event(reserving, `{"productId":"x","a":1}`), "400 UNKNOWN_FIELD /a"},
	{"an unknown member, before a missing one", event(reserving, `{"a":1}`), "400 UNKNOWN_FIELD /a"},
	{"a wrong type, before an amount", event(registering, payments(pay("CARD", "0")+`,{"method":null,"amount":"1"}`)), "400 INVALID_REQUEST /payments/1/method INVALID_TYPE"},
	{"an amount, before a method", event(registering, payments(pay("CASH", "1")+","+pay("CARD", "0"))), "400 INVALID_AMOUNT /payments/1/amount"},
	{"the combination, before the sum", event(registering, payments(pay("CARD", "1")+","+pay("YPAY", "1"))), "422 METHOD_COMBINATION (database)"},
	{"nobody, before the path", event(oneBooking, "", claim(nil), with("pathParameters.bookingId", "x")), nobodyAsks},
	{"nobody, before the query", event(myBookings, "", claim(nil), with("queryStringParameters", object{"limit": "x"})), nobodyAsks},
	{"the route, before who asks", event(points, "", claim(nil), with("routeKey", "GET /nowhere")), noRoute},
}

// httpEdges come over HTTP, through what stands for API Gateway.
func httpEdges() []edge {
	const unauthorized = `401 "Unauthorized"`
	json := []string{"Content-Type", "application/json"}
	with := func(more ...string) []string { return append(append([]string{}, json...), more...) }
	return []edge{
		{"no token", request("POST", "/bookings/reserve", soldOut, with("Authorization", "")...), unauthorized},
		{"half a token", request("POST", "/bookings/reserve", soldOut, with("Authorization", "Bearer")...), unauthorized},
		{"no route", request("GET", "/nowhere", ""), noRoute},
		{"a method that the route has not", request("DELETE", "/bookings/1", ""), noRoute},
		{"GET where POST is", request("GET", "/bookings/1/complete", ""), noRoute},
		{"a slash behind", request("GET", "/points/", ""), noRoute},
		{"two slashes", request("GET", "//points", ""), noRoute},
		{"a route in the wrong case", request("GET", "/Points", ""), noRoute},
		{"reserve as an id", request("GET", "/bookings/reserve", ""), noBooking},
		{"an id in letters", request("GET", "/bookings/abc", ""), noBooking},
		{"an id of 0", request("GET", "/products/0", ""), noProduct},
		{"an encoded id", request("GET", "/bookings/%39%39", ""), notTheirs},
		{"an id that is encoded twice", request("GET", "/bookings/%2539%2539", ""), notTheirs},
		{"an encoded blank", request("GET", "/bookings/1%20", ""), noBooking},
		{"an encoded slash", request("GET", "/bookings/1%2F2", ""), noBooking},
		{"an encoded NUL", request("GET", "/bookings/1%00", ""), noBooking},
		{"bad UTF-8 in the path", request("GET", "/bookings/%ff", ""), noBooking},
		{"a plus in the path", request("GET", "/bookings/+1", ""), noBooking},
		{"bad UTF-8 in the query", request("GET", "/bookings?status=%ff", ""), "400 INVALID_REQUEST /status INVALID_VALUE"},
		{"a query that cannot be decoded", request("GET", "/bookings?limit=%zz", ""), "400 INVALID_REQUEST /limit OUT_OF_RANGE"},
		{"a limit twice", request("GET", "/bookings?limit=1&limit=2", ""), "400 INVALID_REQUEST /limit OUT_OF_RANGE"},
		{"a limit with a plus", request("GET", "/bookings?limit=+1", ""), "400 INVALID_REQUEST /limit OUT_OF_RANGE"},
		{"a query without a value", request("GET", "/products?cursor", ""), "400 INVALID_REQUEST /cursor INVALID_VALUE"},
		{"a type in odd capitals", request("POST", "/bookings/reserve", soldOut, "cOnTeNt-TyPe", "Application/JSON"), noneLeft},
		{"two types on two lines", request("POST", "/bookings/reserve", soldOut, "Content-Type", "application/json", "Content-Type", "application/json"), badType},
		{"no type", request("POST", "/bookings/reserve", soldOut), badType},
		{"latin-1", request("POST", "/bookings/reserve", soldOut, "Content-Type", "application/json; charset=latin1"), badType},
		{"a form", request("POST", "/bookings/reserve", "productId=5", "Content-Type", "application/x-www-form-urlencoded"), badType},
		{"gzip", request("POST", "/bookings/reserve", "\x1f\x8b\x08\x00", with("Content-Encoding", "gzip")...), badType},
		{"gzip on two lines", request("POST", "/bookings/reserve", soldOut, with("Content-Encoding", "identity", "Content-Encoding", "gzip")...), badType},
		{"bad UTF-8", request("POST", "/bookings/reserve", "{\"\xff\":1}", json...), badJSON},
		{"a NUL", request("POST", "/bookings/reserve", soldOut+"\x00", json...), badJSON},
		{"a byte over 16 KiB", request("POST", "/bookings/reserve", sized(16<<10+1), json...), tooLarge},
		{"a byte over 16 KiB, as bytes", request("POST", "/bookings/reserve", sized(16<<10+1), "Content-Type", "application/octet-stream"), tooLarge},
		{"1 MB", request("POST", "/bookings/reserve", strings.Repeat("[", 1<<20), json...), tooLarge},
		{"11 MB", request("POST", "/bookings/reserve", strings.Repeat("[", 11<<20), json...), `413 "Request Entity Too Large"`},
		{"16 KiB", request("POST", "/bookings/reserve", sized(16<<10), json...), noneLeft},
		{"two keys on two lines", request("POST", "/bookings/1/complete", "", "Idempotency-Key", "a", "Idempotency-Key", "a"), badKey},
		{"an empty key", request("POST", "/bookings/1/complete", "", "Idempotency-Key", ""), badKey},
		{"a key in quotes", request("POST", "/bookings/1/complete", "", "Idempotency-Key", `"k"`), unpaid},
		{"a key with an umlaut", request("POST", "/bookings/1/complete", "", "Idempotency-Key", "\xc3\xa4"), badKey},
		{"a key that is no UTF-8", request("POST", "/bookings/1/complete", "", "Idempotency-Key", "\xe4"), badKey},
		{"a body of a read", request("GET", "/points", "{", json...), served},
	}
}
