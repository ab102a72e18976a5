package httpapi

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

func TestTokensThatAreRefused(t *testing.T) {
	s := newStand(t)
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	good := func() jwt.MapClaims {
		return jwt.MapClaims{"iss": "https://issuer.test", "aud": "stayhold", "sub": "7", "exp": now.Add(time.Hour).Unix()}
	}
	sign := func(method jwt.SigningMethod, key any, kid string, change func(jwt.MapClaims)) string {
		claims := good()
		if change != nil {
			change(claims)
		}
		token := jwt.NewWithClaims(method, claims)
		token.Header["kid"] = kid
		text, err := token.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	own, public := s.tokens.key, x509.MarshalPKCS1PublicKey(&s.tokens.key.PublicKey)
	valid := sign(jwt.SigningMethodRS256, own, KeyID, nil)
	for name, token := range map[string]string{
		"none":         "",
		"no token":     "Bearer ",
		"garbage":      "Bearer x.y.z",
		"basic":        "Basic dTpw",
		"another key":  sign(jwt.SigningMethodRS256, other, KeyID, nil),
		"another kid":  sign(jwt.SigningMethodRS256, own, "x", nil),
		"RS512":        sign(jwt.SigningMethodRS512, own, KeyID, nil),
		"HS256":        sign(jwt.SigningMethodHS256, public, KeyID, nil),
		"alg none":     sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, KeyID, nil),
		"expired":      sign(jwt.SigningMethodRS256, own, KeyID, func(c jwt.MapClaims) { c["exp"] = now.Add(-time.Second).Unix() }),
		"no end":       sign(jwt.SigningMethodRS256, own, KeyID, func(c jwt.MapClaims) { delete(c, "exp") }),
		"not yet":      sign(jwt.SigningMethodRS256, own, KeyID, func(c jwt.MapClaims) { c["nbf"] = now.Add(time.Hour).Unix() }),
		"from tomorow": sign(jwt.SigningMethodRS256, own, KeyID, func(c jwt.MapClaims) { c["iat"] = now.Add(time.Hour).Unix() }),
		"issuer":       sign(jwt.SigningMethodRS256, own, KeyID, func(c jwt.MapClaims) { c["iss"] = "x" }),
		"audience":     sign(jwt.SigningMethodRS256, own, KeyID, func(c jwt.MapClaims) { c["aud"] = "x" }),
		"cut short":    valid[:len(valid)-2],
		"spare bits":   respelled(valid),
	} {
		r := httptest.NewRequest("GET", "/bookings/1", nil)
		r.Header.Set("Authorization", token)
		got := s.do(r)
		if text := body(t, got); got.StatusCode != 401 || text != `{"message":"Unauthorized"}` ||
			!strings.HasPrefix(got.Header.Get("Www-Authenticate"), "Bearer") {
			t.Errorf("%s: %d %s %v", name, got.StatusCode, text, got.Header)
		}
	}
	if s.function.got != nil {
		t.Error("a function was called")
	}
	for _, header := range []string{valid, "Bearer " + valid, "bearer " + valid, valid} {
		r := httptest.NewRequest("GET", "/bookings/1", nil)
		r.Header.Set("Authorization", header)
		if got := s.do(r); got.StatusCode != 200 {
			t.Errorf("a good token: %d", got.StatusCode)
		}
	}
}

// respelled is the token with another last character of its signature: the bytes are the same, but for bits to spare.
func respelled(token string) string {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(digits, token[len(token)-1])
	return token[:len(token)-1] + digits[last^1:last^1+1]
}

func TestTwoTokensAreNone(t *testing.T) {
	s := newStand(t)
	valid := s.token(t)
	for _, headers := range [][]string{{valid, valid}, {valid, "x"}, {"x", valid}, {valid, ""}, {"", valid}, {"Bearer " + valid, "Bearer " + valid}} {
		r := httptest.NewRequest("GET", "/bookings/1", nil)
		r.Header["Authorization"] = headers
		if got := s.do(r); got.StatusCode != 401 || s.function.got != nil {
			t.Errorf("%.30q: %d", headers, got.StatusCode)
		}
	}
}

func TestClaimsBecomeStrings(t *testing.T) {
	s := newStand(t)
	token := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims{
		"iss": "https://issuer.test", "aud": []string{"x", "stayhold"}, "exp": 4102444800, "sub": 9007199254740993, "vip": true,
	})
	token.Header["kid"] = KeyID
	text, err := token.SignedString(s.tokens.key)
	if err != nil {
		t.Fatal(err)
	}
	claims, err := s.tokens.Claims(text)
	want := `{"aud":"[x stayhold]","exp":"4102444800","iss":"https://issuer.test","sub":"9007199254740993","vip":"true"}`
	if err != nil || string(claims) != want {
		t.Errorf("%s, %v, want %s", claims, err, want)
	}
}

func TestKeyOutlivesTheStackAndADamagedOneIsTold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "key.pem")
	first, err := NewAuthorizer(path, "https://issuer.test", []string{"stayhold"})
	if err != nil {
		t.Fatal(err)
	}
	token, err := first.Issue(1, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	second, err := NewAuthorizer(path, "https://issuer.test", []string{"stayhold"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := second.Claims("Bearer " + token); err != nil {
		t.Errorf("a token of before: %v", err)
	}
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := NewAuthorizer(path, "https://issuer.test", []string{"stayhold"}); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a damaged key: %v", err)
	}
	if _, err := NewAuthorizer(path, "", nil); err == nil {
		t.Error("no issuer: no error")
	}
}

func TestDevToken(t *testing.T) {
	s := newStand(t)
	h := WithTokens(s.tokens, s)
	for text, status := range map[string]int{
		`{"userId":7}`:                   200,
		`{"userId":9223372036854775807}`: 200,
		`{"userId":7,"expiresIn":60}`:    200,
		``:                               400,
		`{}`:                             400,
		`{"userId":0}`:                   400,
		`{"userId":-1}`:                  400,
		`{"userId":"7"}`:                 400,
		`{"userId":7.5}`:                 400,
		`{"userId":9223372036854775808}`: 400,
		`{"userId":7}x`:                  400,
		`{"userId":7,"admin":true}`:      400,
		`{"userId":7,"expiresIn":0}`:     400,
		`{"userId":7,"expiresIn":9223372036854775}`: 400,
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("POST", "/dev/token", strings.NewReader(text)))
		var got struct{ Token, Message string }
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != status {
			t.Errorf("%s: %d %s", text, w.Code, w.Body)
		}
		if status == 200 {
			if _, err := s.tokens.Claims(got.Token); err != nil {
				t.Errorf("%s: %v", text, err)
			}
		} else if !strings.Contains(got.Message, "userId") {
			t.Errorf("%s: message %q", text, got.Message)
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/dev/token", nil))
	if w.Code != 400 {
		t.Errorf("GET: %d", w.Code)
	}
	w = httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/health", nil))
	if w.Code != 200 {
		t.Errorf("another path: %d", w.Code)
	}
}
