//go:build e2e

package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// meshes are what test/mesh can be a double of: its user, its admin port, the
// annotation of pods that are in it, and that by which it spares ports.
var meshes = map[string]struct{ uid, admin, inject, skip string }{
	"istio":   {"1337", "15021", `sidecar.istio.io/inject: "true"`, "traffic.sidecar.istio.io/excludeOutboundPorts"},
	"linkerd": {"2102", "4191", "linkerd.io/inject: enabled", "config.linkerd.io/skip-outbound-ports"},
}

// mesh is an application and a caller behind a mesh's proxies.
type mesh struct {
	*lab.Lab
	kind   string
	caller *lab.Space
}

// inMesh applies mesh.yaml. A strict mesh refuses callers from outside, and the
// pod's calls to anybody but quote. More are words to replace.
func inMesh(l *lab.Lab, kind string, strict bool, more ...string) *mesh {
	m := &mesh{Lab: l, kind: kind}
	m.meshKeys()
	probe := "8080"
	if strict {
		probe = meshes[kind].admin // the kubelet is outside
	}
	m.Apply("mesh.yaml", append(more, "$KIND", kind, "$INJECT", meshes[kind].inject, "$UID", meshes[kind].uid, "$ADMIN", meshes[kind].admin, "$PROBE", probe,
		"$STRICT", fmt.Sprint(strict), "$SIDECARS", "", "$SKIP_PORTS", meshes[kind].skip, "$NAMED", "name: http, ", "$TARGET", "http")...)
	m.caller = m.Inside(m.one("caller"))
	return m
}

// one is the pod of an app.
func (m *mesh) one(app string) *corev1.Pod {
	m.Helper()
	for _, p := range m.Pods() {
		if p.Labels["app"] == app {
			return &p
		}
	}
	m.Fatalf("no pod of %s", app)
	return nil
}

// asked waits until the caller in the mesh is answered by name.
func (m *mesh) asked(addr, name string) {
	m.Helper()
	m.Until("the caller in the mesh is answered by "+name, func() error { return m.ask(addr, name) })
}

func (m *mesh) ask(addr, name string) error {
	got, err := m.caller.Ask(m.Context(), addr)
	if err == nil && got != name {
		err = fmt.Errorf("it is answered by %s", got)
	}
	return err
}

// counted are the connections that an app's proxy has seen, by what became of
// them and by destination.
func (m *mesh) counted(app string) map[string]map[string]int {
	m.Helper()
	ctx, cancel := context.WithTimeout(m.Context(), 10*time.Second)
	defer cancel()
	c := m.Nodes[0].HTTP()
	defer c.CloseIdleConnections()
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(m.one(app).Status.PodIP, meshes[m.kind].admin)+"/stats", nil)
	m.Must(err)
	r, err := c.Do(q)
	m.Must(err)
	defer r.Body.Close()
	var counts map[string]map[string]int
	m.Must(json.NewDecoder(r.Body).Decode(&counts))
	return counts
}

func (m *mesh) total(app, what string) int {
	m.Helper()
	n := 0
	for _, k := range m.counted(app)[what] {
		n += k
	}
	return n
}

// spared fails if the application's proxy has seen anything of the agent's.
func (m *mesh) spared() {
	m.Helper()
	counts := m.counted("quote")
	for _, what := range []string{"outPlain", "outTLS", "outRefused"} {
		for to, n := range counts[what] {
			if strings.HasSuffix(to, ":17843") {
				m.Errorf("the agent's connections went through the mesh: %s %s %d", what, to, n)
			}
		}
	}
}

// own are the redirects of the application's pod that are not the mesh's.
func (m *mesh) own() []string {
	m.Helper()
	var rules []string
	for _, r := range m.Redirects(m.one("quote")) {
		if !strings.Contains(r, "redirect to :150") && !strings.Contains(r, "redirect to :414") {
			rules = append(rules, r)
		}
	}
	return rules
}

