package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"stayhold/shared/booking"
	"stayhold/shared/jsonscan"
)

// plainEvent is an event as encoding/json reads it: what the scanner is held against.
type plainEvent struct {
	RouteKey       string            `json:"routeKey"`
	RawPath        string            `json:"rawPath"`
	RawQuery       string            `json:"rawQueryString"`
	Headers        map[string]string `json:"headers"`
	Query          map[string]string `json:"queryStringParameters"`
	PathParameters map[string]string `json:"pathParameters"`
	Body           string            `json:"body"`
	Base64         bool              `json:"isBase64Encoded"`
	Context        struct {
		RequestID  string          `json:"requestId"`
		Authorizer json.RawMessage `json:"authorizer"`
	} `json:"requestContext"`
}

func decodePlainly(payload []byte) plainEvent {
	var e plainEvent
	if err := json.Unmarshal(payload, &e); err != nil {
		var mistyped *json.UnmarshalTypeError
		if !errors.As(err, &mistyped) {
			return plainEvent{}
		}
	}
	return e
}

// header gives every spelling's value, in the order of the values.
func (e plainEvent) header(name string) (values []string) {
	for k, v := range e.Headers {
		if strings.EqualFold(k, name) {
			values = append(values, v)
		}
	}
	slices.Sort(values)
	return values
}

func (e plainEvent) user(claim string) (int64, error) {
	var authorizer struct {
		JWT struct {
			Claims map[string]json.RawMessage `json:"claims"`
		} `json:"jwt"`
	}
	if json.Unmarshal(e.Context.Authorizer, &authorizer) != nil {
		return 0, booking.ErrUnauthenticated
	}
	raw, ok := authorizer.JWT.Claims[claim]
	if !ok || string(raw) == "null" {
		return 0, booking.ErrUnauthenticated
	}
	var text string
	if json.Unmarshal(raw, &text) != nil {
		return 0, booking.ErrInvalidSubject
	}
	id, ok := parseID(text)
	if !ok {
		return 0, booking.ErrInvalidSubject
	}
	return id, nil
}

// sameEvent holds what the scanner read against what the library reads.
func sameEvent(t *testing.T, payload []byte) {
	t.Helper()
	got, want := decodeEvent(payload, "sub"), decodePlainly(payload)
	for _, c := range []struct {
		what      string
		got, want any
	}{
		{"routeKey", got.routeKey, want.RouteKey}, {"rawPath", got.rawPath, want.RawPath},
		{"rawQueryString", got.rawQuery, want.RawQuery}, {"body", got.text, want.Body},
		{"isBase64Encoded", got.base64, want.Base64}, {"requestId", got.requestID, want.Context.RequestID},
		{"query at all", got.parameters != nil, want.Query != nil},
	} {
		if c.got != c.want {
			t.Errorf("%.2000q: %s is read as %q, and the library reads %q", payload, c.what, c.got, c.want)
		}
	}
	sameMembers(t, payload, got.path, want.PathParameters)
	sameMembers(t, payload, got.parameters, want.Query)
	for _, name := range headersRead {
		sameHeader(t, payload, name, got, want.header(name))
	}
	for _, claim := range []string{"sub", "custom:uid", "", "é", "\ufffd"} {
		user, err := decodeEvent(payload, claim).user()
		theirs, fault := want.user(claim)
		if user != theirs || !errors.Is(err, fault) {
			t.Errorf("%.2000q: claim %q is read as %d, %v, and by the library as %d, %v", payload, claim, user, err, theirs, fault)
		}
	}
}

func sameMembers(t *testing.T, payload []byte, got members, want map[string]string) {
	t.Helper()
	read := map[string]string{}
	for _, one := range got {
		last, _ := got.last(one.name)
		read[one.name] = last.text
	}
	if len(read) != len(want) {
		t.Errorf("%.2000q: read as %q, and the library reads %q", payload, read, want)
	}
	for name, text := range want {
		if have, ok := read[name]; !ok || have != text {
			t.Errorf("%.2000q: %q is read as %q, and by the library as %q", payload, name, have, text)
		}
	}
}

