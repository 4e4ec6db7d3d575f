package credentials

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// certificate returns one in PEM, with its key.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
}

// What files hold is in the credentials, and survives being handed over.
func TestFilesAreRead(t *testing.T) {
	cert, key := certificate(t)
	cfg := &rest.Config{Host: "api.shop:6443", BearerTokenFile: write(t, "token", "secret\n"), TLSClientConfig: rest.TLSClientConfig{
		CAFile: write(t, "ca", cert), CertFile: write(t, "cert", cert), KeyFile: write(t, "key", key)}}
	c, err := Of(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var there Credentials
	if err := json.Unmarshal(b, &there); err != nil || !there.same(c) {
		t.Fatalf("%+v became %+v, %v", c, there, err)
	}
	got, err := there.Config()
	if err != nil || got.Host != "https://api.shop:6443" || got.BearerToken != "secret" || string(got.CAData) != cert || string(got.CertData) != cert ||
		string(got.KeyData) != key || got.BearerTokenFile+got.CAFile+got.CertFile+got.KeyFile != "" {
		t.Errorf("%+v, %v", got, err)
	}
}

// A plugin may issue a certificate. The command that ran it takes it along.
func TestPluginIssuesACertificate(t *testing.T) {
	cert, key := certificate(t)
	out, err := json.Marshal(map[string]any{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
		"status": map[string]any{"clientCertificateData": cert, "clientKeyData": key}})
	if err != nil {
		t.Fatal(err)
	}
	runs := filepath.Join(t.TempDir(), "runs")
	plugin := &clientcmdapi.ExecConfig{APIVersion: "client.authentication.k8s.io/v1", InteractiveMode: clientcmdapi.NeverExecInteractiveMode,
		Command: write(t, "plugin", "#!/bin/sh\necho run >> "+runs+"\ncat <<'END'\n"+string(out)+"\nEND\n")}
	cfg := &rest.Config{Host: "https://api.shop:6443", ExecProvider: plugin}
	c, err := Here(t.Context(), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tls.X509KeyPair(c.Cert, c.Key); err != nil || string(c.Cert) != cert || c.Token != "" {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := Here(t.Context(), cfg, nil); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(runs); err != nil || strings.Count(string(b), "run") != 1 {
		t.Errorf("the plugin ran so: %q, %v", b, err)
	}
	i, err := run(context.Background(), plugin, cfg, Place{})
	if err != nil || string(i.Cert) != cert || string(i.Key) != key {
		t.Errorf("in the background: %+v, %v", i, err)
	}
}

// A plugin that hangs does not keep the command longer than its time.
func TestPluginHangs(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := exec.Command("mkfifo", pipe).Run(); err != nil {
		t.Fatal(err)
	}
	p := &clientcmdapi.ExecConfig{APIVersion: "client.authentication.k8s.io/v1", InteractiveMode: clientcmdapi.NeverExecInteractiveMode,
		Command: write(t, "plugin", "#!/bin/sh\nread x <"+pipe+"\n")}
	t.Cleanup(func() { // it ends when somebody has written
		if f, err := os.OpenFile(pipe, os.O_RDWR, 0); err == nil {
			f.WriteString("end\n")
			f.Close()
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := Here(ctx, &rest.Config{Host: "https://hangs.shop:6443", ExecProvider: p}, nil); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), p.Command) {
		t.Errorf("got %v", err)
	}
}

// What a plugin asks to know of the cluster it is told, also where the credentials
// came without a kubeconfig that can be read again.
func TestPluginKnowsTheCluster(t *testing.T) {
	p := &clientcmdapi.ExecConfig{APIVersion: "client.authentication.k8s.io/v1", ProvideClusterInfo: true}
	info, err := execInfo(p, &rest.Config{Host: "https://api.shop:6443"})
	if err != nil || !strings.Contains(info, "https://api.shop:6443") {
		t.Errorf("it is told %s, %v", info, err)
	}
}

// Without a terminal a plugin is not asked that needs one, and what goes wrong
// is told in its own words.
func TestPluginInTheBackground(t *testing.T) {
	for name, c := range map[string]struct {
		mode clientcmdapi.ExecInteractiveMode
		text string
		want []string
	}{
		"asks":          {clientcmdapi.AlwaysExecInteractiveMode, "exit 0", []string{"interactiveMode: Always", "kubectl intercept status"}},
		"fails":         {clientcmdapi.IfAvailableExecInteractiveMode, "echo log in at example.com >&2; exit 7", []string{"exit status 7", "log in at example.com"}},
		"says nonsense": {clientcmdapi.NeverExecInteractiveMode, "echo hello; echo oops >&2", []string{"no ExecCredential", "oops"}},
		"gives nothing": {clientcmdapi.NeverExecInteractiveMode, `echo '{"status":{}}'`, []string{"neither a token nor a certificate"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := &clientcmdapi.ExecConfig{InteractiveMode: c.mode, Command: write(t, "plugin", "#!/bin/sh\n"+c.text+"\n")}
			i, err := run(context.Background(), p, &rest.Config{}, Place{Dir: "/nowhere"})
			if err == nil {
				t.Fatalf("it gives %+v", i)
			}
			for _, want := range append(c.want, p.Command) {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not contain %q", err, want)
				}
			}
		})
	}
}