// TestMeshes intercepts an application behind each mesh, for callers that come
// through mTLS and for those that do not.
func TestMeshes(t *testing.T) {
	for kind := range meshes {
		t.Run(kind, func(t *testing.T) {
			m := inMesh(lab.New(t, clusters), kind, false)
			quote := m.Serving("quote", "http")
			m.asked(quote, lab.Application)
			lives := m.Lives()
			alice := m.Laptop("alice")
			alice.Intercept("add", "deploy/quote", "--port", alice.Serve("alice").To("http"))
			before, plain := m.total("quote", "inTLS"), m.total("quote", "inPlain")
			for range 5 {
				m.Must(m.ask(quote, "alice"))
			}
			if n := m.total("quote", "inTLS") - before; n != 5 {
				t.Errorf("%d of 5 requests came through mTLS", n)
			}
			m.Answers(quote, "alice")
			m.Answers(net.JoinHostPort(m.one("quote").Status.PodIP, "8080"), "alice")
			if n := m.total("quote", "inPlain") - plain; n < 4 {
				t.Errorf("%d of 4 plain requests came through the proxy", n)
			}
			m.spared()
			alice.Intercept("leave", "quote")
			m.Must(m.ask(quote, lab.Application))
			m.Answers(quote, lab.Application)
			if rules := m.own(); len(rules) > 0 {
				t.Errorf("redirects are left: %q", rules)
			}
			if now := m.Lives(); now != lives {
				t.Errorf("something was restarted:\n%s\nbecame\n%s", lives, now)
			}
		})
	}
}

// TestStrictMeshes has meshes that let nobody in without mTLS and nothing out
// that they do not know: the traffic-manager, for one.
func TestStrictMeshes(t *testing.T) {
	for kind := range meshes {
		t.Run(kind, func(t *testing.T) {
			m := inMesh(lab.New(t, clusters), kind, true)
			quote := m.Service("quote", "http")
			m.asked(quote, lab.Application)
			// The mesh lets the pod call nobody that it does not know.
			inside := m.Inside(m.one("quote"))
			if _, err := inside.Ask(t.Context(), net.JoinHostPort(m.one("caller").Status.PodIP, meshes[kind].admin)); err == nil || m.total("quote", "outRefused") == 0 {
				t.Errorf("the pod calls whom it likes (%v)", err)
			}
			alice := m.Laptop("alice")
			alice.Intercept("add", "deploy/quote", "--port", alice.Serve("alice").To("http"))
			m.Must(m.ask(quote, "alice"))
			for n, node := range m.Nodes {
				if who, err := node.Ask(t.Context(), quote); err == nil {
					t.Errorf("%s answers node %d, which is outside the mesh", who, n+1)
				}
			}
			m.spared()
			alice.Intercept("leave", "quote")
			m.Must(m.ask(quote, lab.Application))
			m.callsAsPod(alice)
		})
	}
}

// callsAsPod: what stands in for a pod of the mesh calls with its identity, and what does not is
// refused.
func (m *mesh) callsAsPod(alice *lab.Laptop) {
	m.Helper()
	const ask = calls + `ask quote 80 /`
	const through = `p=${http_proxy#http://}; exec 3<>"/dev/tcp/${p%:*}/${p#*:}"; printf 'GET http://quote/ HTTP/1.0\r\n\r\n' >&3; tail -n1 <&3`
	for way, line := range map[string][]string{
		"run":     {"--via", "deploy/quote", "--", "bash", "-c", ask},
		"connect": {"--proxy", "--via", "deploy/quote", "--", "bash", "-c", through},
	} {
		out, in := m.total("quote", "outTLS"), m.total("quote", "inTLS")
		o := alice.Try("kubectl-intercept", append([]string{way, "-n", m.Namespace}, line...)...)
		if o.Failed || !strings.HasPrefix(o.Out, "answered by "+lab.Application) {
			m.Errorf("%s: %q %q", way, o.Out, o.Err)
		}
		if out, in = m.total("quote", "outTLS")-out, m.total("quote", "inTLS")-in; out != 1 || in != 1 {
			m.Errorf("%s: %d calls leave and %d arrive through mTLS", way, out, in)
		}
	}
	if o := alice.Try("kubectl-intercept", "run", "-n", m.Namespace, "--via", "none", "--", "bash", "-c", ask); strings.Contains(o.Out, "answered by") {
		m.Errorf("from outside the mesh: %q", o.Out)
	}
}

// meshKeys makes the CA of the proxies.
func (m *mesh) meshKeys() {
	m.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	m.Must(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mesh"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	m.Must(err)
	pkcs, err := x509.MarshalPKCS8PrivateKey(key)
	m.Must(err)
	m.Must(m.Client.Create(m.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: m.Namespace, Name: "mesh-ca"},
		Data: map[string][]byte{
			"ca.crt": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
			"ca.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs}),
		},
	}))
}
