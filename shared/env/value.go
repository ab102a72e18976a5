package env

import (
	"net/url"
	"strings"
)

// secret is one variable that may be given by its own name or by ARN.
type secret struct {
	to    *Secret
	name  string // of the variable that was given
	arn   string
	check func(string) string
}

// secret reads NAME or NAME_ARN, of which exactly one may be given. What check returns
// is the fault of a value, in words that do not quote it.
func (r *reader) secret(to *Secret, name string, required bool, check func(string) string) {
	value, arn := r.get(name), r.get(name+"_ARN")
	switch {
	case value != "" && arn != "":
		r.fault(name, "given together with %s_ARN, and only one may be", name)
	case value != "":
		if fault := check(value); fault != "" {
			r.fault(name, "%s", fault)
		}
		*to = Secret(value)
	case arn != "":
		if _, ok := regionOf(arn); !ok {
			r.fault(name+"_ARN", "%s is not the ARN of a secret", shown(arn))
			return
		}
		r.secrets = append(r.secrets, &secret{to: to, name: name + "_ARN", arn: arn, check: check})
	case required:
		r.fault(name, "missing")
	}
}

// url reads an absolute http(s) URL. A missing one is a fault only where it is
// required.
func (r *reader) url(name string, required bool) string {
	text := r.get(name)
	if text == "" {
		if required {
			r.fault(name, "missing")
		}
		return ""
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
		r.fault(name, "not a URL like https://host")
	}
	return text
}

func databaseURL(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return "not a URL like postgres://user:password@host/name"
	}
	return ""
}

// redisURL looks at the first of the list only: the gate's client judges the rest.
func redisURL(text string) string {
	first, _, _ := strings.Cut(text, ",")
	u, err := url.Parse(strings.TrimSpace(first))
	if err != nil || u.Scheme != "redis" && u.Scheme != "rediss" || u.Hostname() == "" {
		return "not a URL like redis://host:6379, or a list of them"
	}
	return ""
}

// headerText refuses what cannot stand in an Authorization header.
func headerText(text string) string {
	for _, c := range []byte(text) {
		if c <= ' ' || c > '~' {
			return "bears a character that is not visible ASCII"
		}
	}
	return ""
}

// regionOf reads the region of a secret's ARN:
// arn:partition:secretsmanager:region:account:secret:name.
func regionOf(arn string) (string, bool) {
	parts := strings.SplitN(arn, ":", 7)
	if len(parts) != 7 || parts[0] != "arn" || parts[2] != "secretsmanager" || parts[5] != "secret" || parts[6] == "" {
		return "", false
	}
	for _, c := range []byte(parts[3]) {
		if c != '-' && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return "", false // it becomes part of a host name
		}
	}
	return parts[3], parts[3] != ""
}
