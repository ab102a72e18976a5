package httpapi

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
)

// response is response format 2.0. Header values may be of any scalar type.
type response struct {
	StatusCode json.RawMessage            `json:"statusCode"`
	Headers    map[string]json.RawMessage `json:"headers"`
	Cookies    []string                   `json:"cookies"`
	Body       json.RawMessage            `json:"body"`
	Base64     bool                       `json:"isBase64Encoded"`
}

// answer writes what the function returned. JSON without a statusCode is a body of 200; anything malformed is a 500.
func (c *call) answer(payload []byte) {
	var r response
	if err := json.Unmarshal(payload, &r); err != nil || len(r.StatusCode) == 0 {
		if !json.Valid(payload) || err != nil && bytes.HasPrefix(bytes.TrimSpace(payload), []byte("{")) {
			c.message(http.StatusInternalServerError, "Internal Server Error")
			return
		}
		c.writer.Header().Set("Content-Type", "application/json")
		c.write(http.StatusOK, payload)
		return
	}
	status, err := strconv.Atoi(text(r.StatusCode))
	if err != nil || status < 200 || status > 599 {
		c.message(http.StatusInternalServerError, "Internal Server Error")
		return
	}
	body := []byte(text(r.Body))
	if r.Base64 {
		if body, err = base64.StdEncoding.DecodeString(string(body)); err != nil {
			c.message(http.StatusInternalServerError, "Internal Server Error")
			return
		}
	}
	c.copyHeaders(r)
	c.write(status, body)
}

func (c *call) copyHeaders(r response) {
	header := c.writer.Header()
	header.Set("Content-Type", "text/plain;charset=UTF-8")
	for name, value := range r.Headers {
		switch strings.ToLower(name) {
		case "content-length", "connection", "transfer-encoding", "date": // the server's own
		case "set-cookie":
			header.Add(name, text(value))
		default:
			if !c.api.cors.own(name) {
				header.Set(name, text(value))
			}
		}
	}
	for _, cookie := range r.Cookies {
		header.Add("Set-Cookie", cookie)
	}
}

// text is a JSON string's content, nothing for null, and any other value as it is written.
func text(raw json.RawMessage) string {
	var s string
	if len(raw) == 0 || string(raw) == "null" {
		return ""
	}
	if raw[0] == '"' && json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}
