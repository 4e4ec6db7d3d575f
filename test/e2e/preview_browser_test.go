//go:build e2e

package e2e

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/websocket"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// previewDomain is where the cluster of this test has its preview URLs.
const previewDomain = "preview.example.com"

// shop adds to an application the page in testdata/shop, and passes on /quote to the
// Service quote, with all headers. The page is loaded when its script has reported.
func shop(l *lab.Lab, app *http.ServeMux, dial func(string) *http.Transport) {
	l.Helper()
	reported := make(chan struct{}, 1)
	app.Handle("/", http.FileServer(http.Dir("testdata/shop")))
	app.HandleFunc("POST /report", func(http.ResponseWriter, *http.Request) { reported <- struct{}{} })
	app.HandleFunc("/reported", func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-reported:
		case <-r.Context().Done():
		}
	})
	app.HandleFunc("/basket", func(w http.ResponseWriter, r *http.Request) {
		if c, err := r.Cookie("basket"); err == nil {
			io.WriteString(w, c.Value)
		}
	})
	app.Handle("/quote/", http.StripPrefix("/quote", to(dial(l.Service("quote", "http")))))
}

// transportTo connects to one address, whatever the request's host is.
func transportTo(from *lab.Space, addr string) *http.Transport {
	return &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) { return from.Dial(ctx, network, addr) }}
}

// to is a proxy that changes nothing. The transport knows where to.
func to(transport *http.Transport) http.Handler {
	return &httputil.ReverseProxy{FlushInterval: -1, Transport: transport, Rewrite: func(p *httputil.ProxyRequest) {
		p.Out.URL.Scheme, p.Out.URL.Host, p.Out.Host = "http", p.In.Host, p.In.Host
	}}
}

// endTLS serves the ingress at its port for TLS, for the shop and for previews. It ends the
// handshake with whoever asks for another name.
func endTLS(l *lab.Lab, inside *lab.Space, dial func(string) *http.Transport) {
	l.Helper()
	var previews corev1.Service
	l.Must(l.Client.Get(l.Context(), client.ObjectKey{Namespace: lab.ManagerNamespace, Name: "traffic-manager-preview"}, &previews))
	key := l.Authority().Issue("the ingress")
	cfg := &tls.Config{GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if h.ServerName != shopHost && !strings.HasSuffix(h.ServerName, "."+previewDomain) {
			return nil, fmt.Errorf("no certificate for %q", h.ServerName)
		}
		return &key.Certificate, nil
	}}
	preview, plain := to(dial(net.JoinHostPort(previews.Spec.ClusterIP, "80"))), to(dial("127.0.0.1:8000"))
	ln, err := inside.Listen(":8443")
	l.Must(err)
	s := &http.Server{ReadHeaderTimeout: time.Minute, TLSConfig: cfg, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.Host, "."+previewDomain) {
			preview.ServeHTTP(w, r)
			return
		}
		plain.ServeHTTP(w, r)
	})}
	go s.ServeTLS(ln, "", "")
	l.Cleanup(func() { s.Close() })

	var in networkingv1.Ingress
	l.Must(l.Client.Get(l.Context(), client.ObjectKey{Namespace: l.Namespace, Name: "shop"}, &in))
	in.Spec.TLS = []networkingv1.IngressTLS{{Hosts: []string{shopHost}}}
	l.Must(l.Client.Update(l.Context(), &in))
}

