// Package env reads a function's environment into one struct. It names every fault of
// every variable in one error of one line, so that a wrong deployment is put right in
// one go.
//
// Invariants: the value of a secret stands in no error and in no formatted Config; a
// variable and its _ARN form never stand together; a Config that is returned is whole,
// and nothing in it has plain text spoken with another machine unless TLS_REQUIRED=false.
//
// Secrets named by ARN are read from Secrets Manager once, side by side. When one of
// them cannot be read there is no Config, and the caller ends the process: the platform
// then starts another one, which begins anew.
package env

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Need names a group of variables that a function cannot do without.
type Need int

// The groups. Variables that only tune have defaults and belong to none.
const (
	Database  Need = 1 << iota // DATABASE_URL, DATABASE_CA, DATABASE_IAM, and AWS_* of the platform with the last
	Redis                      // REDIS_URL, REDIS_CA
	Gateway                    // PAYMENT_GATEWAY_URL and _SECRET, and YPAY_GATEWAY_*
	Queue                      // COMPENSATION_QUEUE_URL, AWS_ENDPOINT_URL_SQS, and AWS_* of the platform
	Migration                  // FUNCTIONS_LOGIN, which may be missing
)

// Secret is a value that formatting and logging never show.
type Secret string

// String stands in for the value.
func (Secret) String() string { return "[secret]" }

// GoString stands in for the value.
func (Secret) GoString() string { return "[secret]" }

// MarshalText stands in for the value.
func (Secret) MarshalText() ([]byte, error) { return []byte("[secret]"), nil }

// Reveal gives the value itself.
func (s Secret) Reveal() string { return string(s) }

// Config is a function's environment. Fields of groups that were not asked for are
// zero.
type Config struct {
	DatabaseURL    Secret         // says its sslmode
	DatabaseCA     *x509.CertPool // who vouches for the database; nil: the system's authorities
	DatabasePooler bool           // a transaction pooler stands in front of the database
	DatabaseIAM    bool           // the URL bears no password: see DatabaseToken
	FunctionsLogin Login          // whom the migration lets in as the functions; zero: nobody
	RedisURL       Secret
	RedisCA        *x509.CertPool // who vouches for Redis; nil: the system's authorities

	PaymentGatewayURL    string
	PaymentGatewaySecret Secret
	YPayGatewayURL       string // the payment gateway's where none is given
	YPayGatewaySecret    Secret

	CompensationQueueURL string
	SQSEndpoint          string // empty: the region's own
	Region               string
	AccessKeyID          string
	SecretAccessKey      Secret
	SessionToken         Secret // empty: long-lived credentials

	HoldTTL        time.Duration
	PaymentWindow  time.Duration
	GatewayTimeout time.Duration
	GatewaySession time.Duration
	SweepGrace     time.Duration
	MaxOpenHolds   int

	UserIDClaim      string
	LogLevel         slog.Level
	MetricsNamespace string // empty: the edge's own
}

// Read reads the groups that are needed and all that tunes. The error names every
// fault and shows no secret.
func Read(ctx context.Context, needs ...Need) (Config, error) {
	return read(ctx, os.Getenv, needs...)
}

// Use gives the value of a constructor, or ends the process with exit code 1 and one
// line on stderr, before any handler has started.
func Use[T any](value T, err error) T {
	if err != nil {
		line := strings.Join(strings.Fields(err.Error()), " ")
		fmt.Fprintln(os.Stderr, "STAYHOLD configuration: "+line)
		os.Exit(1)
	}
	return value
}

// reader collects faults while it reads.
type reader struct {
	get       func(string) string
	faults    []string
	secrets   []*secret
	plainText bool // may be spoken with other machines
}

func read(ctx context.Context, get func(string) string, needs ...Need) (Config, error) {
	var need Need
	for _, n := range needs {
		need |= n
	}
	r := &reader{get: get}
	c := Config{}
	r.tuning(&c)
	r.plainText = !r.flag("TLS_REQUIRED", true)
	if need&Database != 0 {
		r.secret("DATABASE_URL", true, r.database(&c.DatabaseURL, c.DatabaseIAM))
		r.secret("DATABASE_CA", false, authority(&c.DatabaseCA))
		if c.DatabaseIAM {
			r.account(&c, false)
		}
	}
	if need&Redis != 0 {
		r.secret("REDIS_URL", true, r.redis(&c.RedisURL))
		r.secret("REDIS_CA", false, authority(&c.RedisCA))
	}
	if need&Gateway != 0 {
		r.gateway(&c)
	}
	if need&Queue != 0 {
		r.queue(&c)
	}
	if need&Migration != 0 {
		r.secret("FUNCTIONS_LOGIN", false, login(&c.FunctionsLogin))
	}
	r.fetch(ctx)
	if len(r.faults) > 0 {
		return Config{}, errors.New(strings.Join(r.faults, "; "))
	}
	if c.YPayGatewaySecret == "" {
		c.YPayGatewaySecret = c.PaymentGatewaySecret
	}
	return c, nil
}

func (r *reader) fault(name, format string, args ...any) {
	r.faults = append(r.faults, name+": "+fmt.Sprintf(format, args...))
}

