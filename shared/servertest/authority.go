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
	a := &Authority{t: t, Pool: x509.NewCertPool()}
	form := form("an authority of this test")
	form.IsCA, form.BasicConstraintsValid = true, true
	form.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	a.key = newKey(t)
	c := seal(t, form, form, a.key, a.key)
	block, _ := pem.Decode(c.Chain)
	signer, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	a.signer, a.PEM = signer, c.Chain
	a.Pool.AddCert(signer)
	return a
}

// Issue makes a certificate for host names and addresses.
func (a *Authority) Issue(names ...string) Certificate {
	a.t.Helper()
	key := newKey(a.t)
	return seal(a.t, form("a server of this test", names...), a.signer, key, a.key)
}

// Expired makes a certificate that was good until a moment ago.
func (a *Authority) Expired(names ...string) Certificate {
	a.t.Helper()
	form := form("a server of this test", names...)
	form.NotAfter = time.Now().Add(-time.Minute)
	key := newKey(a.t)
	return seal(a.t, form, a.signer, key, a.key)
}

// SelfSigned makes a certificate that nobody but its own key vouches for.
func SelfSigned(t testing.TB, names ...string) Certificate {
	t.Helper()
	form, key := form("a server of this test", names...), newKey(t)
	return seal(t, form, form, key, key)
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

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

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

func seal(t testing.TB, form, signer *x509.Certificate, key, signing *ecdsa.PrivateKey) Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, form, signer, &key.PublicKey, signing)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return Certificate{
		Chain: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		Key:   pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}),
	}
}
