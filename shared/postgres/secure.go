package postgres

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"

	"github.com/jackc/pgx/v5"
)

// Settings reads what Open reads, for a driver's connection without a pool.
func Settings(o Options) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig(o.URL)
	if err != nil {
		return nil, unusable(err)
	}
	return config, secure(config, o.CA)
}

// unusable says what is wrong with a URL without its text, which bears a password.
func unusable(err error) error {
	var file *fs.PathError
	if errors.As(err, &file) {
		return errors.New("the database URL names a certificate or a key that cannot be read")
	}
	return errors.New("not a postgres:// URL")
}

// verifies says that a server's certificate is looked at.
func verifies(c *tls.Config) bool {
	return c != nil && (!c.InsecureSkipVerify || c.VerifyPeerCertificate != nil || c.VerifyConnection != nil)
}

// secure refuses a URL by which the driver would try TLS and go on without it, as it
// does where nothing is said, and has the authorities vouch for the server.
func secure(c *pgx.ConnConfig, ca *x509.CertPool) error {
	settings := []*tls.Config{c.TLSConfig}
	for _, other := range c.Fallbacks {
		settings = append(settings, other.TLSConfig)
		if other.Host == c.Host && (other.TLSConfig == nil) != (c.TLSConfig == nil) {
			return errors.New("the database URL must say its sslmode, and none that falls back to plain text: verify-full, or disable")
		}
	}
	for _, one := range settings {
		if ca != nil && !verifies(one) {
			return errors.New("the database's authorities are given, and its URL's sslmode does not ask them: say verify-full")
		}
		if one == nil {
			continue
		}
		one.MinVersion = tls.VersionTLS12
		if ca == nil {
			continue
		}
		if one.RootCAs != nil {
			return errors.New("the database's authorities are given twice, in the URL's sslrootcert and beside it")
		}
		one.RootCAs = ca
	}
	return nil
}
