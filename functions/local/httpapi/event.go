package httpapi

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	apiID   = "local"
	account = "000000000000"
	domain  = "local.execute-api.us-east-1.amazonaws.com"
)

// event is payload format 2.0.
type event struct {
	Version        string            `json:"version"`
	RouteKey       string            `json:"routeKey"`
	RawPath        string            `json:"rawPath"`
	RawQuery       string            `json:"rawQueryString"`
	Cookies        []string          `json:"cookies,omitempty"`
	Headers        map[string]string `json:"headers"`
	Query          map[string]string `json:"queryStringParameters,omitempty"`
	RequestContext requestContext    `json:"requestContext"`
	PathParameters map[string]string `json:"pathParameters,omitempty"`
	Body           *string           `json:"body,omitempty"`
	Base64         bool              `json:"isBase64Encoded"`
}

type requestContext struct {
	AccountID    string          `json:"accountId"`
	APIID        string          `json:"apiId"`
	Authorizer   *authorizerPart `json:"authorizer,omitempty"`
	DomainName   string          `json:"domainName"`
	DomainPrefix string          `json:"domainPrefix"`
	HTTP         httpPart        `json:"http"`
	RequestID    string          `json:"requestId"`
	RouteKey     string          `json:"routeKey"`
	Stage        string          `json:"stage"`
	Time         string          `json:"time"`
	TimeEpoch    int64           `json:"timeEpoch"`
}

type authorizerPart struct {
	JWT struct {
		Claims json.RawMessage `json:"claims"`
		Scopes []string        `json:"scopes"`
	} `json:"jwt"`
}

type httpPart struct {
	Method    string `json:"method"`
	Path      string `json:"path"`
	Protocol  string `json:"protocol"`
	SourceIP  string `json:"sourceIp"`
	UserAgent string `json:"userAgent"`
}

// event writes the request as the function will see it.
func (c *call) event(route *route, parameters map[string]string, claims, body []byte) ([]byte, error) {
	r := c.request
	now := c.entry.Time.UTC()
	e := event{
		Version: "2.0", RouteKey: route.key, RawPath: r.URL.Path, RawQuery: r.URL.RawQuery,
		Headers: headers(r), Query: query(r.URL.RawQuery), PathParameters: parameters, Cookies: cookies(r),
		RequestContext: requestContext{
			AccountID: account, APIID: apiID, DomainName: domain, DomainPrefix: apiID,
			HTTP: httpPart{
				Method: r.Method, Path: r.URL.Path, Protocol: r.Proto, SourceIP: sourceIP(r), UserAgent: r.UserAgent(),
			},
			RequestID: c.id, RouteKey: route.key, Stage: "$default",
			Time: now.Format("02/Jan/2006:15:04:05 +0000"), TimeEpoch: now.UnixMilli(),
		},
	}
	if claims != nil {
		e.RequestContext.Authorizer = &authorizerPart{}
		e.RequestContext.Authorizer.JWT.Claims = claims
	}
	if len(body) > 0 {
		text := string(body)
		if e.Base64 = binary(r, body); e.Base64 {
			text = base64.StdEncoding.EncodeToString(body)
		}
		e.Body = &text
	}
	return json.Marshal(&e)
}

// headers are lower-cased, and repeated ones joined by commas. Cookies have a member of their own.
func headers(r *http.Request) map[string]string {
	out := make(map[string]string, len(r.Header)+6)
	for name, values := range r.Header {
		if name != "Cookie" {
			out[strings.ToLower(name)] = strings.Join(values, ",")
		}
	}
	out["host"] = r.Host
	if r.ContentLength > 0 {
		out["content-length"] = strconv.FormatInt(r.ContentLength, 10)
	}
	forwarded := sourceIP(r)
	if before := out["x-forwarded-for"]; before != "" {
		forwarded = before + ", " + forwarded
	}
	out["x-forwarded-for"] = forwarded
	_, port, named := strings.Cut(r.Host, ":")
	if !named {
		port = "80"
	}
	out["x-forwarded-port"], out["x-forwarded-proto"] = port, "http"
	out["x-amzn-trace-id"] = "Root=1-" + strconv.FormatInt(time.Now().Unix(), 16) + "-" + newRequestID()
	return out
}

func cookies(r *http.Request) []string {
	var out []string
	for _, line := range r.Header["Cookie"] {
		for part := range strings.SplitSeq(line, ";") {
			if part = strings.TrimSpace(part); part != "" {
				out = append(out, part)
			}
		}
	}
	return out
}

// query decodes the parameters and joins the values of a repeated one by commas. What cannot be decoded stays as it
// came, so that the function sees and refuses it.
func query(raw string) map[string]string {
	if raw == "" {
		return nil
	}
	out := map[string]string{}
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name, value = unescape(name), unescape(value)
		if before, again := out[name]; again {
			value = before + "," + value
		}
		out[name] = value
	}
	return out
}

func unescape(text string) string {
	if plain, err := url.QueryUnescape(text); err == nil {
		return plain
	}
	return text
}

// binary says whether a body goes to the function in base64: whatever is encoded, or not declared to be text. A body
// that is declared to be text but is not UTF-8 goes the same way, since JSON could not carry its bytes.
func binary(r *http.Request, body []byte) bool {
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return true
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		kind, _, _ = strings.Cut(strings.ToLower(r.Header.Get("Content-Type")), ";")
	}
	switch {
	case strings.HasPrefix(kind, "text/"), strings.HasSuffix(kind, "+json"), strings.HasSuffix(kind, "+xml"),
		kind == "application/json", kind == "application/xml", kind == "application/javascript":
		return !utf8.Valid(body)
	}
	return true
}

// newRequestID makes an id in the form of API Gateway's: 16 characters that end in an equals sign.
func newRequestID() string {
	var b [11]byte
	_, _ = rand.Read(b[:])
	return base64.URLEncoding.EncodeToString(b[:])
}
