package stacktest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// What a credential comes to, whatever route it is shown at.
const (
	asOwner   = "what the owner of the booking is answered"
	asOther   = "what somebody else is answered"
	shut      = "the authorizer's 401"
	tooLong   = "the API's 431"
	nobody    = "UNAUTHENTICATED" // the authorizer lets it through, and it names no user
	noSubject = "INVALID_SUBJECT"
)

// credential is what a request shows: its lines of Authorization.
type credential struct {
	name    string
	lines   []string
	comesTo string
}

// mint makes tokens as the stack's issuer does, and as somebody does who wants to be taken for it.
type mint struct {
	t      testing.TB
	key    *rsa.PrivateKey
	kid    any
	claims jwt.MapClaims // of a good token
}

// newMint takes the stack's own key, and the claims that its tokens for the buyer bear.
func newMint(t testing.TB, b *buyer) *mint {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(b.s.dir, "token-key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		t.Fatal("the stack's key is no PEM file")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	m := &mint{t: t, key: key.(*rsa.PrivateKey), claims: jwt.MapClaims{}}
	issued, _, err := jwt.NewParser(jwt.WithJSONNumber()).ParseUnverified(b.token, m.claims)
	if err != nil {
		t.Fatal(err)
	}
	m.kid = issued.Header["kid"]
	return m
}

// change is what a token has in the place of a good one's; nil leaves a member out.
type change map[string]any

func (c change) in(members map[string]any) {
	for name, value := range c {
		members[name] = value
		if value == nil {
			delete(members, name)
		}
	}
}

func (m *mint) sign(method jwt.SigningMethod, key any, header, claims change) string {
	m.t.Helper()
	all := maps.Clone(m.claims)
	claims.in(all)
	token := jwt.NewWithClaims(method, all)
	token.Header["kid"] = m.kid
	header.in(token.Header)
	text, err := token.SignedString(key)
	if err != nil {
		m.t.Fatal(err)
	}
	return text
}

// with is a token that the issuer signed, with other claims.
func (m *mint) with(claims change) string {
	return m.sign(jwt.SigningMethodRS256, m.key, nil, claims)
}

// credentials are every way to ask, for a booking of m's buyer; other is a good token of somebody else.
func (m *mint) credentials(other string) []credential {
	good := m.with(nil)
	all := []credential{
		{"his own", []string{"Bearer " + good}, asOwner},
		{"his own, bare", []string{good}, asOwner},
		{"his own, with keys to verify it by", []string{"Bearer " + m.sign(jwt.SigningMethodRS256, m.key, change{"jku": "https://evil.example/jwks", "jwk": map[string]any{"kty": "oct", "k": "eA"}}, nil)}, asOwner},
		{"his own, long", []string{"Bearer " + m.with(change{"scope": strings.Repeat("x", 6000)})}, asOwner},
		{"his own, for two audiences", []string{"Bearer " + m.with(change{"aud": []any{"x", m.claims["aud"]}})}, asOwner},
		{"a number as subject", []string{"Bearer " + m.with(change{"sub": m.number("sub")})}, asOwner},
		{"another user's", []string{"Bearer " + other}, asOther},
		{"no subject", []string{"Bearer " + m.with(change{"sub": nil})}, nobody},
	}
	for _, sub := range []any{"0", "-7", -7, 0, 7.5, "007", "+7", " 7", "7 ", "7.0", "1e3", "0x7", "٧", "9223372036854775808", "", true, []int{7}, map[string]int{"id": 7}} {
		all = append(all, credential{fmt.Sprintf("the subject %T %v", sub, sub), []string{"Bearer " + m.with(change{"sub": sub})}, noSubject})
	}
	for name, token := range m.refused() {
		all = append(all, credential{name, []string{"Bearer " + token}, shut})
	}
	for name, line := range map[string]string{
		"a blank": "", "no token": "Bearer", "a scheme and a blank": "Bearer ", "Basic": "Basic dTpw", "Basic with a token": "Basic " + good,
		"Digest": `Digest username="u"`, "another scheme": "Token " + good, "the scheme twice": "Bearer Bearer " + good, "no scheme's end": "Bearer" + good,
		"a comma behind it": "Bearer " + good + ",", "a token behind it": "Bearer " + good + ", Bearer " + good, "a parameter": "Bearer token=" + good, "quoted": `Bearer "` + good + `"`,
	} {
		all = append(all, credential{name, []string{line}, shut})
	}
	return append(all,
		credential{"none", nil, shut},
		credential{"twice", []string{"Bearer " + good, "Bearer " + good}, shut},
		credential{"his own and another's", []string{"Bearer " + good, "Bearer " + other}, shut},
		credential{"his own and garbage", []string{"Bearer " + good, "x"}, shut},
		credential{"garbage and his own", []string{"x", "Bearer " + good}, shut},
		credential{"his own and nothing", []string{"Bearer " + good, ""}, shut},
		credential{"huge", []string{"Bearer " + m.with(change{"scope": strings.Repeat("x", 9000)})}, tooLong},
		credential{"huge garbage", []string{"Bearer " + strings.Repeat("x", 12000)}, tooLong},
	)
}

// number is a claim of digits as a JSON number.
func (m *mint) number(claim string) (n int64) {
	if _, err := fmt.Sscan(m.claims[claim].(string), &n); err != nil {
		m.t.Fatal(err)
	}
	return n
}

// refused are the tokens that look like the issuer's, or are, and open nothing.
func (m *mint) refused() map[string]string {
	now, good := time.Now(), m.with(nil)
	parts := strings.Split(good, ".")
	all := map[string]string{
		"expired":                  m.with(change{"exp": now.Add(-time.Second).Unix()}),
		"expired long ago":         m.with(change{"exp": 0}),
		"without an end":           m.with(change{"exp": nil}),
		"an end in words":          m.with(change{"exp": "never"}),
		"not yet valid":            m.with(change{"nbf": now.Add(time.Hour).Unix()}),
		"issued tomorrow":          m.with(change{"iat": now.Add(24 * time.Hour).Unix()}),
		"another issuer":           m.with(change{"iss": "https://evil.example"}),
		"nearly the issuer":        m.with(change{"iss": fmt.Sprint(m.claims["iss"], "/")}),
		"no issuer":                m.with(change{"iss": nil}),
		"a list of issuers":        m.with(change{"iss": []any{m.claims["iss"]}}),
		"another audience":         m.with(change{"aud": "another"}),
		"no audience":              m.with(change{"aud": nil}),
		"an empty audience":        m.with(change{"aud": []string{}}),
		"another audience, nested": m.with(change{"aud": map[string]any{"aud": m.claims["aud"]}}),

		"a tampered subject":   parts[0] + "." + m.segment(m.claims, change{"sub": "1"}) + "." + parts[2],
		"a tampered end":       parts[0] + "." + m.segment(m.claims, change{"exp": now.Add(9999 * time.Hour).Unix()}) + "." + parts[2],
		"a tampered header":    m.segment(map[string]any{"alg": "RS256", "kid": m.kid}, change{"typ": "at+jwt"}) + "." + parts[1] + "." + parts[2],
		"another's signature":  parts[0] + "." + parts[1] + "." + strings.Split(m.with(change{"sub": "1"}), ".")[2],
		"a flipped bit":        parts[0] + "." + parts[1] + "." + flipped(parts[2], 0),
		"a flipped spare bit":  parts[0] + "." + parts[1] + "." + flipped(parts[2], len(parts[2])-1),
		"padded":               good + "==",
		"cut short":            good[:len(good)-1],
		"longer":               good + "A",
		"no signature":         parts[0] + "." + parts[1] + ".",
		"two parts":            parts[0] + "." + parts[1],
		"four parts":           good + "." + parts[2],
		"a signature of zeros": parts[0] + "." + parts[1] + "." + strings.Repeat("A", len(parts[2])),
		"garbage":              "x.y.z",
		"dots":                 "..",
		"null":                 "null",
		"bad UTF-8":            base64.RawURLEncoding.EncodeToString([]byte("{\"alg\":\"\xff\"}")) + "." + parts[1] + "." + parts[2],
		"a list for a header":  base64.RawURLEncoding.EncodeToString([]byte("[]")) + "." + parts[1] + "." + parts[2],
		"a user's number":      fmt.Sprint(m.claims["sub"]),
	}
	for _, none := range []string{"none", "None", "NONE", "nOnE", ""} {
		header := m.segment(map[string]any{"alg": none, "kid": m.kid}, nil)
		all["alg "+none+" unsigned"] = header + "." + parts[1] + "."
		all["alg "+none+" signed"] = header + "." + parts[1] + "." + parts[2]
	}
	maps.Copy(all, m.confused())
	return all
}

// confused are signed, by another key or in another way than the issuer signs.
func (m *mint) confused() map[string]string {
	m.t.Helper()
	own, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		m.t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		m.t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(&m.key.PublicKey)
	if err != nil {
		m.t.Fatal(err)
	}
	jwk := map[string]any{
		"kty": "RSA", "kid": m.kid, "alg": "RS256", "use": "sig", "e": "AQAB",
		"n": base64.RawURLEncoding.EncodeToString(own.N.Bytes()),
	}
	thumb := crypto.SHA256.New().Sum(nil)
	all := map[string]string{
		"another RSA key":          m.sign(jwt.SigningMethodRS256, own, nil, nil),
		"another key, as jwk":      m.sign(jwt.SigningMethodRS256, own, change{"jwk": jwk}, nil),
		"another key, by jku":      m.sign(jwt.SigningMethodRS256, own, change{"jku": "https://evil.example/jwks.json"}, nil),
		"another key, by x5u":      m.sign(jwt.SigningMethodRS256, own, change{"x5u": "https://evil.example/key.pem", "x5t#S256": base64.RawURLEncoding.EncodeToString(thumb)}, nil),
		"another key, another kid": m.sign(jwt.SigningMethodRS256, own, change{"kid": "mine", "jwk": jwk}, nil),
		"an EC key":                m.sign(jwt.SigningMethodES256, curve, nil, nil),
		"an unknown kid":           m.sign(jwt.SigningMethodRS256, m.key, change{"kid": "x"}, nil),
		"no kid":                   m.sign(jwt.SigningMethodRS256, m.key, change{"kid": nil}, nil),
		"a list of kids":           m.sign(jwt.SigningMethodRS256, m.key, change{"kid": []any{m.kid}}, nil),
		"a kid that is a path":     m.sign(jwt.SigningMethodRS256, m.key, change{"kid": "../../../../dev/null"}, nil),
		"HS256 with nothing":       m.sign(jwt.SigningMethodHS256, []byte{}, nil, nil),
		"HS256 with nothing, none": m.sign(jwt.SigningMethodHS256, []byte{}, change{"kid": "../../../../dev/null"}, nil),
	}
	for name, secret := range map[string][]byte{
		"PKCS #1": x509.MarshalPKCS1PublicKey(&m.key.PublicKey), "SPKI": spki, "modulus": m.key.N.Bytes(),
		"PEM":   pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki}),
		"PEM 1": pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(&m.key.PublicKey)}),
	} {
		all["HS256 with the public key, "+name] = m.sign(jwt.SigningMethodHS256, secret, nil, nil)
		all["HS512 with the public key, "+name] = m.sign(jwt.SigningMethodHS512, secret, nil, nil)
		// The header of the real thing over a signature of the other kind.
		mac := strings.Split(m.sign(jwt.SigningMethodHS256, secret, change{"alg": "RS256"}, nil), ".")
		all["RS256 in name, HMAC with the public key, "+name] = strings.Join(mac, ".")
	}
	return all
}

// segment is a header or a set of claims as a token bears it.
func (m *mint) segment(members map[string]any, c change) string {
	m.t.Helper()
	all := jwt.MapClaims(maps.Clone(members))
	c.in(all)
	text, err := jwt.NewWithClaims(jwt.SigningMethodNone, all).SigningString()
	if err != nil {
		m.t.Fatal(err)
	}
	return strings.Split(text, ".")[1]
}

// flipped is a segment with the last bit of one character changed.
func flipped(segment string, at int) string {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	other := digits[strings.IndexByte(digits, segment[at])^1]
	return segment[:at] + string(other) + segment[at+1:]
}
