package stacktest

import (
	"fmt"
	"slices"
	"strings"
)

const (
	nobodyAsks  = "401 UNAUTHENTICATED"
	badSubject  = "401 INVALID_SUBJECT"
	noRoute     = `404 "Not Found"`
	noBooking   = "404 BOOKING_NOT_FOUND"
	noProduct   = "404 PRODUCT_NOT_FOUND"
	noneLeft    = "409 SOLD_OUT (gate)"
	unpaid      = "409 PAYMENT_INCOMPLETE (database)"
	notTheirs   = "404 BOOKING_NOT_FOUND (database)"
	wrongSum    = "422 AMOUNT_MISMATCH (database)"
	served      = "200 (database)"
	servedBoth  = "200 (gate) (database)"
	badJSON     = "400 INVALID_JSON"
	badKey      = "400 INVALID_IDEMPOTENCY_KEY"
	badType     = "415 UNSUPPORTED_MEDIA_TYPE"
	tooLarge    = "413 PAYLOAD_TOO_LARGE"
	missingRoom = "400 INVALID_REQUEST /productId REQUIRED"
)

// sqsEvent and restEvent (payload 1.0) are what a wrong trigger would send.
const (
	sqsEvent  = `{"Records":[{"messageId":"m","body":"{\"version\":1,\"task\":\"compensate\",\"bookingId\":1}","eventSource":"aws:sqs"}]}`
	restEvent = `{"version":"1.0","resource":"/bookings/reserve","path":"/bookings/reserve","httpMethod":"POST","multiValueHeaders":{"Content-Type":["application/json"]},` +
		`"headers":{"Content-Type":"application/json"},"requestContext":{"authorizer":{"claims":{"sub":"7"}},"requestId":"r"},"body":"{\"productId\":5}","isBase64Encoded":false}`
)

