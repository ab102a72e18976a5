package httpapi

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// KeyID is the key id that tokens bear.
const KeyID = "stayhold-local"

// maxCached is how many verified tokens are remembered before all are forgotten.
const maxCached = 20000

var (
	errNoToken = errors.New("no token")
	errKeyID   = errors.New("unknown key id")
)

// Authorizer issues and verifies the tokens of the local stack: RS256 with one key.
type Authorizer struct {
	key       *rsa.PrivateKey
	issuer    string
	audiences []string
	parser    *jwt.Parser

	mu     sync.RWMutex
	cached map[string]verified
}

// verified is a token whose signature was found good, with the claims as the function sees them.
type verified struct {
	claims  []byte
	expires time.Time
}

// NewAuthorizer takes the key at path, a PEM file in PKCS #8, and makes it if there is none, so that tokens outlive
// the stack that issued them.
func NewAuthorizer(path, issuer string, audiences []string) (*Authorizer, error) {
	if issuer == "" || len(audiences) == 0 {
		return nil, errors.New("the template names no issuer or no audience for tokens")
	}
	key, err := loadKey(path)
	if errors.Is(err, os.ErrNotExist) {
		key, err = makeKey(path)
	}
	if err != nil {
		return nil, fmt.Errorf("the key for tokens in %s: %w (remove the file to get a new one)", path, err)
	}
	return &Authorizer{
		key: key, issuer: issuer, audiences: audiences, cached: map[string]verified{},
		parser: jwt.NewParser(
			jwt.WithValidMethods([]string{"RS256"}), jwt.WithIssuer(issuer), jwt.WithAudience(audiences...),
			jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithJSONNumber(),
			// A signature has one spelling: the bits that its last character has to spare are zero.
			jwt.WithStrictDecoding(),
		),
	}, nil
}

func loadKey(path string) (*rsa.PrivateKey, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("not a PEM file")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("not an RSA key")
	}
	return key, nil
}

func makeKey(path string) (*rsa.PrivateKey, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	// Under another name first, so that a crash leaves no half a key.
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return nil, err
	}
	return key, os.Rename(path+".new", path)
}

// Issue makes a token for a user, whose id is its subject.
func (a *Authorizer) Issue(userID int64, lasting time.Duration) (string, error) {
	now := time.Now()
	token := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims{
		"iss": a.issuer, "aud": a.audiences[0], "sub": strconv.FormatInt(userID, 10),
		"iat": now.Unix(), "exp": now.Add(lasting).Unix(),
	})
	token.Header["kid"] = KeyID
	return token.SignedString(a.key)
}

// Claims verifies the token in an Authorization header, with or without "Bearer ", and returns its claims as JSON of
// strings only. Verified tokens are remembered until they expire.
func (a *Authorizer) Claims(header string) ([]byte, error) {
	token := strings.TrimSpace(header)
	if len(token) > 7 && strings.EqualFold(token[:7], "Bearer ") {
		token = strings.TrimSpace(token[7:])
	}
	if token == "" {
		return nil, errNoToken
	}
	a.mu.RLock()
	known, ok := a.cached[token]
	a.mu.RUnlock()
	if ok && time.Now().Before(known.expires) {
		return known.claims, nil
	}
	return a.verify(token)
}

func (a *Authorizer) verify(token string) ([]byte, error) {
	claims := jwt.MapClaims{}
	_, err := a.parser.ParseWithClaims(token, claims, func(t *jwt.Token) (any, error) {
		if t.Header["kid"] != KeyID {
			return nil, errKeyID
		}
		return &a.key.PublicKey, nil
	})
	if err != nil {
		return nil, err
	}
	expires, err := claims.GetExpirationTime()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(asStrings(claims))
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.cached) >= maxCached {
		clear(a.cached)
	}
	a.cached[token] = verified{text, expires.Time}
	return text, nil
}

// asStrings writes every claim as API Gateway does: as a string.
func asStrings(claims map[string]any) map[string]string {
	out := make(map[string]string, len(claims))
	for name, value := range claims {
		switch v := value.(type) {
		case string:
			out[name] = v
		case []any:
			parts := make([]string, len(v))
			for i, item := range v {
				parts[i] = fmt.Sprint(item)
			}
			out[name] = "[" + strings.Join(parts, " ") + "]"
		default:
			out[name] = fmt.Sprint(v)
		}
	}
	return out
}

// challenge is the header that goes with a 401.
func challenge(err error) string {
	if errors.Is(err, errNoToken) {
		return "Bearer"
	}
	reason := "the token is not valid"
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		reason = "the token has expired"
	case errors.Is(err, jwt.ErrTokenInvalidAudience):
		reason = "the token does not have a valid audience"
	case errors.Is(err, jwt.ErrTokenInvalidIssuer):
		reason = "the token's issuer is not accepted"
	case errors.Is(err, jwt.ErrTokenNotValidYet), errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		reason = "the token is not valid yet"
	}
	return `Bearer scope="" error="invalid_token" error_description="` + reason + `"`
}
