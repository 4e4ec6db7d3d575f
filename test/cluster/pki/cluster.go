package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/kubectl-intercept/kubectl-intercept/test/cluster/plan"
)

// Ensure makes what the cluster's components need and what is not there yet:
// authorities, server certificates, the service accounts' key, kubeconfigs.
func Ensure(c plan.Cluster) error {
	dir := c.Path("pki")
	ca, err := LoadOrCreate(dir, "ca")
	if err != nil {
		return err
	}
	front, err := LoadOrCreate(dir, "front-proxy-ca")
	if err != nil {
		return err
	}
	if err := serviceAccountKey(dir); err != nil {
		return err
	}
	files := []struct {
		name    string
		by      *Authority
		subject Subject
	}{
		{"apiserver", ca, Subject{Name: "kube-apiserver", Hosts: []string{
			"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
			"kubernetes.default.svc." + plan.Domain, "127.0.0.1", plan.KubernetesIP, c.API().String()}}},
		{"apiserver-kubelet-client", ca, Subject{Name: "kube-apiserver-kubelet-client", Groups: []string{"system:masters"}}},
		{"front-proxy-client", front, Subject{Name: "front-proxy-client"}},
	}
	for _, n := range c.AllNodes() {
		files = append(files, struct {
			name    string
			by      *Authority
			subject Subject
		}{n.Name, ca, Subject{Name: "system:node:" + n.Name, Groups: []string{"system:nodes"},
			Hosts: []string{n.Name, "127.0.0.1", n.Address.String()}}})
	}
	for _, f := range files {
		if _, err := os.Stat(filepath.Join(dir, f.name+".crt")); err == nil {
			continue
		}
		pair, err := f.by.Issue(f.subject)
		if err != nil {
			return err
		}
		if err := pair.Write(dir, f.name); err != nil {
			return err
		}
	}
	clients := map[string]Subject{
		"admin":                   {Name: "admin", Groups: []string{"system:masters"}},
		"kube-controller-manager": {Name: "system:kube-controller-manager"},
		"kube-scheduler":          {Name: "system:kube-scheduler"},
		"kube-proxy":              {Name: "system:kube-proxy"},
	}
	for _, n := range c.AllNodes() {
		clients[n.Name] = Subject{Name: "system:node:" + n.Name, Groups: []string{"system:nodes"}}
	}
	for who, subject := range clients {
		if _, err := os.Stat(c.Kubeconfig(who)); err == nil {
			continue
		}
		if err := writeKubeconfig(c, ca, subject, c.Kubeconfig(who)); err != nil {
			return err
		}
	}
	return nil
}

// User returns the kubeconfig of a person with this name and these groups.
// Every call makes a new certificate, so groups can change.
func User(c plan.Cluster, name string, groups []string) (string, error) {
	ca, err := LoadOrCreate(c.Path("pki"), "ca")
	if err != nil {
		return "", err
	}
	file := c.Path("users", strings.ReplaceAll(name, "/", "_")+".yaml")
	return file, writeKubeconfig(c, ca, Subject{Name: name, Groups: groups}, file)
}

func writeKubeconfig(c plan.Cluster, ca *Authority, s Subject, file string) error {
	pair, err := ca.Issue(s)
	if err != nil {
		return err
	}
	config := clientcmdapi.NewConfig()
	config.Clusters[c.Name] = &clientcmdapi.Cluster{Server: c.Server(), CertificateAuthorityData: ca.PEM}
	config.AuthInfos[s.Name] = &clientcmdapi.AuthInfo{ClientCertificateData: pair.Cert, ClientKeyData: pair.Key}
	config.Contexts[c.Name] = &clientcmdapi.Context{Cluster: c.Name, AuthInfo: s.Name}
	config.CurrentContext = c.Name
	data, err := clientcmd.Write(*config)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return replace(file, data, 0o600)
}

func serviceAccountKey(dir string) error {
	file := filepath.Join(dir, "sa.key")
	if _, err := os.Stat(file); err == nil {
		return nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	if err := replace(filepath.Join(dir, "sa.pub"),
		pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), 0o644); err != nil {
		return err
	}
	return replace(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
}
