package pki

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
)

var pod = Pod{Namespace: "shop", Name: "quote-1", UID: "7d1c"}

func load(t *testing.T, c client.Client, now time.Time) *Authority {
	t.Helper()
	a, err := Load(context.Background(), c, "intercept-system", now)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestReplicasShareOneAuthority(t *testing.T) {
	c := fake.NewFakeClient()
	now := time.Now()
	a, b := load(t, c, now), load(t, c, now.Add(time.Hour))
	if string(a.Bundle()) != string(b.Bundle()) {
		t.Error("the second replica has another authority")
	}
}

func TestRotationKeepsTheOldCertificate(t *testing.T) {
	c := fake.NewFakeClient()
	now := time.Now()
	old := load(t, c, now)
	token := old.Token(pod, now.Add(10*authorityLife))
	later := now.Add(authorityLife * 3 / 4)
	fresh := load(t, c, later)
	if string(fresh.Bundle()) == string(old.Bundle()) {
		t.Fatal("the authority was not replaced")
	}
	cert, err := old.Serving([]string{"manager"}, nil, later)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cert.Leaf.Verify(x509.VerifyOptions{Roots: fresh.Pool(), CurrentTime: later, DNSName: "manager"}); err != nil {
		t.Errorf("a certificate of the old authority is refused: %v", err)
	}
	if err := fresh.CheckToken(pod, token, later); err != nil {
		t.Errorf("an enrolment token does not survive the rotation: %v", err)
	}
}

// TestRenew: an authority in use is replaced in time, and by what another
// replica has made.
func TestRenew(t *testing.T) {
	ctx, c, now := context.Background(), fake.NewFakeClient(), time.Now()
	a, b := load(t, c, now), load(t, c, now)
	old := string(a.Bundle())
	later := now.Add(authorityLife * 3 / 4)
	for _, one := range []*Authority{a, b} {
		if err := one.Renew(ctx, c, "intercept-system", later); err != nil {
			t.Fatal(err)
		}
	}
	if string(a.Bundle()) == old || string(a.Bundle()) != string(b.Bundle()) || !strings.Contains(string(a.Bundle()), strings.TrimSpace(old)) {
		t.Error("the replicas have no new authority in common that trusts the old one")
	}
	cert, err := a.Serving([]string{"manager"}, nil, later)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cert.Leaf.Verify(x509.VerifyOptions{Roots: b.Pool(), CurrentTime: later, DNSName: "manager"}); err != nil {
		t.Error(err)
	}
}

func TestDamagedSecretIsReplaced(t *testing.T) {
	s := &corev1.Secret{Data: map[string][]byte{keyCert: []byte("nonsense")}}
	s.Namespace, s.Name = "intercept-system", SecretName
	load(t, fake.NewFakeClient(s), time.Now())
}

func TestTokens(t *testing.T) {
	a := load(t, fake.NewFakeClient(), time.Now())
	other := load(t, fake.NewFakeClient(), time.Now())
	now := time.Now()
	token := a.Token(pod, now.Add(time.Minute))
	cases := []struct {
		name  string
		pod   Pod
		token string
		at    time.Time
		want  string
	}{
		{"good", pod, token, now, ""},
		{"expired", pod, token, now.Add(2 * time.Minute), "expired"},
		{"of another pod", Pod{"shop", "quote-1", "other"}, token, now, "another pod"},
		{"shifted between fields", Pod{"sho", "pquote-1", "7d1c"}, token, now, "another pod"},
		{"of another authority", pod, other.Token(pod, now.Add(time.Minute)), now, "another pod"},
		{"garbage", pod, "%%%", now, "malformed"},
		{"empty", pod, "", now, "malformed"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			err := a.CheckToken(c.pod, c.token, c.at)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// An agent's certificate names its pod, whatever the request asked for.
func TestAgentCertificate(t *testing.T) {
	a := load(t, fake.NewFakeClient(), time.Now())
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: "somebody-else"}, DNSNames: []string{"traffic-manager"}}, key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := a.SignAgent(pod, csr, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	serving, err := a.Serving([]string{"manager"}, []net.IP{net.IPv4(10, 0, 0, 1)}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	near, far := net.Pipe()
	server := tls.Server(far, &tls.Config{Certificates: []tls.Certificate{*serving},
		ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: a.Pool()})
	cert := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	cl := tls.Client(near, &tls.Config{RootCAs: a.Pool(), ServerName: "manager", Certificates: []tls.Certificate{cert}})
	done := make(chan error, 1)
	go func() { done <- cl.Handshake() }()
	if err := server.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got, ok := PeerPod(server.ConnectionState()); !ok || got != pod {
		t.Errorf("peer is %v, %v", got, ok)
	}
	if _, ok := PeerPod(tls.ConnectionState{}); ok {
		t.Error("a peer without a certificate is a pod")
	}
	if _, err := a.SignAgent(pod, []byte("nonsense"), time.Now()); err == nil {
		t.Error("a malformed request is signed")
	}
}
