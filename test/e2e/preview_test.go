//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/websocket"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// The host by which the ingress of these tests routes, and what the intercept matches.
const (
	shopHost = "shop.example.com"
	shopID   = "7f3a:quote"
)

// front is the ingress and the first service of an application. Both are in one pod, in
// which this process listens.
const front = `
apiVersion: v1
kind: Pod
metadata: {name: front, labels: {app: front}}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: front, image: "kubectl-intercept.dev/test/pause:dev"}]
---
apiVersion: v1
kind: Service
metadata: {name: ingress}
spec: {selector: {app: front}, ports: [{name: http, port: 80, targetPort: 8000}, {name: https, port: 443, targetPort: 8443}]}
---
apiVersion: v1
kind: Service
metadata: {name: front}
spec: {selector: {app: front}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: shop}
spec:
  rules: [{host: shop.example.com, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: front, port: {number: 80}}}}]}}]
`

// seen is what arrived at the application.
type seen struct {
	Host   string
	Header http.Header
}

// application answers /seen with the request, and others as an application would.
func application() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("/seen", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Set-Cookie", "basket=3; Domain="+shopHost)
		json.NewEncoder(w).Encode(seen{r.Host, r.Header})
	})
	mux.HandleFunc("/old", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://"+r.Host+"/seen", http.StatusFound)
	})
	mux.Handle("/socket", websocket.Handler(func(c *websocket.Conn) { io.Copy(c, c) }))
	mux.HandleFunc("/stream", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "data: first\n\n")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	return mux
}

// serveFront makes the ingress and serves the application. It returns the namespace of
// their pod. Nothing listens at the ingress's port for TLS.
func serveFront(l *lab.Lab, app http.Handler) *lab.Space {
	l.Helper()
	l.ApplyText(front)
	var pod corev1.Pod
	l.Must(l.Client.Get(l.Context(), client.ObjectKey{Namespace: l.Namespace, Name: "front"}, &pod))
	inside := l.Inside(&pod)
	proxy := &httputil.ReverseProxy{FlushInterval: -1, Transport: &http.Transport{DialContext: inside.Dial},
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme, p.Out.URL.Host, p.Out.Host = "http", "127.0.0.1:8080", p.In.Host
		}}
	ingress := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != shopHost {
			http.Error(w, "no such host here: "+r.Host, http.StatusNotFound)
			return
		}
		proxy.ServeHTTP(w, r)
	})
	for at, h := range map[string]http.Handler{":8000": ingress, ":8080": app} {
		ln, err := inside.Listen(at)
		l.Must(err)
		s := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
		go s.Serve(ln)
		l.Cleanup(func() { s.Close() })
	}
	return inside
}

// personal makes an intercept that matches a header, as its owner.
func personal(l *lab.Lab, p *lab.Laptop, preview *v1alpha1.Preview) {
	l.Helper()
	p.Intercept("connect", "--proxy")
	ic := &v1alpha1.Intercept{ObjectMeta: metav1.ObjectMeta{Namespace: l.Namespace, Name: "quote"}, Spec: v1alpha1.InterceptSpec{
		User: p.User, Session: p.Status().Session.Session, Workload: v1alpha1.WorkloadReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "quote"},
		Ports: []v1alpha1.InterceptPort{{Port: "http", LocalPort: 8080}}, Mode: v1alpha1.ModePersonal,
		Match: &v1alpha1.Match{Headers: []v1alpha1.MatchValue{{Name: "x-intercept-id", Regexp: shopID}}}, Preview: preview}}
	c, err := client.New(p.Config(), client.Options{Scheme: l.Client.Scheme()})
	l.Must(err)
	l.Must(c.Create(l.Context(), ic))
	l.Until("the intercept is resolved", func() error {
		now, err := l.Get("quote")
		if err == nil && len(now.Status.Ports) == 0 {
			err = errors.New(now.Status.Message)
		}
		return err
	})
}

// ask gets a page of a preview. At is the host that the visitor sees.
func ask(c *http.Client, at *url.URL, path string, change func(*http.Request)) (*http.Response, string, error) {
	r, err := http.NewRequest(http.MethodGet, at.JoinPath(path).String(), nil)
	if err != nil {
		return nil, "", err
	}
	if change != nil {
		change(r)
	}
	resp, err := c.Transport.RoundTrip(r)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, string(body), err
}

