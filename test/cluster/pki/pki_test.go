package pki

import (
	"crypto/x509"
	"encoding/pem"
	"testing"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/kubectl-intercept/kubectl-intercept/test/cluster/plan"
)

func TestAuthorityIsKept(t *testing.T) {
	dir := t.TempDir()
	first, err := LoadOrCreate(dir, "ca")
	if err != nil {
		t.Fatal(err)
	}
	second, err := LoadOrCreate(dir, "ca")
	if err != nil {
		t.Fatal(err)
	}
	if string(first.PEM) != string(second.PEM) {
		t.Error("the second call made another authority")
	}
}

func TestIssuedCertificatesVerify(t *testing.T) {
	ca, err := LoadOrCreate(t.TempDir(), "ca")
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.PEM)
	server := issue(t, ca, Subject{Name: "server", Hosts: []string{"name.test", "198.18.0.2"}})
	for _, host := range []string{"name.test", "198.18.0.2"} {
		if _, err := server.Verify(x509.VerifyOptions{Roots: roots, DNSName: host}); err != nil {
			t.Errorf("as a server at %s: %v", host, err)
		}
	}
	client := issue(t, ca, Subject{Name: "jane", Groups: []string{"devs"}})
	if _, err := client.Verify(x509.VerifyOptions{Roots: roots}); err == nil {
		t.Error("a client's certificate is good for a server")
	}
	usage := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if _, err := client.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: usage}); err != nil {
		t.Errorf("as a client: %v", err)
	}
	if client.Subject.CommonName != "jane" || client.Subject.Organization[0] != "devs" {
		t.Errorf("subject is %s", client.Subject)
	}
}

func TestUserKubeconfig(t *testing.T) {
	c := plan.Cluster{Name: "one", Slot: 3, Nodes: 1, Root: t.TempDir()}
	if err := Ensure(c); err != nil {
		t.Fatal(err)
	}
	file, err := User(c, "team/jane", []string{"devs"})
	if err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", file)
	if err != nil {
		t.Fatal(err)
	}
	if config.Host != "https://198.18.3.2:6443" {
		t.Errorf("server is %s", config.Host)
	}
	block, _ := pem.Decode(config.CertData)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if cert.Subject.CommonName != "team/jane" {
		t.Errorf("user is %s", cert.Subject.CommonName)
	}
}

func issue(t *testing.T, ca *Authority, s Subject) *x509.Certificate {
	t.Helper()
	pair, err := ca.Issue(s)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(pair.Cert)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}
