package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	// defaultPort is where the API listens; the ports of the rest follow it.
	defaultPort = 3000
	// localSecret is the simulator's API key. It opens nothing else.
	localSecret = "local-gateway-secret"
	issuer      = "https://issuer.stayhold.local"
	audience    = "stayhold"
)

// passedOn are the variables that reach those functions whose environment in the template names them.
var passedOn = []string{
	"HOLD_TTL", "PAYMENT_WINDOW", "GATEWAY_TIMEOUT", "GATEWAY_SESSION", "SWEEP_GRACE", "MAX_OPEN_HOLDS", "DATABASE_POOLER",
	"DATABASE_CA", "REDIS_CA", "TLS_REQUIRED", "LOG_LEVEL",
}

// settings are the environment variables of the local stack. What is empty is started here.
type settings struct {
	dir            string
	port           int
	databaseURL    string // of the owner, who migrates and arranges rows
	functionsURL   string // of the login that the functions have
	functionsLogin string // which the migration makes; empty: it is there already
	redisURL       string
	sqsEndpoint    string
	queueURL       string
	gatewayURL     string
	gatewaySecret  string
	ypayURL        string
	ypaySecret     string
	corsOrigins    string
	sweepInterval  time.Duration
	lambda         string // the endpoint of functions that run elsewhere; empty: they run here
	second         string // an address on which what is started here is reached too; empty: none
	passed         map[string]string
}

// readSettings reads the environment and names every fault in one error.
func readSettings(dir string, lookup func(string) (string, bool)) (settings, error) {
	get := func(name string) string { v, _ := lookup(name); return strings.TrimSpace(v) }
	s := settings{
		dir: dir, port: defaultPort, databaseURL: get("MIGRATE_DATABASE_URL"), functionsURL: get("DATABASE_URL"), redisURL: get("REDIS_URL"),
		sqsEndpoint: get("AWS_ENDPOINT_URL_SQS"), queueURL: get("COMPENSATION_QUEUE_URL"),
		gatewayURL: get("PAYMENT_GATEWAY_URL"), gatewaySecret: get("PAYMENT_GATEWAY_SECRET"),
		ypayURL: get("YPAY_GATEWAY_URL"), ypaySecret: get("YPAY_GATEWAY_SECRET"),
		corsOrigins: get("CORS_ALLOW_ORIGINS"), functionsLogin: get("FUNCTIONS_LOGIN"),
		lambda: strings.TrimSuffix(get("AWS_ENDPOINT_URL_LAMBDA"), "/"), second: get("ALSO_LISTEN"),
		passed: map[string]string{},
	}
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if text := get("PORT"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 65532 {
			fault("PORT: %q is not a port from 1 to 65532 (the three that follow it are used too)", text)
		}
		s.port = n
	}
	if text := get("SWEEP_INTERVAL"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil || d < 10*time.Millisecond || d > 24*time.Hour {
			fault("SWEEP_INTERVAL: %q is not a duration from 10ms to 24h, such as 60s", text)
		}
		s.sweepInterval = d
	}
	for origin := range strings.SplitSeq(s.corsOrigins, ",") {
		if origin != "" && !isOrigin(strings.TrimSpace(origin)) {
			fault("CORS_ALLOW_ORIGINS: %q is not an origin like https://shop.example", origin)
		}
	}
	switch own := fmt.Sprintf(":%d", s.port+1); {
	case s.lambda == "":
	case s.lambda == "*" || !isOrigin(s.lambda):
		fault("AWS_ENDPOINT_URL_LAMBDA: %q is not a URL like http://127.0.0.1:3004", s.lambda)
	case s.lambda == "http://127.0.0.1"+own || s.lambda == "http://localhost"+own:
		fault("AWS_ENDPOINT_URL_LAMBDA: %s is this stack's own invoke API, unset it", s.lambda)
	}
	if address := net.ParseIP(s.second); s.second != "" && (address == nil || address.IsUnspecified()) {
		fault("ALSO_LISTEN: %q is not the address of one network of this machine, such as 172.17.0.1", s.second)
	}
	if s.databaseURL != "" && s.functionsURL == "" {
		fault("DATABASE_URL: MIGRATE_DATABASE_URL needs it, set it too")
	}
	if s.databaseURL == "" {
		s.databaseURL = s.functionsURL
	}
	if (s.sqsEndpoint == "") != (s.queueURL == "") {
		fault("AWS_ENDPOINT_URL_SQS and COMPENSATION_QUEUE_URL: set both to bring a queue, or neither")
	}
	if s.gatewayURL != "" && s.gatewaySecret == "" {
		fault("PAYMENT_GATEWAY_SECRET: PAYMENT_GATEWAY_URL needs it, set it too")
	}
	for _, name := range passedOn {
		if v, ok := lookup(name); ok && v != "" {
			s.passed[name] = v
		}
	}
	return s, errors.Join(faults...)
}

// isOrigin says that a browser may name itself so, or that all are meant.
func isOrigin(text string) bool {
	u, err := url.Parse(text)
	return text == "*" || err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && text == u.Scheme+"://"+u.Host
}

// reach dials the servers that a URL, or a comma-separated list of them, names, so that one that refuses is told by
// name before anything waits for it. The error shows no password.
func reach(variable, list, defaultPort string, schemes ...string) error {
	for one := range strings.SplitSeq(list, ",") {
		u, err := url.Parse(strings.TrimSpace(one))
		if err != nil || u.Hostname() == "" {
			return fmt.Errorf("%s: it is not a URL like %s://host:%s", variable, schemes[0], defaultPort)
		}
		known := false
		for _, s := range schemes {
			known = known || u.Scheme == s
		}
		if !known {
			return fmt.Errorf("%s: it is not a URL like %s://host:%s", variable, schemes[0], defaultPort)
		}
		port := u.Port()
		if port == "" {
			port = defaultPort
		}
		conn, err := net.DialTimeout("tcp", net.JoinHostPort(u.Hostname(), port), 5*time.Second)
		if err != nil {
			return fmt.Errorf("%s: %s does not answer (%w): start that server, or unset %s to have one started here",
				variable, net.JoinHostPort(u.Hostname(), port), rootCause(err), variable)
		}
		if err := conn.Close(); err != nil {
			return err
		}
	}
	return nil
}

// rootCause is the innermost error: "connection refused" without the address, which stands in the line already.
func rootCause(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// oneLine writes an error, which may be several joined, on one line.
func oneLine(err error) string {
	return strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}
