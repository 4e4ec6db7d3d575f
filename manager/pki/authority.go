// Package pki is the traffic-manager's own certificate authority. It is made
// at run time, kept in one Secret that all replicas share and never rendered
// into a template. It signs the replicas' serving certificates and the client
// certificates by which agents prove which pod they are.
package pki

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"slices"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// SecretName is the Secret, in the manager's namespace, that holds the
// authority.
const SecretName = "traffic-manager-tls"

// Lifetimes. When a third of an authority's life is left its successor is made,
// and for announceLife only the bundle has it: whoever checks signatures learns of
// it before there are any. Then it signs, and the old certificate stays in the
// bundle until the next rotation.
const (
	authorityLife = 3 * 365 * 24 * time.Hour
	announceLife  = 30 * 24 * time.Hour
	servingLife   = 30 * 24 * time.Hour
	agentLife     = 365 * 24 * time.Hour
)

const (
	keyBundle = "ca.crt"
	keyCert   = "tls.crt"
	keyKey    = "tls.key"
	keyEnroll = "enroll.key"
	// Of the successor, while it is only announced.
	keyNextCert = "next.crt"
	keyNextKey  = "next.key"
)

// Authority signs certificates and enrollment tokens. It is safe for concurrent
// use; a Keeper replaces what it signs with.
type Authority struct{ now atomic.Pointer[material] }

// material is one authority as its Secret holds it.
type material struct {
	cert   *x509.Certificate
	key    crypto.Signer
	bundle []byte // PEM: this authority and the one before or after it
	enroll []byte
}

// Load reads the authority from its Secret; it makes or replaces it when that
// is due. Replicas that race agree on one.
func Load(ctx context.Context, c client.Client, namespace string, now time.Time) (*Authority, error) {
	a := &Authority{}
	return a, a.Renew(ctx, c, namespace, now)
}

// Renew is Load for an authority that is in use.
func (a *Authority) Renew(ctx context.Context, c client.Client, namespace string, now time.Time) error {
	m, err := read(ctx, c, namespace, now)
	if err == nil {
		a.now.Store(m)
	}
	return err
}

func read(ctx context.Context, c client.Client, namespace string, now time.Time) (*material, error) {
	key := client.ObjectKey{Namespace: namespace, Name: SecretName}
	for range 5 {
		var s corev1.Secret
		err := c.Get(ctx, key, &s)
		if err != nil && !apierrors.IsNotFound(err) {
			return nil, fmt.Errorf("read secret %s: %w", key, err)
		}
		missing := err != nil
		data, err := rotate(s.Data, now)
		if err != nil {
			return nil, fmt.Errorf("make authority: %w", err)
		}
		if data == nil {
			return parse(s.Data)
		}
		s.Name, s.Namespace, s.Data, s.Type = key.Name, key.Namespace, data, corev1.SecretTypeOpaque
		metav1.SetMetaDataLabel(&s.ObjectMeta, "app.kubernetes.io/managed-by", "traffic-manager")
		if missing {
			err = c.Create(ctx, &s)
		} else {
			err = c.Update(ctx, &s)
		}
		if err == nil {
			return parse(data)
		}
		if !apierrors.IsAlreadyExists(err) && !apierrors.IsConflict(err) {
			return nil, fmt.Errorf("write secret %s: %w", key, err)
		}
	}
	return nil, fmt.Errorf("secret %s keeps changing", key)
}

// rotate returns what the Secret is to hold from now on; nil for what it does.
func rotate(old map[string][]byte, now time.Time) (map[string][]byte, error) {
	current, err := parse(old)
	if err != nil || !now.Before(current.cert.NotAfter) {
		cert, key, err := generate(now)
		return assemble(old, cert, key, old[keyCert]), err
	}
	next, err := tls.X509KeyPair(old[keyNextCert], old[keyNextKey])
	switch {
	case err == nil && !now.Before(next.Leaf.NotBefore.Add(announceLife)):
		return assemble(old, old[keyNextCert], old[keyNextKey], old[keyCert]), nil
	case err != nil && !now.Before(current.cert.NotAfter.Add(-authorityLife/3)):
		cert, key, err := generate(now)
		data := assemble(old, old[keyCert], old[keyKey], cert)
		data[keyNextCert], data[keyNextKey] = cert, key
		return data, err
	}
	return nil, nil
}

// assemble is a Secret in which one authority signs and another is trusted, too.
func assemble(old map[string][]byte, cert, key, other []byte) map[string][]byte {
	enroll := old[keyEnroll]
	if len(enroll) < 32 {
		enroll = make([]byte, 32)
		rand.Read(enroll)
	}
	return map[string][]byte{keyCert: cert, keyKey: key, keyEnroll: enroll, keyBundle: slices.Concat(cert, other)}
}

// generate makes an authority, in PEM.
func generate(now time.Time) (cert, key []byte, err error) {
	pair, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	t := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "traffic-manager authority"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(authorityLife),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, pair.Public(), pair)
	if err != nil {
		return nil, nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(pair)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), nil
}

func parse(data map[string][]byte) (*material, error) {
	pair, err := tls.X509KeyPair(data[keyCert], data[keyKey])
	if err != nil {
		return nil, err
	}
	key, ok := pair.PrivateKey.(crypto.Signer)
	if !ok || len(data[keyEnroll]) < 32 || len(data[keyBundle]) == 0 {
		return nil, errors.New("incomplete authority")
	}
	return &material{cert: pair.Leaf, key: key, bundle: data[keyBundle], enroll: data[keyEnroll]}, nil
}

// Bundle is what agents check manager certificates against, in PEM.
func (a *Authority) Bundle() []byte { return a.now.Load().bundle }

// Pool is the bundle as a pool.
func (a *Authority) Pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AppendCertsFromPEM(a.Bundle())
	return p
}

// Serving makes a certificate for a replica.
func (a *Authority) Serving(names []string, ips []net.IP, now time.Time) (*tls.Certificate, error) {
	m := a.now.Load()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names, IPAddresses: ips,
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(servingLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, m.cert, key.Public(), m.key)
	if err != nil {
		return nil, fmt.Errorf("sign serving certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}

func serial() *big.Int {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		panic(err) // the system has no randomness: nothing here can be safe
	}
	return n
}
