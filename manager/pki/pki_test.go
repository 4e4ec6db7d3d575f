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

// TestRotation: whoever holds the bundle from a while ago, or the one of now,
// trusts what is signed, in every step and between replicas that are not equally
// far.
func TestRotation(t *testing.T) {
	ctx, c, now := context.Background(), fake.NewFakeClient(), time.Now()
	due := now.Add(authorityLife*2/3 + time.Hour)
	first := load(t, c, now)
	token := first.Token(pod, now.Add(10*authorityLife))
	a, b := load(t, c, now), load(t, c, now)
	verified := func(step string, signer, holder *Authority, at time.Time) {
		t.Helper()
		cert, err := signer.Serving([]string{"manager"}, nil, at)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := cert.Leaf.Verify(x509.VerifyOptions{Roots: holder.Pool(), CurrentTime: at, DNSName: "manager"}); err != nil {
			t.Errorf("%s: %v", step, err)
		}
	}
	for _, step := range []struct {
		name           string
		at             time.Time
		bundle, signer bool // whether they change
	}{
		{"not due", due.Add(-2 * time.Hour), false, false},
		{"announced", due, true, false},
		{"still announced", due.Add(announceLife - 2*time.Hour), false, false},
		{"signs", due.Add(announceLife), true, true},
		{"goes on", due.Add(authorityLife / 2), false, false},
	} {
		bundle, signer := string(a.Bundle()), a.now.Load().cert
		if err := a.Renew(ctx, c, "intercept-system", step.at); err != nil {
			t.Fatal(err)
		}
		if got := string(a.Bundle()) != bundle; got != step.bundle {
			t.Errorf("%s: the bundle changes: %v", step.name, got)
		}
		if got := !a.now.Load().cert.Equal(signer); got != step.signer {
			t.Errorf("%s: the signer changes: %v", step.name, got)
		}
		verified(step.name+", for who is behind", a, b, step.at)
		verified(step.name+", by who is behind", b, a, step.at)
		if err := b.Renew(ctx, c, "intercept-system", step.at); err != nil {
			t.Fatal(err)
		}
		if string(a.Bundle()) != string(b.Bundle()) {
			t.Errorf("%s: the replicas have no authority in common", step.name)
		}
		if err := a.CheckToken(pod, token, step.at); err != nil {
			t.Errorf("%s: an enrollment token does not survive: %v", step.name, err)
		}
	}
}

// TestExpiredAuthority: where nobody was there to rotate in time, there is a new
// authority at once.
func TestExpiredAuthority(t *testing.T) {
	c, now := fake.NewFakeClient(), time.Now()
	old := load(t, c, now)
	fresh := load(t, c, now.Add(2*authorityLife))
	if fresh.now.Load().cert.Equal(old.now.Load().cert) || !strings.Contains(string(fresh.Bundle()), strings.TrimSpace(string(old.Bundle()))) {
		t.Error("there is no new authority, or it does not know the old one")
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
