package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"
)

const (
	tokenLife    = 12 * time.Hour
	maxTokenLife = 366 * 24 * time.Hour
)

// TokenPath is where the local stack issues tokens. It is no route of the template and exists nowhere else.
const TokenPath = "/dev/token"

// WithTokens answers POST /dev/token {"userId":7} with {"token":"…"}, and leaves every other request to next. An
// optional expiresIn gives the token's life in seconds.
func WithTokens(a *Authorizer, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != TokenPath {
			next.ServeHTTP(w, r)
			return
		}
		token, err := issue(a, r)
		status, body := http.StatusOK, map[string]string{"token": token}
		if err != nil {
			status, body = http.StatusBadRequest, map[string]string{"message": err.Error()}
		}
		text, _ := json.Marshal(body) // strings always can be
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(text)))
		w.WriteHeader(status)
		_, _ = w.Write(text)
	})
}

var errTokenUse = errors.New(`want POST with {"userId":7}, a positive whole number, and if you like "expiresIn" in seconds`)

func issue(a *Authorizer, r *http.Request) (string, error) {
	if r.Method != http.MethodPost {
		return "", errTokenUse
	}
	text, err := io.ReadAll(io.LimitReader(r.Body, 4096))
	if err != nil {
		return "", errTokenUse
	}
	var want struct {
		UserID    *int64 `json:"userId"`
		ExpiresIn *int64 `json:"expiresIn"`
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if decoder.Decode(&want) != nil || decoder.Decode(new(any)) != io.EOF || want.UserID == nil || *want.UserID < 1 {
		return "", errTokenUse
	}
	lasting := tokenLife
	if want.ExpiresIn != nil {
		lasting = time.Duration(*want.ExpiresIn) * time.Second
		if *want.ExpiresIn < 1 || *want.ExpiresIn > int64(maxTokenLife/time.Second) {
			return "", errTokenUse
		}
	}
	return a.Issue(*want.UserID, lasting)
}
