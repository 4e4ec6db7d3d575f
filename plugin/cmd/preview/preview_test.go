package preview

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/preview"
)

// sessions is a background process whose proxy leads to one server.
type sessions struct {
	proxy    string
	released []string
}

func (s *sessions) OpenProxy(_ context.Context, _ *kube.Factory, _, _, _ string, progress func(string)) (string, error) {
	progress("opening the way into the cluster")
	return s.proxy, nil
}

func (s *sessions) Command(*kube.Factory, string) (io.Closer, error) { return io.NopCloser(nil), nil }

func (s *sessions) Release(_ context.Context, _ *kube.Factory, by string) error {
	s.released = append(s.released, by)
	return nil
}

// newProxy is a proxy for CONNECT that leads to a server, whatever the target is. It
// refuses targets of namespace bank.
func newProxy(t *testing.T, to string) string {
	t.Helper()
	p := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect || strings.Contains(r.Host, ".bank:") {
			http.Error(w, `user "ada" may not dial `+r.Host, http.StatusForbidden)
			return
		}
		far, err := net.Dial("tcp", to)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		near, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			far.Close()
			return
		}
		io.WriteString(near, "HTTP/1.1 200 OK\r\n\r\n")
		go func() {
			io.Copy(far, near)
			far.Close()
		}()
		io.Copy(near, far)
		near.Close()
	}))
	t.Cleanup(p.Close)
	return p.Listener.Addr().String()
}

func intercept() *v1alpha1.Intercept {
	return &v1alpha1.Intercept{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "quote", UID: "uid-1"},
		Spec: v1alpha1.InterceptSpec{User: "ada", Workload: v1alpha1.WorkloadReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "quote"},
			Mode: v1alpha1.ModePersonal, Match: &v1alpha1.Match{Headers: []v1alpha1.MatchValue{{Name: "x-intercept-id", Regexp: "7f:quote"}}}},
		Status: v1alpha1.InterceptStatus{Ports: []v1alpha1.ResolvedPort{{Service: "quote", ServicePort: 80, ContainerPort: 8080, Protocol: corev1.ProtocolTCP}}}}
}

// newCluster is a cluster in which the user may forward ports in namespace shop.
func newCluster(t *testing.T, objects ...client.Object) client.WithWatch {
	t.Helper()
	s, err := kube.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	objects = append(objects, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "quote"},
		Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "http", Port: 80}}}})
	return fake.NewClientBuilder().WithScheme(s).WithObjects(objects...).WithInterceptorFuncs(interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			if r, ok := o.(*authenticationv1.SelfSubjectReview); ok {
				r.Status.UserInfo.Username = "ada"
				return nil
			}
			if r, ok := o.(*authorizationv1.SelfSubjectAccessReview); ok {
				r.Status.Allowed = r.Spec.ResourceAttributes.Namespace == "shop"
				return nil
			}
			return c.Create(ctx, o, opts...)
		},
		// A real watch ends with its context.
		Watch: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) (watch.Interface, error) {
			w, err := c.Watch(ctx, list, opts...)
			if err == nil {
				context.AfterFunc(ctx, w.Stop)
			}
			return w, err
		}}).Build()
}

// newOptions writes the preview's URL to the pipe.
func newOptions(s *sessions, out io.Writer) (*Options, *bytes.Buffer) {
	errOut := &bytes.Buffer{}
	return &Options{IOStreams: genericiooptions.IOStreams{Out: out, ErrOut: errOut}, Name: "quote", Namespace: "shop",
		Listen: "127.0.0.1:0", Timeout: time.Minute, factory: kube.NewFactory(), sessions: s}, errOut
}

// get asks a preview for a page.
func get(t *testing.T, url, host string) (int, string) {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = host
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, strings.TrimSpace(string(body))
}

// The page of the intercepted Service is on localhost until the intercept ends.
func TestServe(t *testing.T) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.Host+" "+r.Header.Get("X-Intercept-Id"))
	}))
	t.Cleanup(app.Close)
	for name, end := range map[string]func(t *testing.T, c client.Client, stop func()){
		"intercept quote has ended": func(t *testing.T, c client.Client, _ func()) {
			if err := c.Delete(t.Context(), intercept()); err != nil {
				t.Fatal(err)
			}
		},
		"Ctrl-C ends": func(_ *testing.T, _ client.Client, stop func()) { stop() },
	} {
		t.Run(name, func(t *testing.T) {
			s := &sessions{proxy: newProxy(t, app.Listener.Addr().String())}
			c := newCluster(t, intercept())
			r, w := io.Pipe()
			o, errOut := newOptions(s, w)
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			done := make(chan error, 1)
			go func() {
				done <- o.serve(ctx, c)
				w.Close()
			}()
			line := make([]byte, 100)
			n, err := r.Read(line)
			if err != nil {
				t.Fatal(err, <-done)
			}
			url := strings.TrimSpace(string(line[:n]))
			if code, body := get(t, url, ""); code != http.StatusOK || body != "quote.shop 7f:quote" {
				t.Errorf("%d %s", code, body)
			}
			if code, body := get(t, url, "attacker.example.com"); code != http.StatusMisdirectedRequest {
				t.Errorf("another host: %d %s", code, body)
			}
			end(t, c, stop)
			if err := <-done; err != nil {
				t.Error(err)
			}
			if !strings.Contains(errOut.String(), name) || !strings.Contains(errOut.String(), "quote by way of quote.shop at quote.shop:80") || len(s.released) != 1 {
				t.Errorf("%s, released %q", errOut, s.released)
			}
			if _, err := http.Get(url); err == nil {
				t.Error("the page is still there")
			}
		})
	}
}