// answerQuestions runs add on a terminal, answers the questions about the ingress, and
// returns the preview's URL.
func answerQuestions(l *lab.Lab, p *lab.Laptop, args ...string) *url.URL {
	l.Helper()
	tty, user, err := terminal(l)
	l.Must(err)
	cmd := p.Command(l.Context(), "kubectl-intercept", append(args, "-n", l.Namespace)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
	screen := &running{Cmd: cmd, done: make(chan struct{})}
	go io.Copy(screen, user)
	l.Must(cmd.Start())
	l.Cleanup(func() { _ = cmd.Process.Kill() }) // it has ended if all went well
	go func() {
		_ = cmd.Wait() // the test looks at the state
		close(screen.done)
	}()
	asked := func(text, answer string) {
		l.Helper()
		l.Until("the terminal shows "+text, func() error {
			if !strings.Contains(screen.printed(), text) {
				return errors.New(screen.printed())
			}
			return nil
		})
		_, err := io.WriteString(user, answer+"\n")
		l.Must(err)
	}
	asked("Found: ingress "+l.Namespace+"/shop\r\n1/4 Service of the ingress, NAME.NAMESPACE [ingress."+l.Namespace+"]: ", "")
	asked("2/4 TCP port of that Service [443]: ", "https")
	asked(`"https" is not a port: write a number from 1 to 65535`+"\r\n2/4 TCP port of that Service [443]: ", "443")
	asked("3/4 Does the ingress expect TLS there? y or n [y]: ", "")
	asked("4/4 Host name by which the ingress routes (L5 host: header Host, and TLS server name) ["+shopHost+"]: ", "")
	shown := regexp.MustCompile(`Preview URL *: (https://[0-9a-z]+\.` + regexp.QuoteMeta(previewDomain) + `/?)\r\n`)
	var found []string
	l.Until("the terminal shows the URL", func() error {
		if found = shown.FindStringSubmatch(screen.printed()); found == nil {
			return errors.New(screen.printed())
		}
		return nil
	})
	select {
	case <-screen.done:
	case <-time.After(lab.Patience):
		l.Fatalf("the command does not end: %s", screen.printed())
	}
	l.Logf("%s's terminal:\n%s", p.User, screen.printed())
	if code := cmd.ProcessState.ExitCode(); code != 0 {
		l.Fatalf("exit code %d", code)
	}
	at, err := url.Parse(found[1])
	l.Must(err)
	return at
}

// browse opens a page in a browser on a node, for which every name is one address. It
// returns what is in the element "result" when the page is loaded.
func browse(l *lab.Lab, node *lab.Space, page *url.URL, address string) string {
	l.Helper()
	home, err := os.MkdirTemp("", "browser")
	l.Must(err)
	l.Cleanup(func() { os.RemoveAll(home) }) // a process of the browser may still write
	root := l.Bin("browser")
	fonts := filepath.Join(home, "fonts.conf")
	l.Must(os.WriteFile(fonts, []byte("<fontconfig><dir>"+root+"/usr/share/fonts</dir><cachedir>"+home+"</cachedir></fontconfig>"), 0o600))
	o := l.ShOn(node, `LD_LIBRARY_PATH=$(echo $B/usr/lib/*-linux-gnu $B/lib/*-linux-gnu $B/usr/lib/*-linux-gnu/pulseaudio | tr ' ' :) \
		exec $B/usr/lib/chromium/chromium-headless-shell --no-sandbox --disable-gpu --disable-dev-shm-usage --user-data-dir=$HOME \
		--ignore-certificate-errors --host-resolver-rules="MAP * $ADDRESS" --dump-dom "$PAGE"`,
		"B="+root, "HOME="+home, "FONTCONFIG_FILE="+fonts, "ADDRESS="+address, "PAGE="+page.String())
	l.Logf("the browser has run for %s", o.Took)
	result := regexp.MustCompile(`(?s)<pre id="result">(.*?)</pre>`).FindStringSubmatch(o.Out)
	if o.Failed || result == nil {
		l.Fatalf("the browser shows\n%s\n%s", o.Out, o.Err)
	}
	return html.UnescapeString(result[1])
}

// TestPreviewInBrowser: alice answers the questions about the ingress on her terminal, and
// a browser opens the URL that she gets. The ingress ends TLS. What the page asks of the
// intercepted Service comes to alice's program.
func TestPreviewInBrowser(t *testing.T) {
	l := lab.New(t, clusters)
	upgrade(l, "--set", "preview.enabled=true,preview.domain="+previewDomain+",preview.ingress.className=none")
	l.Apply("quote.yaml")
	quote := l.Serving("quote", "http")
	app := application()
	inside := serveFront(l, app)
	dial := func(addr string) *http.Transport { return transportTo(inside, addr) }
	shop(l, app, dial)
	endTLS(l, inside, dial)

	alice := l.Laptop("alice")
	program := http.NewServeMux()
	program.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "alice answers") })
	program.HandleFunc("POST /echo", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "alice has ")
		io.Copy(w, r.Body)
	})
	program.Handle("/socket", websocket.Handler(func(c *websocket.Conn) {
		var text string
		for websocket.Message.Receive(c, &text) == nil && websocket.Message.Send(c, "alice hears "+text) == nil {
		}
	}))
	ln, err := alice.Space.Listen("127.0.0.1:0")
	l.Must(err)
	server := &http.Server{Handler: program, ReadHeaderTimeout: time.Minute}
	go server.Serve(ln)
	t.Cleanup(func() { server.Close() })
	at := answerQuestions(l, alice, "add", "quote", "--preview-url", "--port", fmt.Sprint(ln.Addr().(*net.TCPAddr).Port))

	ingress := l.Service("ingress", "https")
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{ServerName: at.Host, InsecureSkipVerify: true},
		DialContext: transportTo(l.Nodes[0], ingress).DialContext, DisableKeepAlives: true}}
	l.Until("the preview answers", func() error {
		resp, body, err := ask(c, at, "/quote/", nil)
		if err == nil && (resp.StatusCode != http.StatusOK || body != "alice answers") {
			err = fmt.Errorf("%s %s", resp.Status, body)
		}
		return err
	})
	host, _, err := net.SplitHostPort(ingress)
	l.Must(err)
	const want = `{"style":"rgb(1, 2, 3)","logo":"7x5","fetch":"alice answers","post":"alice has a basket","redirect":"/seen","cookie":"3",` +
		`"socket":"alice hears one,alice hears two","front":"one,two"}`
	if got := browse(l, l.Nodes[0], at, host); got != want {
		t.Errorf("the page shows\n%s, want\n%s", got, want)
	}
	l.Answers(quote, lab.Application)
	alice.Intercept("leave", "quote")
	l.Until("the preview ends with the intercept", func() error {
		resp, _, err := ask(c, at, "/", nil)
		if err == nil && resp.StatusCode != http.StatusNotFound {
			err = errors.New(resp.Status)
		}
		return err
	})
}