// checkPages walks through what an application does, as a visitor.
func checkPages(l *lab.Lab, c *http.Client, at *url.URL, host string) {
	l.Helper()
	resp, body, err := ask(c, at, "/seen", func(r *http.Request) { r.Host = host })
	l.Must(err)
	var s seen
	if err := json.Unmarshal([]byte(body), &s); err != nil || resp.StatusCode != http.StatusOK {
		l.Fatalf("%s %s: %v", resp.Status, body, err)
	}
	if s.Host != shopHost || s.Header.Get("X-Intercept-Id") != shopID || !strings.Contains(s.Header.Get("Baggage"), "x-intercept-id="+shopID) ||
		!strings.Contains(s.Header.Get("Cookie"), "x-intercept-id="+shopID) {
		l.Errorf("the application sees %+v", s)
	}
	if resp.Header.Get("X-Robots-Tag") != "noindex" || resp.Header.Get("Set-Cookie") != "basket=3" {
		l.Errorf("the visitor sees %v", resp.Header)
	}
	resp, _, err = ask(c, at, "/old", func(r *http.Request) { r.Host = host })
	l.Must(err)
	if to, err := url.Parse(resp.Header.Get("Location")); err != nil || to.Host != host || to.Path != "/seen" {
		l.Errorf("the redirect leads to %s, %v", resp.Header.Get("Location"), err)
	}
}

// checkSocket sends messages by a WebSocket.
func checkSocket(l *lab.Lab, p *lab.Space, address, host string) {
	l.Helper()
	conn, err := p.Dial(l.Context(), "tcp", address)
	l.Must(err)
	defer conn.Close()
	l.Must(conn.SetDeadline(time.Now().Add(time.Minute)))
	cfg, err := websocket.NewConfig("ws://"+host+"/socket", "http://"+host)
	l.Must(err)
	ws, err := websocket.NewClient(cfg, conn)
	l.Must(err)
	for _, text := range []string{"one", "two"} {
		var got string
		l.Must(websocket.Message.Send(ws, text))
		if err := websocket.Message.Receive(ws, &got); err != nil || got != text {
			l.Errorf("%q by the WebSocket, %v; want %q", got, err, text)
		}
	}
}

// TestPreviewOnLocalhost: a browser on the laptop sees the application as the intercept
// matches it, with nothing set in the cluster.
func TestPreviewOnLocalhost(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("quote.yaml")
	serveFront(l, application())
	alice := l.Laptop("alice")
	personal(l, alice, nil)

	at, ended := openPreview(l, alice, "quote")
	c := &http.Client{Transport: &http.Transport{DialContext: alice.Dial, DisableKeepAlives: true}}
	checkPages(l, c, at, at.Host)
	checkSocket(l, alice.Space, at.Host, at.Host)
	if resp, _, err := ask(c, at, "/", func(r *http.Request) { r.Host = "elsewhere.example.com" }); err != nil || resp.StatusCode != http.StatusMisdirectedRequest {
		l.Errorf("for another host: %v, %v", resp, err)
	}

	// Without an ingress it is the Service itself that answers.
	l.Must(l.Kube.NetworkingV1().Ingresses(l.Namespace).Delete(t.Context(), "shop", metav1.DeleteOptions{}))
	direct, ended2 := openPreview(l, alice, "deploy/quote")
	if _, body, err := ask(c, direct, "/", nil); err != nil || !strings.Contains(body, lab.Application) {
		l.Errorf("directly: %q, %v", body, err)
	}

	stream, err := alice.Dial(t.Context(), "tcp", at.Host)
	l.Must(err)
	defer stream.Close()
	fmt.Fprintf(stream, "GET /stream HTTP/1.1\r\nHost: %s\r\n\r\n", at.Host)
	arrived := bufio.NewScanner(stream)
	for arrived.Scan() && arrived.Text() != "data: first" {
	}
	l.Must(arrived.Err())
	l.Must(l.Client.Delete(t.Context(), &v1alpha1.Intercept{ObjectMeta: metav1.ObjectMeta{Namespace: l.Namespace, Name: "quote"}}))
	for _, end := range []<-chan error{ended, ended2} {
		select {
		case err := <-end:
			if err != nil {
				l.Errorf("the preview ends with the intercept: %v", err)
			}
		case <-time.After(lab.Patience):
			l.Fatal("the preview does not end with the intercept")
		}
	}
}

// openPreview starts kubectl intercept preview, and returns where it is and when it ends.
func openPreview(l *lab.Lab, p *lab.Laptop, name string) (*url.URL, <-chan error) {
	l.Helper()
	return showsPreview(l, func(ctx context.Context) *exec.Cmd {
		return p.Command(ctx, "kubectl-intercept", "preview", name, "-n", l.Namespace)
	})
}

