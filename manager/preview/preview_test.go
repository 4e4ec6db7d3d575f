package preview

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/authz"
)

const (
	domain = "preview.example.com"
	name   = "abcdefghijklmnopqrstuvwxyz"
	host   = name + "." + domain
)

// reach lets everybody dial Services of namespace shop, at 10.96.1.0/24.
type reach struct{}

func (reach) Check(_ context.Context, s authz.Subject, to netip.AddrPort) error {
	if netip.MustParsePrefix("10.96.1.0/24").Contains(to.Addr()) {
		return nil
	}
	return &authz.DeniedError{User: s.User, Address: to.Addr().String()}
}

func service(namespace, name, ip string, ports ...int32) *corev1.Service {
	s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: corev1.ServiceSpec{ClusterIP: ip, Selector: map[string]string{"app": name}}}
	for _, p := range ports {
		s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{Port: p, Protocol: corev1.ProtocolTCP})
	}
	return s
}

// intercept is ada's, of deployment quote in shop. It matches x-intercept-id and enters by
// Service edge of its namespace.
func intercept(change func(*v1alpha1.Intercept)) *v1alpha1.Intercept {
	ic := &v1alpha1.Intercept{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "quote", UID: types.UID("uid-1")},
		Spec: v1alpha1.InterceptSpec{User: "ada", Session: "ada-laptop", Mode: v1alpha1.ModePersonal,
			Match:   &v1alpha1.Match{Headers: []v1alpha1.MatchValue{{Name: "x-intercept-id", Regexp: "7f:quote"}}},
			Preview: &v1alpha1.Preview{Host: "edge", Port: 80, L5Host: "shop.example.com"}},
		Status: v1alpha1.InterceptStatus{Preview: &v1alpha1.PreviewStatus{URL: urlOf(name, domain)}}}
	if change != nil {
		change(ic)
	}
	return ic
}

func session(user string) *v1alpha1.Session {
	return &v1alpha1.Session{ObjectMeta: metav1.ObjectMeta{Namespace: "intercept-system", Name: "ada-laptop"}, Spec: v1alpha1.SessionSpec{User: user}}
}

// cluster has ada's session, and Services.
func cluster(t testing.TB, objects ...client.Object) client.WithWatch {
	t.Helper()
	s := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(s); err != nil {
		t.Fatal(err)
	}
	if err := v1alpha1.AddToScheme(s); err != nil {
		t.Fatal(err)
	}
	bare := service("shop", "bare", "10.96.1.3", 80)
	bare.Spec.Selector = nil
	outside := service("shop", "outside", "", 80)
	outside.Spec.Type, outside.Spec.ExternalName = corev1.ServiceTypeExternalName, "metadata.example.com"
	s.AddKnownTypeWithName(schema.GroupVersionKind{Group: "gateway.networking.k8s.io", Version: "v1", Kind: "HTTPRoute"}, &unstructured.Unstructured{})
	s.AddKnownTypeWithName(schema.GroupVersionKind{Group: "gateway.networking.k8s.io", Version: "v1", Kind: "HTTPRouteList"}, &unstructured.UnstructuredList{})
	objects = append(objects, session("ada"), bare, outside, service("shop", "edge", "10.96.1.1", 80, 443), service("shop", "headless", "None", 80),
		service("edge", "nginx", "10.96.2.1", 80), service("edge", "open", "10.96.2.2", 80), service("default", "kubernetes", "10.96.0.1", 443),
		service("intercept-system", "traffic-manager-preview", "10.96.1.9", 80))
	return fake.NewClientBuilder().WithScheme(s).WithObjects(objects...).WithStatusSubresource(&v1alpha1.Intercept{}).
		WithIndex(&v1alpha1.Intercept{}, urlField, urls).Build()
}

func policy(r client.Reader) *Policy {
	return &Policy{Reader: r, Reach: reach{}, Namespace: "intercept-system", Domain: domain, ClusterDomain: "cluster.local", Services: []string{"edge/open"},
		Hosts: &Hosts{Live: r}}
}

// newServer serves ada's preview. Whatever its address is, the ingress is a test's.
func newServer(t testing.TB, ic *v1alpha1.Intercept) (*Server, client.Client) {
	t.Helper()
	ingress := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Seen", r.Host+" "+r.Header.Get("X-Intercept-Id")+" "+r.Header.Get("Cookie")+" "+r.Header.Get("Authorization"))
		if r.URL.Path == "/wait" {
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			return
		}
		io.WriteString(w, "quote")
	}))
	t.Cleanup(ingress.Close)
	to := netip.MustParseAddrPort(ingress.Listener.Addr().String())
	c := cluster(t, ic, ingressOf("shop", "shop.example.com"), service("shop", "ingress", to.Addr().String(), int32(to.Port())))
	ic.Spec.Preview.Host, ic.Spec.Preview.Port = "ingress", int32(to.Port())
	if err := c.Update(t.Context(), ic); err != nil {
		t.Fatal(err)
	}
	p := policy(c)
	p.Services = append(p.Services, "shop/ingress")
	return New(Config{Reader: c, Policy: p, Key: []byte("key"), Log: slog.New(slog.DiscardHandler)}), c
}