// What is no event of this API, or is one with members that are not as they should be.
var eventEdges = []edge{
	{"nothing", payload(reserving, ``), nobodyAsks},
	{"an empty object", payload(reserving, `{}`), nobodyAsks},
	{"null", payload(reserving, `null`), nobodyAsks},
	{"a string", payload(reserving, `"x"`), nobodyAsks},
	{"an array", payload(reserving, `[]`), nobodyAsks},
	{"a number", payload(reserving, `1e999`), nobodyAsks},
	{"an SQS event", payload(reserving, sqsEvent), nobodyAsks},
	{"payload 1.0", payload(reserving, restEvent), nobodyAsks},
	{"truncated", payload(reserving, `{"version":"2.0","requestContext":{"authorizer":{"jwt":{"claims":{"sub":"7"`), nobodyAsks},
	{"trailing data", payload(reserving, `{}{}`), nobodyAsks},
	{"bad UTF-8", payload(reserving, "\xff\xfe"), nobodyAsks},
	{"100,000 brackets", payload(reserving, strings.Repeat("[", 100_000)), nobodyAsks},
	{"100,000 pairs of brackets", payload(reserving, `{"requestContext":`+strings.Repeat("[", 100_000)+strings.Repeat("]", 100_000)+`}`), nobodyAsks},
	{"6 MB of blanks", payload(reserving, strings.Repeat(" ", 6<<20-2)+`{}`), nobodyAsks},
	{"6 MB that are no event", payload(reserving, `{"x":"`+strings.Repeat("x", 6<<20-8)+`"}`), nobodyAsks},
	{"6 MB in the body", event(reserving, strings.Repeat("x", 6<<20-2000)), tooLarge},
	{"5 MB in the request id", event(reserving, `{`, with("requestContext.requestId", strings.Repeat("r", 5<<20))), badJSON},
	{"a request id that is no string", event(reserving, `{`, with("requestContext.requestId", 5)), badJSON},
	{"5 MB in a header", event(reserving, soldOut, with("headers.idempotency-key", strings.Repeat("k", 5<<20))), badKey},
	{"5 MB in the id of the path", event(completing, "", with("pathParameters.bookingId", strings.Repeat("1", 5<<20))), noBooking},
	{"register gets an empty object", payload(registering, `{}`), nobodyAsks},
	{"approve gets an empty object", payload(approving, `{}`), nobodyAsks},
	{"complete gets an empty object", payload(completing, `{}`), nobodyAsks},
	{"cancel gets an empty object", payload(cancelling, `{}`), nobodyAsks},
	{"register gets an SQS event", payload(registering, sqsEvent), nobodyAsks},
	{"approve gets payload 1.0", payload(approving, restEvent), nobodyAsks},
	{"complete gets null", payload(completing, `null`), nobodyAsks},
	{"cancel gets an array", payload(cancelling, `[]`), nobodyAsks},
	{"a read gets nothing", payload(points, ``), noRoute},
	{"a read gets an empty object", payload(points, `{}`), noRoute},
	{"a read gets null", payload(points, `null`), noRoute},
	{"a read gets a string", payload(points, `"x"`), noRoute},
	{"a read gets an array", payload(points, `[]`), noRoute},
	{"a read gets an SQS event", payload(points, sqsEvent), noRoute},
	{"a read gets payload 1.0", payload(points, restEvent), noRoute},
	{"a read gets what is truncated", payload(points, `{"routeKey":"GET /points"`), noRoute},
	{"a read gets 6 MB", payload(points, `{"x":"`+strings.Repeat("x", 6<<20-8)+`"}`), noRoute},
	{"a read of a foreign route", event(points, "", with("routeKey", "GET /admin")), noRoute},
	{"a read of the default route", event(points, "", with("routeKey", "$default")), noRoute},
	{"a read in the wrong case", event(points, "", with("routeKey", "get /points")), noRoute},
	{"a write where reads are", event(points, "", with("routeKey", reserving)), noRoute},

	{"headers that are absent", event(completing, "", without("headers")), unpaid},
	{"headers that are null", event(completing, "", with("headers", nil)), unpaid},
	{"headers that are an array", event(completing, "", with("headers", []int{1})), unpaid},
	{"headers that are absent beside a body", event(completing, "{}", without("headers")), badType},
	{"a body that is null", event(completing, "", with("body", nil)), unpaid},
	{"a body that is an object", event(reserving, "", with("body", object{"productId": 5})), missingRoom},
	{"isBase64Encoded that is absent", event(reserving, soldOut, without("isBase64Encoded")), noneLeft},
	{"isBase64Encoded that is null", event(reserving, soldOut, with("isBase64Encoded", nil)), noneLeft},
	{"isBase64Encoded that is a string", event(reserving, soldOut, with("isBase64Encoded", "yes")), noneLeft},
	{"an HTTP version of its own", event(reserving, soldOut, with("requestContext.http", nil), with("version", 2)), noneLeft},
	{"parameters of the query that are null", event(points, "", with("queryStringParameters", nil)), served},
	{"parameters of the path that are null", event(completing, "", with("pathParameters", nil)), unpaid},
	{"parameters of the path that are an array", event(completing, "", with("pathParameters", []int{1})), unpaid},
	{"parameters of the path behind a stage", event(completing, "", with("pathParameters", nil), with("rawPath", "/prod/bookings/1/complete")), unpaid},
	{"a stage in the raw path", event(completing, "", with("rawPath", "/prod/bookings/1/complete"), with("requestContext.stage", "prod")), unpaid},
	{"no path at all", event(completing, "", without("pathParameters"), without("rawPath")), noBooking},
	{"a path that is too short", event(completing, "", without("pathParameters"), with("rawPath", "/complete")), noBooking},
	{"health without anything but its route", payload(health, `{"routeKey":"GET /health"}`), servedBoth},
	{"health with a token that says nothing", event(health, "", claim(7)), servedBoth},
}

