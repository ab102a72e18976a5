package env

import "strings"

// secret is one variable that may be given by its own name or by ARN.
type secret struct {
	name string // of the variable that was given
	arn  string
	take func(string) string
}

// secret reads NAME or NAME_ARN, of which exactly one may be given. Take keeps a value
// and returns its fault, in words that do not quote it.
func (r *reader) secret(name string, required bool, take func(string) string) {
	value, arn := r.get(name), r.get(name+"_ARN")
	switch {
	case value != "" && arn != "":
		r.fault(name, "given together with %s_ARN, and only one may be", name)
	case value != "":
		if fault := take(value); fault != "" {
			r.fault(name, "%s", fault)
		}
	case arn != "":
		if _, ok := regionOf(arn); !ok {
			r.fault(name+"_ARN", "%s is not the ARN of a secret", shown(arn))
			return
		}
		r.secrets = append(r.secrets, &secret{name: name + "_ARN", arn: arn, take: take})
	case required:
		r.fault(name, "missing")
	}
}

// header keeps what may stand in an Authorization header.
func header(to *Secret) func(string) string {
	return func(text string) string {
		for _, c := range []byte(text) {
			if c <= ' ' || c > '~' {
				return "bears a character that is not visible ASCII"
			}
		}
		*to = Secret(text)
		return ""
	}
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