// showsPreview is openPreview with the command.
func showsPreview(l *lab.Lab, command func(context.Context) *exec.Cmd) (*url.URL, <-chan error) {
	l.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := command(ctx)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	l.Must(err)
	l.Must(cmd.Start())
	ended := make(chan error, 1)
	line, err := bufio.NewReader(out).ReadString('\n')
	go func() { ended <- cmd.Wait() }()
	l.Cleanup(cancel)
	if err != nil {
		l.Fatalf("%v: %v, %v", cmd.Args, err, errs.String())
	}
	at, err := url.Parse(strings.TrimSpace(line))
	l.Must(err)
	return at, ended
}

// TestPreviewURL: visitors of the URL come to the application by the ingress, as the
// intercept matches it.
func TestPreviewURL(t *testing.T) {
	l := lab.New(t, clusters)
	upgrade(l, "--set", "preview.enabled=true,preview.domain=preview.example.com,preview.ingress.className=none")
	l.Apply("quote.yaml")
	serveFront(l, application())
	alice := l.Laptop("alice")
	personal(l, alice, &v1alpha1.Preview{Host: "ingress." + l.Namespace, Port: 80, L5Host: shopHost})
	host := previewHost(l, "quote")

	var s corev1.Service
	l.Must(l.Client.Get(t.Context(), client.ObjectKey{Namespace: lab.ManagerNamespace, Name: "traffic-manager-preview"}, &s))
	address := net.JoinHostPort(s.Spec.ClusterIP, "80")
	at := &url.URL{Scheme: "http", Host: address}
	node := l.Nodes[0]
	c := &http.Client{Transport: &http.Transport{DialContext: node.Dial, DisableKeepAlives: true}}
	code := func(host string) (int, error) {
		resp, _, err := ask(c, at, "/seen", func(r *http.Request) { r.Host = host })
		if err != nil {
			return 0, err
		}
		return resp.StatusCode, nil
	}
	l.Until("the preview answers", func() error {
		if n, err := code(host); err != nil || n != http.StatusOK {
			return fmt.Errorf("%d, %v", n, err)
		}
		return nil
	})
	checkPages(l, c, at, host)
	checkSocket(l, node, address, host)
	if n, err := code("other.preview.example.com"); err != nil || n != http.StatusNotFound {
		l.Errorf("at another name: %d, %v", n, err)
	}

	// A Service where alice may not forward ports is out of reach.
	change := func(f func(*v1alpha1.Preview)) {
		l.Helper()
		l.Until("the intercept is changed", func() error {
			ic, err := l.Get("quote")
			if err != nil {
				return err
			}
			f(ic.Spec.Preview)
			owner, err := client.New(alice.Config(), client.Options{Scheme: l.Client.Scheme()})
			if err != nil {
				return err
			}
			return owner.Update(t.Context(), ic)
		})
	}
	change(func(p *v1alpha1.Preview) { p.Host, p.Port = "kube-dns.kube-system", 53 })
	l.Until("the status says why the preview leads nowhere", func() error {
		ic, err := l.Get("quote")
		if err == nil && (ic.Status.Preview == nil || !strings.Contains(ic.Status.Preview.Message, `"create pods/portforward" in namespace "kube-system"`)) {
			err = fmt.Errorf("%+v", ic.Status.Preview)
		}
		return err
	})
	l.Until("a Service out of reach is a bad gateway", func() error {
		if n, err := code(host); err != nil || n != http.StatusBadGateway {
			return fmt.Errorf("%d, %v", n, err)
		}
		return nil
	})
	change(func(p *v1alpha1.Preview) { p.Host, p.Port = "ingress", 80 })
	if again := previewHost(l, "quote"); again != host {
		l.Errorf("the preview moves from %s to %s", host, again)
	}

	l.Must(l.Client.Delete(t.Context(), &v1alpha1.Intercept{ObjectMeta: metav1.ObjectMeta{Namespace: l.Namespace, Name: "quote"}}))
	l.Until("the preview ends with the intercept", func() error {
		if n, err := code(host); err != nil || n != http.StatusNotFound {
			return fmt.Errorf("%d, %v", n, err)
		}
		return nil
	})
}

// previewHost waits for the URL of an intercept's preview, and returns its host.
func previewHost(l *lab.Lab, name string) string {
	l.Helper()
	var host string
	l.Until("the preview has a URL", func() error {
		ic, err := l.Get(name)
		if err != nil {
			return err
		}
		p := ic.Status.Preview
		if p == nil || p.URL == "" || p.Message != "" || p.ObservedGeneration != ic.Generation {
			return fmt.Errorf("%+v", p)
		}
		u, err := url.Parse(p.URL)
		if err == nil {
			host = u.Host
		}
		return err
	})
	return host
}
