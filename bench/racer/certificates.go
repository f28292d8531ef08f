package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

type identity struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// makeCertificates writes an authority, and what it signed for API server, proxy and node; and the owner's key.
func makeCertificates() {
	must(0, os.MkdirAll(*dir, 0700))
	authority := makeCertificate("ca", pkix.Name{CommonName: "ca"}, nil, true)
	makeCertificate("server", pkix.Name{CommonName: "server"}, authority, false)
	makeCertificate("proxy", pkix.Name{CommonName: "proxy"}, authority, false)
	makeCertificate("node", pkix.Name{CommonName: "system:node:worker", Organization: []string{"system:nodes"}}, authority, false)
	makeCertificate("signing", pkix.Name{CommonName: "signing"}, nil, false)
}

func makeCertificate(name string, subject pkix.Name, issuer *identity, isAuthority bool) *identity {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: subject,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
		IPAddresses: []net.IP{net.ParseIP("127.0.0.1")}, DNSNames: []string{"localhost"},
		BasicConstraintsValid: true, IsCA: isAuthority, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if isAuthority {
		template.KeyUsage |= x509.KeyUsageCertSign
		template.ExtKeyUsage = nil
	}
	if issuer == nil {
		issuer = &identity{template, key}
	}
	der := must(x509.CreateCertificate(rand.Reader, template, issuer.certificate, &key.PublicKey, issuer.key))
	write := func(file, kind string, bytes []byte, mode os.FileMode) {
		must(0, os.WriteFile(filepath.Join(*dir, file), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes}), mode))
	}
	write(name+".crt", "CERTIFICATE", der, 0644)
	write(name+".key", "PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(key)), 0600)
	return &identity{must(x509.ParseCertificate(der)), key}
}

func loadKey(name string) *ecdsa.PrivateKey {
	block, _ := pem.Decode(must(os.ReadFile(filepath.Join(*dir, name+".key"))))
	return must(x509.ParsePKCS8PrivateKey(block.Bytes)).(*ecdsa.PrivateKey)
}

func loadAuthority() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(must(os.ReadFile(filepath.Join(*dir, "ca.crt"))))
	return pool
}

func loadPair(name string) tls.Certificate {
	return must(tls.LoadX509KeyPair(filepath.Join(*dir, name+".crt"), filepath.Join(*dir, name+".key")))
}