// visit sends a request to a server.
func visit(s *Server, at, path string, change func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Host = at
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

func TestVisit(t *testing.T) {
	s, c := newServer(t, intercept(nil))
	for _, at := range []string{host, strings.ToUpper(host), host + ":443"} {
		w := visit(s, at, "/", nil)
		if w.Code != http.StatusOK || w.Body.String() != "quote" || !strings.HasPrefix(w.Header().Get("Seen"), "shop.example.com 7f:quote ") {
			t.Fatalf("%s: %d %v %s", at, w.Code, w.Header(), w.Body)
		}
		if w.Header().Get("X-Robots-Tag") != "noindex" {
			t.Errorf("%s: %v", at, w.Header())
		}
	}
	for _, at := range []string{"other." + domain, domain, "x." + host, name + ".example.com", "", "..", name + "." + domain + "."} {
		w := visit(s, at, "/", nil)
		if w.Code != http.StatusNotFound || w.Header().Get("X-Robots-Tag") != "noindex" {
			t.Errorf("%q: %d %v", at, w.Code, w.Header())
		}
		for _, word := range []string{"quote", "shop", "ada", name} {
			if strings.Contains(w.Body.String(), word) {
				t.Errorf("%q: the page tells %q", at, word)
			}
		}
	}
	if err := c.Delete(t.Context(), intercept(nil)); err != nil {
		t.Fatal(err)
	}
	if w := visit(s, host, "/", nil); w.Code != http.StatusNotFound {
		t.Errorf("after the end: %d", w.Code)
	}
}

// Without a right to the ingress the preview leads nowhere, and the page does not say where.
func TestRefusedVisit(t *testing.T) {
	s, c := newServer(t, intercept(nil))
	visit(s, host, "/", nil)
	if err := c.Delete(t.Context(), session("")); err != nil {
		t.Fatal(err)
	}
	if w := visit(s, host, "/", nil); w.Code != http.StatusBadGateway || strings.Contains(w.Body.String(), "ada") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// The log tells once that a preview leads nowhere, and not for each request. About
// conditions that no preview meets the status tells.
func TestLogIsShort(t *testing.T) {
	s, c := newServer(t, intercept(nil))
	var log strings.Builder
	s.Log = slog.New(slog.NewTextHandler(&log, nil))
	now := time.Unix(1_800_000_000, 0)
	s.now = func() time.Time { return now }
	visit(s, host, "/", nil)
	if err := c.Delete(t.Context(), session("")); err != nil {
		t.Fatal(err)
	}
	for lines := range 3 {
		for range 5 {
			visit(s, host, "/", nil)
		}
		if n := strings.Count(log.String(), "\n"); n != lines+1 {
			t.Errorf("%d lines: %s", n, &log)
		}
		now = now.Add(logEvery)
	}
	two := intercept(func(ic *v1alpha1.Intercept) { ic.Spec.Match.Headers[0].Regexp = "a|b" })
	s, _ = newServer(t, two)
	log.Reset()
	s.Log = slog.New(slog.NewTextHandler(&log, nil))
	if w := visit(s, host, "/", nil); w.Code != http.StatusBadGateway || log.Len() > 0 {
		t.Errorf("%d, %s", w.Code, &log)
	}
}

// A visitor who goes away before the answer comes says nothing about the preview.
func TestVisitorWhoLeavesIsNotLogged(t *testing.T) {
	s, _ := newServer(t, intercept(nil))
	var log strings.Builder
	s.Log = slog.New(slog.NewTextHandler(&log, nil))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	visit(s, host, "/", func(r *http.Request) { *r = *r.WithContext(ctx) })
	if log.Len() > 0 {
		t.Error(&log)
	}
}

// One preview does not take all that a replica can serve.
func TestManyVisitors(t *testing.T) {
	s, _ := newServer(t, intercept(nil))
	visit(s, host, "/", nil)
	o := s.open["uid-1"]
	o.requests.Store(maxOpen)
	if w := visit(s, host, "/", nil); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || w.Header().Get("X-Robots-Tag") == "" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	o.requests.Store(maxOpen - 1)
	for range 3 {
		if w := visit(s, host, "/", nil); w.Code != http.StatusOK {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}
}

// What is open ends with the preview, or when it changes.
func TestForget(t *testing.T) {
	ic := intercept(nil)
	s, _ := newServer(t, ic)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Host = host
		s.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	again := intercept(func(ic *v1alpha1.Intercept) { ic.Spec.Match = nil })
	for name, now := range map[string]*v1alpha1.Intercept{"deleted": nil, "changed": again} {
		resp, err := http.Get(front.URL + "/wait")
		if err != nil {
			t.Fatal(err)
		}
		s.Forget(ic, ic) // a change of the status alone
		s.Forget(ic, now)
		if _, err := io.ReadAll(resp.Body); err == nil {
			t.Errorf("%s: the answer is complete", name)
		}
		resp.Body.Close()
	}
}

// Every replica is served until the program ends.
func TestStart(t *testing.T) {
	s, _ := newServer(t, intercept(nil))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Listen = l.Addr().String()
	if err := s.Start(t.Context()); err == nil {
		t.Error("it listens twice")
	}
	l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Start(ctx); err != nil {
		t.Error(err)
	}
}
