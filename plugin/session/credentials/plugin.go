package credentials

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	authenticationv1 "k8s.io/client-go/pkg/apis/clientauthentication/v1"
	"k8s.io/client-go/rest"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/transport"
)

// Here is Of in a command: its plugin has run, or runs now, on its terminal. A
// plugin that hangs is left behind when ctx ends.
func Here(ctx context.Context, cfg *rest.Config, env []string) (*Credentials, error) {
	type result struct {
		c   *Credentials
		err error
	}
	done := make(chan result, 1)
	go func() {
		c, err := here(cfg, env)
		done <- result{c, err}
	}()
	select {
	case r := <-done:
		return r.c, r.err
	case <-ctx.Done():
		if cfg.ExecProvider == nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("wait for the credential plugin %s: %w", cfg.ExecProvider.Command, ctx.Err())
	}
}

func here(cfg *rest.Config, env []string) (*Credentials, error) {
	c, err := Of(cfg, env)
	if err != nil || c.Plugin == nil {
		return c, err
	}
	// client-go runs a plugin once for all clients of a process and keeps what it
	// issued to itself; a request that goes nowhere shows it.
	t, err := cfg.TransportConfig()
	if err != nil {
		return nil, err
	}
	var issued Issued
	catch := catcher(func(r *http.Request) { issued.Token = strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ") })
	rt, err := transport.HTTPWrappersForConfig(t, catch)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequest(http.MethodGet, c.Host, nil)
	if err != nil {
		return nil, err
	}
	if _, err := rt.RoundTrip(req); err != nil {
		return nil, err
	}
	if t.HasCertCallback() {
		cert, err := t.TLS.GetCertHolder.GetCert()
		if err != nil {
			return nil, err
		}
		if issued.Cert, issued.Key, err = encode(cert); err != nil {
			return nil, err
		}
	}
	c.take(&issued)
	return c, nil
}

// catcher answers every request, and sends none.
type catcher func(*http.Request)

// RoundTrip implements http.RoundTripper.
func (c catcher) RoundTrip(r *http.Request) (*http.Response, error) {
	c(r)
	return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Request: r}, nil
}

func encode(c *tls.Certificate) (cert, key []byte, err error) {
	if c == nil {
		return nil, nil, nil
	}
	for _, der := range c.Certificate {
		cert = append(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		return nil, nil, err
	}
	return cert, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// Place is where a command was typed: a plugin finds its files from there.
type Place struct {
	Dir string
	Env []string
}

// pluginTimeout is how long a plugin may take that nobody sees.
const pluginTimeout = time.Minute

// run runs a plugin where there is no terminal.
func run(ctx context.Context, p *clientcmdapi.ExecConfig, cfg *rest.Config, at Place) (*Issued, error) {
	if p.InteractiveMode == clientcmdapi.AlwaysExecInteractiveMode {
		return nil, fmt.Errorf("the credential plugin %s asks on a terminal (interactiveMode: Always), and the session in the background has none: "+
			"run kubectl intercept status in a terminal, the session takes what the plugin gives there", p.Command)
	}
	ctx, cancel := context.WithTimeout(ctx, pluginTimeout)
	defer cancel()
	info, err := execInfo(p, cfg)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, p.Command, p.Args...)
	cmd.Env = append([]string{}, at.Env...)
	if _, err := os.Stat(at.Dir); err == nil { // it may be gone by now
		cmd.Dir = at.Dir
	}
	for _, e := range p.Env {
		cmd.Env = append(cmd.Env, e.Name+"="+e.Value)
	}
	cmd.Env = append(cmd.Env, "KUBERNETES_EXEC_INFO="+info)
	cmd.WaitDelay = time.Second
	var out, messages bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &messages
	if err := cmd.Run(); err != nil {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			err = fmt.Errorf("no answer within %s", pluginTimeout)
		}
		return nil, fmt.Errorf("the credential plugin %s failed: %w%s: run kubectl intercept status in a terminal, the session takes what the plugin gives there",
			p.Command, err, said(messages.String()))
	}
	var cred authenticationv1.ExecCredential
	if err := json.Unmarshal(out.Bytes(), &cred); err != nil || cred.Status == nil {
		return nil, fmt.Errorf("the credential plugin %s prints no ExecCredential with a status%s", p.Command, said(messages.String()))
	}
	i := &Issued{Token: cred.Status.Token, Cert: []byte(cred.Status.ClientCertificateData), Key: []byte(cred.Status.ClientKeyData)}
	if i.Token == "" && len(i.Cert) == 0 {
		return nil, fmt.Errorf("the credential plugin %s gives neither a token nor a certificate%s", p.Command, said(messages.String()))
	}
	return i, nil
}

// said is the end of a plugin's messages, for the end of a sentence.
func said(messages string) string {
	const limit = 500
	messages = strings.Join(strings.Fields(messages), " ")
	if messages == "" {
		return ""
	}
	return ": " + messages[max(0, len(messages)-limit):]
}

// execInfo is what a plugin is told.
func execInfo(p *clientcmdapi.ExecConfig, cfg *rest.Config) (string, error) {
	cred := authenticationv1.ExecCredential{TypeMeta: metav1.TypeMeta{APIVersion: p.APIVersion, Kind: "ExecCredential"}}
	if p.ProvideClusterInfo {
		with := rest.CopyConfig(cfg) // which reads what the plugin asks for from there
		with.ExecProvider = p
		cluster, err := rest.ConfigToExecCluster(with)
		if err != nil {
			return "", err
		}
		cred.Spec.Cluster = &authenticationv1.Cluster{Server: cluster.Server, TLSServerName: cluster.TLSServerName, ProxyURL: cluster.ProxyURL,
			InsecureSkipTLSVerify: cluster.InsecureSkipTLSVerify, CertificateAuthorityData: cluster.CertificateAuthorityData,
			DisableCompression: cluster.DisableCompression}
		cred.Spec.Cluster.Config.Object = cluster.Config
	}
	b, err := json.Marshal(cred)
	return string(b), err
}

var errPaused = errors.New("the credential plugin failed a moment ago")
