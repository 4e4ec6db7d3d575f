//go:build e2e

package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

const secureService = `apiVersion: v1
kind: Service
metadata: {name: quote}
spec:
  selector: {app: quote}
  ports: [{name: https, port: 443, targetPort: https, appProtocol: https}]
`

// secureCaller calls by TLS, over one connection that it keeps.
type secureCaller struct {
	client *http.Client
	addr   string
}

// newSecureCaller returns a caller that trusts an authority; nil is for everybody.
func newSecureCaller(s *lab.Space, addr string, trusted *lab.Authority) *secureCaller {
	cfg := &tls.Config{InsecureSkipVerify: trusted == nil}
	if trusted != nil {
		cfg.RootCAs = x509.NewCertPool()
		cfg.RootCAs.AppendCertsFromPEM(trusted.PEM)
	}
	return &secureCaller{&http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DialContext: s.Dial, TLSClientConfig: cfg}}, addr}
}

// as asks as a user, and returns the name in the answer.
func (c *secureCaller) as(l *lab.Lab, user string) (string, error) {
	req, err := http.NewRequestWithContext(l.Context(), http.MethodGet, "https://"+c.addr+"/", nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("X-User", user)
	resp, err := c.client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	name, _, _ := strings.Cut(strings.TrimPrefix(string(body), "answered by "), " (")
	return name, err
}

// answered wants a user's request to be answered by name.
func (c *secureCaller) answered(l *lab.Lab, user, name string) error {
	got, err := c.as(l, user)
	if err == nil && got != name {
		err = fmt.Errorf("%s is answered by %s, not by %s", user, got, name)
	}
	return err
}

// TestTLS: requests in TLS are told apart with the Secret that an annotation names, by an
// ephemeral agent, which has it from a volume of the pod, and by a sidecar. The agent
// shows its certificate, follows its changes, and is out of the path afterwards.
func TestTLS(t *testing.T) {
	for _, inject := range []v1alpha1.InjectMode{v1alpha1.InjectEphemeral, v1alpha1.InjectSidecar} {
		t.Run(string(inject), func(t *testing.T) {
			l := lab.New(t, clusters)
			l.CreateText(secureService)
			quote := l.Service("quote", "https")
			host, _, _ := net.SplitHostPort(quote)
			ca := l.Authority()
			key := ca.Issue("quote", net.ParseIP(host))
			mount, volume := "", ""
			if inject == v1alpha1.InjectEphemeral {
				mount, volume = "{name: tls, mountPath: /tls}", "{name: tls, secret: {secretName: quote-tls}}"
			}
			l.Apply("secure.yaml", "CERT", base64.StdEncoding.EncodeToString(key.Cert), "KEY", base64.StdEncoding.EncodeToString(key.Key), "MOUNT", mount, "VOLUME", volume)
			l.Until("the application answers", func() error {
				return newSecureCaller(l.Nodes[0], quote, nil).answered(l, "alice", lab.Application)
			})
			alice := l.Laptop("alice")
			o := alice.Intercept("add", "quote", "--port", alice.Serve("alice").To(""), "--match", "x-user=alice")
			if i := l.State("quote", v1alpha1.StateActive); i.Status.Injection != inject {
				t.Fatalf("injected as %s, %s:\n%s", i.Status.Injection, i.Status.InjectionReason, o.Out)
			}
			for _, node := range l.Nodes {
				c := newSecureCaller(node, quote, ca)
				for range 3 {
					l.Must(c.answered(l, "alice", "alice"))
					l.Must(c.answered(l, "bob", lab.Application))
				}
			}
			l.Must(newSecureCaller(l.Nodes[0], quote, nil).answered(l, "alice", "alice"))
			rotate(l, ca, quote, net.ParseIP(host))
			alice.Intercept("leave", "quote")
			l.Gone("quote")
			l.Until("the application has its port again", func() error {
				return newSecureCaller(l.Nodes[0], quote, nil).answered(l, "alice", lab.Application)
			})
		})
	}
}

// rotate changes the Secret, and waits until the agent shows the new certificate.
func rotate(l *lab.Lab, ca *lab.Authority, addr string, ip net.IP) {
	l.Helper()
	next := ca.Issue("quote, renewed", ip)
	var s corev1.Secret
	l.Must(l.Client.Get(l.Context(), client.ObjectKey{Namespace: l.Namespace, Name: "quote-tls"}, &s))
	s.Data = map[string][]byte{"tls.crt": next.Cert, "tls.key": next.Key}
	l.Must(l.Client.Update(l.Context(), &s))
	took := l.Within(3*time.Minute, "the new certificate is shown", func() error {
		c, err := l.Nodes[0].Dial(l.Context(), "tcp", addr)
		if err != nil {
			return err
		}
		defer c.Close()
		in := tls.Client(c, &tls.Config{InsecureSkipVerify: true})
		if err := in.HandshakeContext(l.Context()); err != nil {
			return err
		}
		if name := in.ConnectionState().PeerCertificates[0].Subject.CommonName; name != "quote, renewed" {
			return fmt.Errorf("shown is %q", name)
		}
		return nil
	})
	l.Logf("the new certificate is shown after %v", took)
}

// TestTLSWithoutKey: where requests cannot be told apart, add says what to annotate.
func TestTLSWithoutKey(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("quote.yaml")
	l.Must(l.Client.Delete(l.Context(), &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: l.Namespace, Name: "quote"}}))
	l.CreateText(strings.ReplaceAll(secureService, "targetPort: https", "targetPort: http"))
	l.Laptop("alice").Refused([]string{"add", "quote", "--port", "8080", "--match", "x-user=alice"}, "terminating-tls-secret")
}

// TestLocalTLS: a program on the laptop that speaks TLS gets TLS.
func TestLocalTLS(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("quote.yaml")
	quote := l.Serving("quote", "http")
	alice := l.Laptop("alice")
	key := l.Authority().Issue("nobody's")
	program := alice.Listen(func(below net.Conn) {
		defer below.Close()
		c := tls.Server(below, &tls.Config{Certificates: []tls.Certificate{key.Certificate}})
		buf := make([]byte, 4096)
		if _, err := c.Read(buf); err != nil {
			return
		}
		fmt.Fprint(c, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 30\r\n\r\nanswered by alice (localhost)\n")
		c.Close()
	})
	alice.Intercept("add", "quote", "--port", program.To(""), "--match", "x-user=alice", "--local-tls")
	for _, x := range []struct{ user, name string }{{"alice", "alice"}, {"bob", lab.Application}} {
		c, err := keep(l, l.Nodes[0], quote)
		l.Must(err)
		defer c.conn.Close()
		if got, err := c.as(person{x.name, "", header("X-User", x.user)}); err != nil || got != x.name {
			t.Errorf("%s is answered by %q, %v", x.user, got, err)
		}
	}
}