// sameHeader does not ask in which order several spellings are joined: a map has none.
func sameHeader(t *testing.T, payload []byte, name string, got event, values []string) {
	t.Helper()
	text, given := got.header(name)
	length := max(0, len(values)-1)
	for _, v := range values {
		length += len(v)
	}
	joined := strings.Trim(strings.Join(values, ","), " \t")
	if given != (values != nil) || len(values) < 2 && text != joined || len(text) > length {
		t.Errorf("%.2000q: header %s is %q, and by the library %q", payload, name, text, values)
	}
	for _, v := range values {
		if !strings.Contains(text, strings.Trim(v, " \t")) {
			t.Errorf("%.2000q: header %s is %q, without %q", payload, name, text, v)
		}
	}
}

// strange are events that nobody sends, and whose meaning is the library's.
var strange = []string{
	`{"HEADERS":{"A":"1"},"headers":{"b":2,"c":null,"d":"\ud83d\ude00\ud800x\u00e9\/\b\f\n\r\t\\\""},"Headers":null,"headers":{"a":"1","a":"2"}}`,
	`{"headers":{"Content-Type":"a","content-type":"b","content-type":"c","CONTENT-TYPE":"a"}}`,
	`{"headers":null,"queryStringParameters":null,"pathParameters":null,"body":null,"isBase64Encoded":null,"requestContext":null}`,
	`{"body":"x","body":null,"isBase64Encoded":true,"isBase64Encoded":null,"isBase64Encoded":"false","BODY":7}`,
	`{"queryStringParameters":{}}`, `{"queryStringParameters":{"a":"b"},"queryStringParameters":[]}`,
	`{"reque\u0073tContext":{"REQUESTID":"r","authorizer":{"JWT":{"cLaims":{"sub":"7"}}}}}`,
	`{"requeſtContext":{"authorizer":{"jwt":{"claimſ":{"sub":"8"}}}},"routeKey":"k"}`,
	`{"requestContext":{"authorizer":{"jwt":{"claims":{"sub":"7"}}}},"requestContext":{"authorizer":null}}`,
	`{"requestContext":{"authorizer":{"jwt":{"claims":{"sub":"7"}},"jwt":null}},"requestContext":{"requestId":"x"},"requestContext":[]}`,
	`{"requestContext":{"authorizer":{"jwt":{"claims":{"sub":"7"},"claims":null,"claims":{"x":1}}}}}`,
	`{"requestContext":{"authorizer":{"jwt":{"claims":null,"claims":{"sub":"7"}}}}}`,
	`{"requestContext":{"authorizer":{"jwt":{"claims":{"sub":"7"},"claims":1}}}}`,
	`{"requestContext":{"authorizer":{"jwt":null,"jwt":{"claims":{"sub":"7"}},"JWT":{}}}}`,
	`{"requestContext":{"authorizer":{"jwt":{"claims":{"sub":"7"}},"jwt":[]}}}`,
	`{"requestContext":{"authorizer":{"jwt":{"claims":{"sub":"6","s\u0075b":"\u0037","":"5"}}}}}`,
	`{"requestContext":{"authorizer":{"jwt":{"claims":{"sub":" 7"}}}}}`, `{"requestContext":{"authorizer":{"jwt":{"claims":{"sub": null }}}}}`,
	"{\"routeKey\":\"\xff\xc2\u0080\",\"\xff\":1,\"requestContext\":{\"authorizer\":{\"jwt\":{\"claims\":{\"\xff\":\"9\",\"é\":\"4\"}}}}}",
	`{"rawPath":1,"rawQueryString":-0.5e+10,"routeKey":[[],{},"",true,false,null]}`,
	` { "body" : "b" , "rawPath" : "p" } `, "{\"body\":\"b\"}\n\x00", `{"body":"b"}{}`, `{"body":"b",}`, `{"body":"b" "a":1}`, `{"a"}`, `{"a":}`, `{,}`,
	`[,]`, `[1,]`, `{"body":01}`, `{"body":-}`, `{"body":1.}`, `{"body":.5}`, `{"body":1e}`, `{"body":+1}`, `{"body":tru}`, `{"body":nulll}`,
	`{"body":"\x"}`, `{"body":"\u12g4"}`, `{"body":"\u123`, "{\"body\":\"\n\"}", `{"body":"`, `{"body":"\`, `{'body':1}`, `{1:2}`, "\ufeff{}",
}

// deep are events at the limit of the library's patience, and beyond it.
var deep = []string{
	"{\"a\":" + strings.Repeat("[", jsonscan.MaxNesting-1) + strings.Repeat("]", jsonscan.MaxNesting-1) + ",\"body\":\"b\"}",
	"{\"a\":" + strings.Repeat("[", jsonscan.MaxNesting) + strings.Repeat("]", jsonscan.MaxNesting) + ",\"body\":\"b\"}",
	strings.Repeat(`{"a":`, jsonscan.MaxNesting) + "1" + strings.Repeat("}", jsonscan.MaxNesting),
	strings.Repeat(`{"a":`, jsonscan.MaxNesting+1) + "1" + strings.Repeat("}", jsonscan.MaxNesting+1),
}

func TestEventsAreReadAsTheLibraryReadsThem(t *testing.T) {
	for _, payload := range slices.Concat(strange, deep) {
		sameEvent(t, []byte(payload))
	}
}

// plainLog is the line of log as slog writes it.
func (c *call) plainLog(now time.Time, level slog.Level, millis float64) string {
	attrs := []slog.Attr{
		slog.String("requestId", c.requestID), slog.String("function", c.function), slog.String("route", c.route),
		slog.String("code", c.code), slog.Float64("millis", millis), slog.Bool("coldStart", c.cold),
	}
	if c.status != 0 {
		attrs = append(attrs, slog.Int("status", c.status))
	}
	if c.userID != 0 {
		attrs = append(attrs, slog.Int64("userId", c.userID))
	}
	if c.bookingID != 0 {
		attrs = append(attrs, slog.Int64("bookingId", c.bookingID))
	}
	attrs = append(attrs, c.details...)
	if c.inner != nil {
		attrs = append(attrs, slog.String("error", clipped(c.inner.Error())))
	}
	if c.deferred != nil {
		attrs = append(attrs, slog.String("deferred", clipped(c.deferred.Error())))
	}
	record := slog.NewRecord(now, level, "call", 0)
	record.AddAttrs(attrs...)
	var line bytes.Buffer
	_ = slog.NewJSONHandler(escaping{&line}, nil).Handle(context.Background(), record)
	return line.String()
}

// plainMetrics is the line of metrics as encoding/json writes it.
func (c *call) plainMetrics(now time.Time, millis float64) string {
	type directive struct {
		Namespace  string
		Dimensions [][]string
		Metrics    []metric
	}
	type metadata struct {
		Timestamp         int64
		CloudWatchMetrics []directive
	}
	space := c.edge.namespace
	meta := metadata{now.UnixMilli(), []directive{
		{space, [][]string{{"Function", "Route", "Code"}}, []metric{{"Millis", "Milliseconds"}}},
		{space, [][]string{{"Function"}}, []metric{{"ColdStart", "Count"}, {"Fault", "Count"}}},
	}}
	var values []byte
	if len(c.gauges) > 0 {
		watched := directive{Namespace: space, Dimensions: [][]string{{}}}
		for _, g := range c.gauges {
			watched.Metrics = append(watched.Metrics, g.metric)
			values = fmt.Appendf(values, ",%q:%d", g.Name, g.value)
		}
		meta.CloudWatchMetrics = append(meta.CloudWatchMetrics, watched)
	}
	line, err := json.Marshal(struct {
		AWS       metadata `json:"_aws"`
		Function  string
		Route     string
		Code      string
		Millis    float64
		ColdStart int64
		Fault     int64
	}{meta, c.function, c.route, c.code, millis, one(c.cold), one(c.isFault())})
	if err != nil {
		return err.Error()
	}
	return string(append(append(line[:len(line)-1], values...), "}\n"...))
}

// plainProblem is a problem's body as encoding/json writes it.
func plainProblem(e *booking.Error, requestID string) string {
	words := strings.ToLower(strings.ReplaceAll(e.Code, "_", " "))
	text, _ := marshal(struct {
		Type      string `json:"type"`
		Title     string `json:"title"`
		Status    int    `json:"status"`
		Detail    string `json:"detail"`
		Code      string `json:"code"`
		Retryable bool   `json:"retryable"`
		RequestID string `json:"requestId"`
	}{
		"/problems/" + strings.ReplaceAll(words, " ", "-"), strings.ToUpper(words[:1]) + words[1:],
		statuses[e.Kind], e.Detail, e.Code, retryable(e), requestID,
	})
	for _, name := range slices.Sorted(maps.Keys(e.Members)) {
		one, _ := marshal(map[string]any{name: plain(e.Members[name])})
		text = append(append(text[:len(text)-1], ','), one[1:]...)
	}
	return string(text)
}

// An answer, a line of log and a line of metrics are to the byte what the libraries would write.
func FuzzLines(f *testing.F) {
	for i, text := range []string{
		"plain", "<&>\"\\/", "\b\f\n\r\t\x00\x1b\x7f", "\u0080\u009f\u00a0é\u2028\u2029\ufffd😀", "\xff\xc2", strings.Repeat("é", maxLogged),
	} {
		f.Add(text, "SOLD_OUT", int64(i), int64(i)*1_001_000, uint8(1<<i-1))
	}
	f.Fuzz(func(t *testing.T, text, code string, number, nanos int64, flags uint8) {
		is := func(bit int) bool { return flags>>bit&1 == 1 }
		e := New(Options{Log: &bytes.Buffer{}, Namespace: code})
		c := &call{
			edge: e, function: code, route: text, requestID: text, code: code, cold: is(0), userID: number, bookingID: -number,
			status: int(number % 600),
		}
		if is(1) {
			c.inner = errors.New(text)
		}
		if is(2) {
			c.deferred = errors.New(code)
		}
		if is(3) {
			c.details = []slog.Attr{slog.Int("records", int(number)), slog.Bool("unfinished", is(4)), slog.Int64("purged", nanos)}
			c.gauges = []gauge{{metric{"GateDrift", "Count"}, number}, {metric{"LapsedHoldAge", "Seconds"}, nanos}}
		}
		now := time.UnixMicro(number & (1<<50 - 1)).In(time.FixedZone("", int(nanos%50_000)))
		took := time.Duration(nanos & (1<<63 - 1))
		millis := float64(took.Microseconds()) / 1000
		level := []slog.Level{slog.LevelInfo, slog.LevelWarn, slog.LevelError}[flags>>6%3]
		spelled := appendMillis(nil, took)
		same(t, string(c.appendLog(nil, now, level, spelled)), c.plainLog(now, level, millis))
		same(t, string(c.appendMetrics(nil, now, spelled)), c.plainMetrics(now, millis))

		known := []*booking.Error{booking.ErrSoldOut, booking.ErrHoldLimit, booking.ErrPaymentInProgress, booking.ErrUnavailable, booking.ErrHoldExpired}
		told := known[int(flags)%len(known)].With("text", text).With("at", now).With("never", time.Time{}).With("number", number).
			With(text, []string{text}).With("errors", []booking.Violation{{Pointer: text, Code: code}})
		told.Detail = text
		a := problem(told, text)
		same(t, string(a.body), plainProblem(told, text))
		a.location, a.replayed = text, is(5)
		headers := map[string]string{
			"Content-Type": "application/problem+json", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store",
		}
		if text != "" {
			headers["Location"] = text
		}
		if a.replayed {
			headers["Idempotency-Replayed"] = "true"
		}
		if told.RetryAfter > 0 {
			headers["Retry-After"] = fmt.Sprint(told.RetryAfter.Seconds())
		}
		plain, _ := json.Marshal(response{Status: a.status, Headers: headers, Body: string(a.body)})
		same(t, string(a.render()), string(plain))
	})
}

func same(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("written\n%s\nand by the library\n%s", got, want)
	}
}