// A change of what the intercept matches ends the preview, which would not match any more.
func TestChange(t *testing.T) {
	c := newCluster(t, intercept())
	r, w := io.Pipe()
	o, _ := newOptions(&sessions{}, w)
	done := make(chan error, 1)
	go func() { done <- o.serve(t.Context(), c) }()
	if _, err := r.Read(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	var ic v1alpha1.Intercept
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(intercept()), &ic); err != nil {
		t.Fatal(err)
	}
	ic.Spec.Match.Headers[0].Regexp = "8a:quote"
	// The fake API server forgets what happens between a read and the watch that follows it.
	for {
		if err := c.Update(t.Context(), &ic); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-done:
			if err == nil || !strings.Contains(err.Error(), "run kubectl intercept preview quote again") {
				t.Error(err)
			}
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// The page says why there is no answer.
func TestNoAnswer(t *testing.T) {
	r, w := io.Pipe()
	o, _ := newOptions(&sessions{proxy: newProxy(t, "")}, w)
	o.Answers = map[string]string{preview.FlagHost: "vault.bank", preview.FlagPort: "80", preview.FlagL5Host: "bank.example.com"}
	go o.serve(t.Context(), newCluster(t, intercept()))
	line := make([]byte, 100)
	n, err := r.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	if code, body := get(t, strings.TrimSpace(string(line[:n])), ""); code != http.StatusBadGateway || !strings.Contains(body, `user "ada" may not dial vault.bank:80`) {
		t.Errorf("%d %s", code, body)
	}
}

// The way of the intercept's preview URL comes first, if the user may dial it: the
// traffic-manager may enter where its users may not.
func TestCandidates(t *testing.T) {
	open := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "intercept-system", Name: "traffic-manager"}, Data: map[string]string{"openNetwork": "true"}}
	for _, test := range []struct {
		host, want string
		also       []client.Object
	}{
		{"edge.shop", "edge.shop", nil},
		{"edge.shop.svc.cluster.local", "edge.shop.svc.cluster.local", nil},
		{"edge", "edge", nil},
		{"vault.bank", "quote.shop", nil},
		{"vault.bank.svc", "quote.shop", nil},
		{"vault.bank", "vault.bank", []client.Object{open}},
	} {
		ic := intercept()
		ic.Spec.Preview = &v1alpha1.Preview{Host: test.host, Port: 80, L5Host: "bank.example.com"}
		o, _ := newOptions(&sessions{}, io.Discard)
		o.factory.ManagerNamespace = "intercept-system"
		if all := o.candidates(t.Context(), newCluster(t, append(test.also, ic)...), ic); all[0].Host != test.want {
			t.Errorf("%s: %+v", test.host, all)
		}
	}
}

func TestRefused(t *testing.T) {
	two := intercept()
	two.Spec.Match.Headers[0].Regexp = "a|b"
	port := intercept()
	port.Status.Ports = nil
	mirror := intercept()
	mirror.Spec.Mode = v1alpha1.ModeMirror
	for name, c := range map[string]struct {
		ic   *v1alpha1.Intercept
		name string
		want string
	}{
		"mirror":    {mirror, "quote", "intercept quote is a mirror: nobody gets what the local program answers"},
		"unknown":   {intercept(), "store", `there is no intercept "store" in namespace "shop": kubectl intercept add makes one`},
		"near":      {intercept(), "qoute", "did you mean quote?"},
		"two":       {two, "deploy/quote", "a preview cannot match the header x-intercept-id=a|b"},
		"container": {port, "quote", "say it with --preview-host and --preview-l5host"},
	} {
		o, _ := newOptions(&sessions{}, io.Discard)
		o.Name = c.name
		if err := o.serve(t.Context(), newCluster(t, c.ic)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A user's own intercept of a workload comes before that of another one, which is named like
// the workload.
func TestOwnFirst(t *testing.T) {
	another, own := intercept(), intercept()
	own.Spec.Service = "shown"
	another.Spec.User, own.Name, own.UID = "bob", "quote-ada", "uid-2"
	o, _ := newOptions(&sessions{}, io.Discard)
	for name, want := range map[string]string{"quote": "quote-ada", "deploy/quote": "quote-ada", "svc/shown": "quote-ada", "quote-ada": "quote-ada"} {
		o.Name = name
		if ic, err := o.find(t.Context(), newCluster(t, another, own)); err != nil || ic.Name != want {
			t.Errorf("%s: %v, %v, want %s", name, ic, err, want)
		}
	}
	o.Name = "quote"
	if ic, err := o.find(t.Context(), newCluster(t, another)); err != nil || ic.Spec.User != "bob" {
		t.Errorf("the only one: %v, %v", ic, err)
	}
}
