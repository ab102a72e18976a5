package servertest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"testing"
	"time"
)

// Authority signs certificates of servers for the length of a test. Nobody trusts it who is not told to.
type Authority struct {
	t      testing.TB
	signer *x509.Certificate
	key    *ecdsa.PrivateKey
	PEM    []byte // its own certificate
	Pool   *x509.CertPool
}

// Certificate is a server's, in PEM.
type Certificate struct{ Chain, Key []byte }

// NewAuthority makes an authority.
func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	a, err := newAuthority()
	if err != nil {
		t.Fatal(err)
	}
	a.t = t
	return a
}

func newAuthority() (*Authority, error) {
	a := &Authority{Pool: x509.NewCertPool()}
	form := form("an authority of this test")
	form.IsCA, form.BasicConstraintsValid = true, true
	form.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	c, key, err := seal(form, form, nil)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(c.Chain)
	if a.signer, err = x509.ParseCertificate(block.Bytes); err != nil {
		return nil, err
	}
	a.key, a.PEM = key, c.Chain
	a.Pool.AddCert(a.signer)
	return a, nil
}

// Vouched makes a certificate for host names and addresses, and that of the authority behind it, in PEM: for servers that
// no test starts.
func Vouched(names ...string) (shown Certificate, authority []byte, err error) {
	a, err := newAuthority()
	if err != nil {
		return Certificate{}, nil, err
	}
	shown, _, err = seal(form("a server", names...), a.signer, a.key)
	return shown, a.PEM, err
}

// Issue makes a certificate for host names and addresses.
func (a *Authority) Issue(names ...string) Certificate {
	a.t.Helper()
	return sealed(a.t, form("a server of this test", names...), a.signer, a.key)
}

// Expired makes a certificate that was good until a moment ago.
func (a *Authority) Expired(names ...string) Certificate {
	a.t.Helper()
	form := form("a server of this test", names...)
	form.NotAfter = time.Now().Add(-time.Minute)
	return sealed(a.t, form, a.signer, a.key)
}

// SelfSigned makes a certificate that nobody but its own key vouches for.
func SelfSigned(t testing.TB, names ...string) Certificate {
	t.Helper()
	form := form("a server of this test", names...)
	return sealed(t, form, form, nil)
}

// Config has a server of this process show the certificate.
func (c Certificate) Config(t testing.TB) *tls.Config {
	t.Helper()
	pair, err := tls.X509KeyPair(c.Chain, c.Key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
}

// Quiet is the log of a server whose callers break off on purpose.
var Quiet = log.New(io.Discard, "", 0)

// form is what is signed: valid since yesterday and until tomorrow.
func form(subject string, names ...string) *x509.Certificate {
	now := time.Now()
	c := &x509.Certificate{
		Subject: pkix.Name{CommonName: subject}, SerialNumber: big.NewInt(now.UnixNano()),
		NotBefore: now.Add(-24 * time.Hour), NotAfter: now.Add(24 * time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else {
			c.DNSNames = append(c.DNSNames, name)
		}
	}
	return c
}

// sealed is seal for a test.
func sealed(t testing.TB, form, signer *x509.Certificate, signing *ecdsa.PrivateKey) Certificate {
	t.Helper()
	c, _, err := seal(form, signer, signing)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// seal makes a key, and has it certified; nil: it signs for itself.
func seal(form, signer *x509.Certificate, signing *ecdsa.PrivateKey) (c Certificate, key *ecdsa.PrivateKey, err error) {
	if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return c, nil, err
	}
	if signing == nil {
		signing = key
	}
	der, err := x509.CreateCertificate(rand.Reader, form, signer, &key.PublicKey, signing)
	if err != nil {
		return c, nil, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return c, nil, err
	}
	return Certificate{
		Chain: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		Key:   pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}),
	}, key, nil
}
