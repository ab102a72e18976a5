package env

import (
	"crypto/x509"
	"net"
	"net/url"
	"slices"
	"strings"
)

// The rule of the wire: whoever is not this machine is spoken to over TLS, with his
// certificate and his name verified, unless TLS_REQUIRED=false. What cannot be so is a
// fault at the start: a connection that tries TLS and then goes on without it belongs
// to whoever stands in the middle.
const (
	wantsHTTPS  = "plain http to another machine: say https, or set TLS_REQUIRED=false"
	wantsRediss = "plain text to another machine: say rediss://, or set TLS_REQUIRED=false"
	wantsVerify = "its sslmode lets others stand in the middle: say verify-full or nothing, or set TLS_REQUIRED=false"
	wantsOneWay = "its sslmode falls back to plain text: say disable, require or verify-full"
	wantsNoWord = "with DATABASE_IAM it names a user and bears no password"
)

// plain says that plain text may be spoken with a host.
func (r *reader) plain(host string) bool { return r.plainText || local(host) }

// local says that no wire leads to a host: a loopback address, or a socket's folder.
func local(host string) bool {
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback() || strings.EqualFold(host, "localhost") || strings.HasPrefix(host, "/")
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
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil:
		r.fault(name, "not a URL like https://host")
	case u.Scheme == "http" && !r.plain(u.Hostname()):
		r.fault(name, wantsHTTPS)
	}
	return text
}

// database keeps a URL that says how TLS is spoken: where it says nothing that is
// verify-full, and on this machine, or with TLS_REQUIRED=false, plain text. With iam the
// password is not the URL's.
func (r *reader) database(to *Secret, iam bool) func(string) string {
	return func(text string) string {
		u, err := url.Parse(text)
		// The driver takes anything else for a list of key=value.
		if err != nil || !strings.HasPrefix(text, "postgres://") && !strings.HasPrefix(text, "postgresql://") {
			return "not a URL like postgres://user:password@host/name"
		}
		query, err := url.ParseQuery(u.RawQuery)
		if err != nil {
			return "its parameters are malformed"
		}
		if _, word := u.User.Password(); iam && (word || query.Has("password") || u.User.Username() == "") {
			return wantsNoWord
		}
		mode, plain := query.Get("sslmode"), r.plain(r.databaseHost(u, query))
		switch {
		case mode == "" && !query.Has("ssl"):
			mode = "verify-full"
			vouched := query.Has("sslrootcert") || r.get("DATABASE_CA") != "" || r.get("DATABASE_CA_ARN") != ""
			if plain && !vouched {
				mode = "disable"
			}
			query.Set("sslmode", mode)
			u.RawQuery = query.Encode()
			text = u.String()
		case mode == "prefer" || mode == "allow":
			if plain {
				return wantsOneWay
			}
			return wantsVerify
		case mode != "verify-full" && !plain:
			return wantsVerify
		}
		*to = Secret(text)
		return ""
	}
}

// databaseHost finds the host where the driver does. Without any that is a socket, or
// this machine. Of a list it gives one that is elsewhere, if there is one.
func (r *reader) databaseHost(u *url.URL, query url.Values) string {
	list := query.Get("host")
	if list == "" {
		list = u.Host
	}
	if list == "" {
		list = r.get("PGHOST")
	}
	if list == "" {
		return "localhost"
	}
	hosts := strings.Split(list, ",")
	for i, host := range hosts {
		if bare, _, err := net.SplitHostPort(host); err == nil {
			hosts[i] = bare
		}
		hosts[i] = strings.Trim(hosts[i], "[]")
	}
	if i := slices.IndexFunc(hosts, func(host string) bool { return !local(host) }); i >= 0 {
		return hosts[i]
	}
	return hosts[0]
}

// redis keeps a URL, or a list of them. It looks at the scheme of the first, which is
// the others' too, and at everybody's host: the gate's client judges the rest.
func (r *reader) redis(to *Secret) func(string) string {
	return func(text string) string {
		scheme := ""
		for i, one := range strings.Split(text, ",") {
			one = strings.TrimSpace(one)
			if i > 0 && !strings.Contains(one, "://") {
				one = scheme + "://" + one
			}
			u, err := url.Parse(one)
			if i == 0 && (err != nil || u.Scheme != "redis" && u.Scheme != "rediss" || u.Hostname() == "") {
				return "not a URL like redis://host:6379, or a list of them"
			}
			if err != nil {
				return "one of its list is not a URL"
			}
			scheme = u.Scheme
			if scheme != "rediss" && !r.plain(u.Hostname()) {
				return wantsRediss
			}
		}
		*to = Secret(text)
		return ""
	}
}

// authority keeps certificates in PEM: who may vouch for a server beside the system's
// own, since a proxy in front of a server may have a public certificate.
func authority(to **x509.CertPool) func(string) string {
	return func(text string) string {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM([]byte(text)) {
			return "not certificates in PEM"
		}
		*to = pool
		return ""
	}
}