func (r *reader) tuning(c *Config) {
	const day = 24 * time.Hour
	c.HoldTTL = r.duration("HOLD_TTL", 300*time.Second, day)
	c.PaymentWindow = r.duration("PAYMENT_WINDOW", 120*time.Second, day)
	// An HTTP call is answered within 29 s or not at all.
	c.GatewayTimeout = r.duration("GATEWAY_TIMEOUT", 10*time.Second, 29*time.Second-time.Millisecond)
	c.GatewaySession = r.duration("GATEWAY_SESSION", 10*time.Minute, day)
	c.SweepGrace = r.duration("SWEEP_GRACE", 30*time.Second, day)
	if c.GatewaySession > 0 && c.GatewaySession <= c.GatewayTimeout {
		r.fault("GATEWAY_SESSION", "must be longer than GATEWAY_TIMEOUT")
	}
	// A function gets what it uses: beside a default, a value says nothing.
	if r.given("HOLD_TTL", "PAYMENT_WINDOW") && 0 < c.HoldTTL && c.HoldTTL < c.PaymentWindow {
		r.fault("HOLD_TTL", "must not be shorter than PAYMENT_WINDOW: no charge could begin without lengthening the hold")
	}
	c.MaxOpenHolds = 5
	if text := r.get("MAX_OPEN_HOLDS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 1_000_000 {
			r.fault("MAX_OPEN_HOLDS", "%s is not a whole number from 1 to 1000000", shown(text))
		}
		c.MaxOpenHolds = n
	}
	c.DatabasePooler = r.flag("DATABASE_POOLER", false)
	c.DatabaseIAM = r.flag("DATABASE_IAM", false)
	if c.MetricsNamespace = r.get("METRICS_NAMESPACE"); strings.ContainsFunc(c.MetricsNamespace, notInNamespace) || len(c.MetricsNamespace) > 255 {
		r.fault("METRICS_NAMESPACE", "%s is not a namespace of CloudWatch's", shown(c.MetricsNamespace))
	}
	c.UserIDClaim = "sub"
	if text := r.get("USER_ID_CLAIM"); text != "" {
		if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
			r.fault("USER_ID_CLAIM", "%s is not the name of a claim", shown(text))
		}
		c.UserIDClaim = text
	}
	if text := r.get("LOG_LEVEL"); text != "" {
		if c.LogLevel.UnmarshalText([]byte(text)) != nil {
			r.fault("LOG_LEVEL", "%s is none of debug, info, warn, error", shown(text))
		}
	}
}

// notInNamespace is what CloudWatch takes in no namespace.
func notInNamespace(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune(".-_/#", r)
}

// given says that all of these have been given.
func (r *reader) given(names ...string) bool {
	return !slices.ContainsFunc(names, func(name string) bool { return r.get(name) == "" })
}

func (r *reader) flag(name string, otherwise bool) bool {
	text := r.get(name)
	if text == "" {
		return otherwise
	}
	on, err := strconv.ParseBool(text)
	if err != nil {
		r.fault(name, "%s is neither true nor false", shown(text))
		return otherwise
	}
	return on
}

func (r *reader) duration(name string, otherwise, most time.Duration) time.Duration {
	text := r.get(name)
	if text == "" {
		return otherwise
	}
	d, err := time.ParseDuration(text)
	switch {
	case err != nil:
		r.fault(name, "%s is not a duration like 300s", shown(text))
	case d < time.Millisecond || d > most:
		r.fault(name, "%s is not between 1ms and %v", shown(text), most)
	default:
		return d
	}
	return 0
}

func (r *reader) gateway(c *Config) {
	c.PaymentGatewayURL = r.url("PAYMENT_GATEWAY_URL", true)
	c.YPayGatewayURL = r.url("YPAY_GATEWAY_URL", false)
	if c.YPayGatewayURL == "" {
		c.YPayGatewayURL = c.PaymentGatewayURL
	}
	r.secret("PAYMENT_GATEWAY_SECRET", true, header(&c.PaymentGatewaySecret))
	r.secret("YPAY_GATEWAY_SECRET", false, header(&c.YPayGatewaySecret))
}

func (r *reader) queue(c *Config) {
	c.CompensationQueueURL = r.url("COMPENSATION_QUEUE_URL", true)
	c.SQSEndpoint = r.url("AWS_ENDPOINT_URL_SQS", false)
	// An endpoint of one's own only wants to see some.
	r.account(c, c.SQSEndpoint != "")
}

// account reads who the function is to AWS. The platform sets that.
func (r *reader) account(c *Config, local bool) {
	c.Region = r.platform("AWS_REGION", local, "us-east-1")
	c.AccessKeyID = r.platform("AWS_ACCESS_KEY_ID", local, "local")
	c.SecretAccessKey = Secret(r.platform("AWS_SECRET_ACCESS_KEY", local, "local"))
	c.SessionToken = Secret(r.get("AWS_SESSION_TOKEN"))
}

func (r *reader) platform(name string, local bool, otherwise string) string {
	text := r.get(name)
	if text != "" {
		return text
	}
	if fault := name + ": missing"; !local && !slices.Contains(r.faults, fault) {
		r.faults = append(r.faults, fault)
	}
	return otherwise
}

// shown quotes a value that is no secret, on one line and not without end.
func shown(text string) string {
	if len(text) > 40 {
		text = text[:40] + "…"
	}
	return strconv.Quote(text)
}