// identityEdges are asked on every route that wants a user.
func identityEdges() []edge {
	authorizer, jwt, claims := "requestContext.authorizer", "requestContext.authorizer.jwt", "requestContext.authorizer.jwt.claims"
	all := []edge{
		{"utmost subject", event(points, "", claim("9223372036854775807")), served},
		{"a subject with more claims", event(points, "", with(claims, object{"sub": owner, "aud": []string{"a"}, "iat": 1, "x": nil})), served},
	}
	for _, route := range []string{reserving, registering, approving, completing, cancelling, oneBooking, myBookings, oneProduct, allProducts, checkout, points} {
		for _, c := range []struct {
			name   string
			change func(object)
			want   string
		}{
			{"no context", without("requestContext"), nobodyAsks},
			{"null context", with("requestContext", nil), nobodyAsks},
			{"no authorizer", without(authorizer), nobodyAsks},
			{"null authorizer", with(authorizer, nil), nobodyAsks},
			{"null jwt", with(jwt, nil), nobodyAsks},
			{"null claims", with(claims, nil), nobodyAsks},
			{"claims in an array", with(claims, []string{"sub"}), nobodyAsks},
			{"null subject", claim(nil), nobodyAsks},
			{"numeric subject", claim(7), badSubject},
		} {
			all = append(all, edge{c.name + ", " + route, event(route, "", c.change), c.want})
		}
	}
	for _, sub := range []any{
		true, []string{"7"}, object{"7": "7"}, 7.5, "", "0", "-7", "+7", "07", " 7", "7 ", "7.0", "7e0", "0x7", "7_0", "٧", "７", "auth0|7", "7\x00", "9223372036854775808",
		strings.Repeat("7", 5000),
	} {
		all = append(all, edge{named(fmt.Sprintf("subject %T %q", sub, fmt.Sprint(sub))), event(reserving, soldOut, claim(sub)), badSubject})
	}
	return append(all,
		edge{"authorizer that is a string", event(reserving, soldOut, with(authorizer, "x")), nobodyAsks},
		edge{"jwt that is an array", event(reserving, soldOut, with(jwt, []int{1})), nobodyAsks},
		edge{"context that is a number", event(reserving, soldOut, with("requestContext", 5)), nobodyAsks},
		edge{"a subject in the wrong case", event(reserving, soldOut, with(claims, object{"Sub": owner})), nobodyAsks},
		edge{"a subject of the authorizer's own, as a REST API has it", event(reserving, soldOut, with(authorizer, object{"claims": object{"sub": owner}})), nobodyAsks},
		edge{"a subject of a Lambda authorizer", event(reserving, soldOut, with(authorizer, object{"lambda": object{"sub": owner}})), nobodyAsks},
	)
}

// idEdges are ids in a path, on every route that has one, and in a body.
func idEdges() []edge {
	var all []edge
	for _, route := range []string{registering, approving, completing, cancelling, oneBooking, oneProduct, checkout} {
		body, name, none := "", "bookingId", noBooking
		if slices.Contains([]string{oneProduct, checkout}, route) {
			name, none = "productId", noProduct
		}
		if route == registering {
			body = oneCent
		}
		ids := []string{"0", "-1", "+1", "01", "1e3", "1.0", "0x1", "9223372036854775808", "abc", " 1", "1 ", "١", "１", "", "%zz", "%", "1%2F2", "1%00", "1\x00", "null", "1;2", "../1"}
		if route != completing { // one route bears them all, and each of the others enough to show that it looks
			ids = []string{"0", "-1", "+1", "01", "1e3", "9223372036854775808", "%zz", "１"}
		}
		for _, id := range ids {
			all = append(all, edge{fmt.Sprintf("%q, %s", id, route), event(route, body, with("pathParameters."+name, id)), none})
		}
		looked := none + " (database)"
		all = append(all,
			edge{"2^63-1, " + route, event(route, body, with("pathParameters."+name, "9223372036854775807")), looked},
			edge{"encoded, " + route, event(route, body, with("pathParameters."+name, "%39%39%39%39")), looked},
			edge{"a number, " + route, event(route, body, with("pathParameters."+name, 1)), none},
		)
	}
	wrong, far := "400 INVALID_REQUEST /productId INVALID_TYPE", "400 INVALID_REQUEST /productId OUT_OF_RANGE"
	for _, c := range []struct{ token, want string }{
		{"5", noneLeft}, {"9223372036854775807", noProduct + " (gate) (database)"},
		{"0", far}, {"-0", far}, {"-1", far}, {"9223372036854775808", far}, {"-9223372036854775809", far}, {strings.Repeat("9", 16000), far},
		{"5.0", wrong}, {"5e0", wrong}, {"1E2", wrong}, {"1e-2", wrong}, {"0.0", wrong}, {"1e309", wrong}, {`"5"`, wrong}, {`"５"`, wrong}, {`""`, wrong},
		{"null", wrong}, {"true", wrong}, {"false", wrong}, {"[5]", wrong}, {"{}", wrong},
		{"05", badJSON}, {"+5", badJSON}, {"0x5", badJSON}, {"5_0", badJSON}, {".5", badJSON}, {"5.", badJSON}, {"5e", badJSON}, {"５", badJSON}, {"−5", badJSON},
		{"NaN", badJSON}, {"Infinity", badJSON}, {"-Infinity", badJSON}, {"undefined", badJSON}, {"True", badJSON}, {"", badJSON}, {"--5", badJSON}, {"-", badJSON},
	} {
		all = append(all, edge{named("a productId of " + c.token), event(reserving, `{"productId":`+c.token+`}`), c.want})
	}
	return all
}
