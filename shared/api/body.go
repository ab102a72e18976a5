package api

import (
	"encoding/base64"
	"mime"
	"strings"

	"stayhold/shared/booking"
)

// maxBody is 16 KiB, counted before anything is parsed.
const maxBody = 16 << 10

// body gives the bytes of the request's body: nil when there is none. Errors, in this
// order: ErrPayloadTooLarge, ErrUnsupportedMediaType, ErrInvalidJSON.
func (e event) body() ([]byte, error) {
	raw := []byte(e.text)
	var broken error
	if e.base64 {
		if base64.StdEncoding.DecodedLen(len(e.text)) > maxBody+2 {
			return nil, booking.ErrPayloadTooLarge
		}
		raw, broken = base64.StdEncoding.DecodeString(e.text)
	}
	if len(raw) > maxBody {
		return nil, booking.ErrPayloadTooLarge
	}
	if coding, _ := e.header(contentEncoding); coding != "" && !strings.EqualFold(coding, "identity") {
		return nil, booking.ErrUnsupportedMediaType
	}
	if e.text == "" {
		return nil, nil
	}
	if content, _ := e.header(contentType); !isJSON(content) {
		return nil, booking.ErrUnsupportedMediaType
	}
	if broken != nil {
		return nil, booking.ErrInvalidJSON
	}
	return raw, nil
}

// isJSON accepts application/json in UTF-8.
func isJSON(content string) bool {
	if content == "application/json" {
		return true // as nearly everybody writes it
	}
	kind, parameters, err := mime.ParseMediaType(content)
	if err != nil || kind != "application/json" {
		return false
	}
	charset, given := parameters["charset"]
	return !given || strings.EqualFold(charset, "utf-8")
}
