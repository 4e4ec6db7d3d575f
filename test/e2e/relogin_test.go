//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// account is a user with tokens, each of which holds until it is revoked.
type account struct {
	l    *lab.Lab
	name string
	last *corev1.Secret
}

func newAccount(l *lab.Lab, name string) *account {
	l.Helper()
	l.Must(l.Client.Create(l.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: l.Namespace, Name: name}}))
	l.Must(l.Client.Create(l.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: l.Namespace, Name: name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "edit"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: l.Namespace, Name: name}},
	}))
	return &account{l: l, name: name}
}

// token issues one.
func (a *account) token() string {
	a.l.Helper()
	a.last = &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: a.l.Namespace, GenerateName: a.name + "-"}}
	a.l.Must(a.l.Client.Create(a.l.Context(), a.last))
	r, err := a.l.Kube.CoreV1().ServiceAccounts(a.l.Namespace).CreateToken(a.l.Context(), a.name, &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{BoundObjectRef: &authenticationv1.BoundObjectReference{
			Kind: "Secret", APIVersion: "v1", Name: a.last.Name, UID: a.last.UID}}}, metav1.CreateOptions{})
	a.l.Must(err)
	return r.Status.Token
}

// revoke revokes the last one, and returns when the API server heeds that.
func (a *account) revoke(p *lab.Laptop) {
	a.l.Helper()
	a.l.Must(a.l.Client.Delete(a.l.Context(), a.last))
	a.l.Until("the token is not accepted", func() error {
		if o := p.Quiet("kubectl get pods -n " + a.l.Namespace); !strings.Contains(o.Err, "Unauthorized") {
			return fmt.Errorf("kubectl says %q %q", o.Out, o.Err)
		}
		return nil
	})
}

// login gives the laptop a kubeconfig of its own, in which the user is so.
func login(l *lab.Lab, p *lab.Laptop, user *clientcmdapi.AuthInfo) {
	l.Helper()
	own := filepath.Join(p.Home, "kubeconfig")
	if _, err := os.Stat(own); err != nil {
		b, err := os.ReadFile(p.Kubeconfig)
		l.Must(err)
		l.Must(os.WriteFile(own, b, 0o600))
		p.Kubeconfig = own
	}
	cfg, err := clientcmd.LoadFromFile(own)
	l.Must(err)
	cfg.AuthInfos[cfg.Contexts[cfg.CurrentContext].AuthInfo] = user
	l.Must(clientcmd.WriteToFile(*cfg, own))
}

// restartManager replaces the traffic-manager's pods, so that all carriers are
// dialed anew.
func restartManager(l *lab.Lab) {
	l.Helper()
	l.Must(l.Client.DeleteAllOf(l.Context(), &corev1.Pod{}, client.InNamespace(lab.ManagerNamespace),
		client.MatchingLabels{"app.kubernetes.io/name": "traffic-manager"}, client.GracePeriodSeconds(0)))
}

// TestRelogin: tokens are replaced in the kubeconfig, run out, and become
// another user's, while a session is there.
func TestRelogin(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("quote.yaml")
	quote := l.Serving("quote", "http")
	p := l.Laptop("alice")
	dev, other := newAccount(l, "dev"), newAccount(l, "other")
	token := func(a *account) { l.Helper(); login(l, p, &clientcmdapi.AuthInfo{Token: a.token()}) }

	token(dev)
	p.Intercept("add", "quote", "--port", p.Serve("first").To("http"))
	l.Answers(quote, "first")
	before := p.Status().Session

	// The session has no command that tells it.
	dev.revoke(p)
	token(dev)
	restartManager(l)
	l.Eventually(quote, "first")
	p.Intercept("add", "quote", "--port", p.Serve("second").To("http"))
	l.Eventually(quote, "second")
	if s := p.Status().Session; s.PID != before.PID || s.Session != before.Session {
		t.Errorf("session %+v became %+v", before, s)
	}

	// What is wrong while the token is, is told.
	dev.revoke(p)
	restartManager(l)
	const again = "log in to the cluster again"
	l.Until("status tells of the token", func() error {
		if out := p.Quiet("kubectl-intercept status -o json").Out; !strings.Contains(out, again) {
			return fmt.Errorf("status says %s", out)
		}
		return nil
	})
	if out := p.Try("kubectl-intercept", "check", "-n", l.Namespace).Out; !strings.Contains(out, again) {
		t.Error("check does not tell of the session's token")
	}
	token(dev)
	p.Intercept("leave", "quote")
	l.Answers(quote, lab.Application)
	l.Until("the session has heard of it", func() error {
		if s := p.Status(); len(s.Intercepts) != 0 || !s.Session.Connected {
			return fmt.Errorf("status %+v", s)
		}
		return nil
	})

	// Another user is another session.
	token(other)
	p.Intercept("add", "quote", "--port", p.Serve("third").To("http"))
	l.Answers(quote, "third")
	if s := p.Status().Session; s.Session == before.Session || len(p.Sessions()) != 1 {
		t.Errorf("the session of one user serves another: %+v, processes %v", s, p.Sessions())
	}
	if i, err := l.Get("quote"); err != nil || !strings.HasSuffix(i.Spec.User, ":other") {
		t.Errorf("intercept %+v, %v", i, err)
	}
	p.Intercept("leave", "quote")
}

// terminal is a terminal for programs, and its user's side: what programs print can be read
// there, and what is written there they read as typed.
func terminal(l *lab.Lab) (tty, user *os.File, err error) {
	user, err = os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		return nil, nil, err
	}
	l.Cleanup(func() { user.Close() })
	n, err := unix.IoctlGetInt(int(user.Fd()), unix.TIOCGPTN)
	if err != nil {
		return nil, nil, err
	}
	if err := unix.IoctlSetPointerInt(int(user.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		return nil, nil, err
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err == nil {
		l.Cleanup(func() { tty.Close() })
	}
	return tty, user, err
}

// TestWaysToLogIn: a session has whatever credentials the command has that
// starts it, also where it could not get them itself.
func TestWaysToLogIn(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("quote.yaml")
	quote := l.Serving("quote", "http")
	p := l.Laptop("alice")
	dev := newAccount(l, "dev")
	l.Must(os.WriteFile(filepath.Join(p.Home, "token"), []byte(dev.token()), 0o600))
	const plugin = `#!/bin/sh
echo "Welcome, $GREETED." >&2
echo '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"'"$(cat "$1")"'"}}'
`
	l.Must(os.WriteFile(filepath.Join(p.Home, "plugin"), []byte(plugin), 0o700))
	program := p.Serve("alice").To("http")
	add := []string{"add", "quote", "--port", program, "-n", l.Namespace, "--timeout", "45s"}
	works := func(t *testing.T, o lab.Output) {
		t.Helper()
		if o.Failed {
			t.Errorf("add fails: %s", o.Err)
			return
		}
		l.Answers(quote, "alice")
		p.End()
		l.Gone("quote")
	}
	for _, mode := range []clientcmdapi.ExecInteractiveMode{clientcmdapi.AlwaysExecInteractiveMode, clientcmdapi.IfAvailableExecInteractiveMode} {
		t.Run("plugin "+string(mode), func(t *testing.T) {
			login(l, p, &clientcmdapi.AuthInfo{Exec: &clientcmdapi.ExecConfig{APIVersion: "client.authentication.k8s.io/v1", Command: "./plugin",
				Args: []string{"token"}, Env: []clientcmdapi.ExecEnvVar{{Name: "GREETED", Value: "dev"}}, InteractiveMode: mode}})
			tty, _, err := terminal(l)
			l.Must(err)
			o := p.TryOn(tty, "kubectl-intercept", add...)
			if !strings.Contains(o.Err, "Welcome, dev.") {
				t.Errorf("the plugin's words are lost: %q", o.Err)
			}
			works(t, o)
		})
	}
	login(l, p, &clientcmdapi.AuthInfo{Token: dev.token()})
	for name, line := range map[string]string{"pipe": "--kubeconfig <(cat kubeconfig)", "standard input": "--kubeconfig /dev/stdin < <(cat kubeconfig)"} {
		t.Run(name, func(t *testing.T) {
			o := p.Try("bash", "-c", "unset KUBECONFIG; exec "+l.Bin("kubectl-intercept")+" "+strings.Join(add, " ")+" "+line)
			works(t, o)
		})
	}
	t.Run("folder", func(t *testing.T) {
		unusable := func(what string, o *ordinary, advice ...string) {
			t.Helper()
			out, _, code := o.output(l.Namespace, "check")
			_, errs, failed := o.output(l.Namespace, "add", "quote", "--port", program)
			if code == 0 || failed == 0 {
				t.Errorf("%s: check ends with %d, add with %d", what, code, failed)
			}
			for _, text := range advice {
				if !strings.Contains(out, text) || !strings.Contains(errs, text) {
					t.Errorf("%s: %q is not in what check and add say", what, text)
				}
			}
			if !strings.Contains(out, "× a session has no folder") {
				t.Errorf("%s: check has no × for the folder", what)
			}
		}
		o := ordinaryUser(l, l.Laptop("bob"), 12345) // of a home that no session has used
		l.Must(os.Chmod(o.Home, 0o555))
		unusable("read-only", o, "the session cannot keep its files in "+o.Home+" (permission denied)", "make the folder writable, or set XDG_CACHE_HOME")
		l.Must(os.Chmod(o.Home, 0o755))
		cache := filepath.Join(o.Home, ".cache")
		l.Must(os.MkdirAll(cache, 0o700))
		l.Must(os.Chown(cache, 0, 0))
		unusable("root's", o, cache+" belongs to root", `sudo chown -R "$(id -u)" `+cache)
	})
	t.Run("no home", func(t *testing.T) {
		o := p.Try("env", "-u", "HOME", "-u", "XDG_CACHE_HOME", l.Bin("kubectl-intercept"), "check", "-n", l.Namespace)
		if !o.Failed || !strings.Contains(o.Out, "XDG_CACHE_HOME") {
			t.Errorf("check says %s", o.Out)
		}
		o = p.Try("env", append([]string{"-u", "HOME", "-u", "XDG_CACHE_HOME", l.Bin("kubectl-intercept")}, add...)...)
		if !o.Failed || !strings.Contains(o.Err, "XDG_CACHE_HOME") {
			t.Errorf("add says %s", o.Err)
		}
	})
}

// brokenGateway leads to the API server and answers itself what goes to Services.
func brokenGateway(l *lab.Lab, p *lab.Laptop, code int) string {
	l.Helper()
	cfg := p.Config()
	to, err := url.Parse(cfg.Host)
	l.Must(err)
	tls, err := rest.TLSConfigFor(&rest.Config{TLSClientConfig: rest.TLSClientConfig{CAData: cfg.CAData, CAFile: cfg.CAFile}})
	l.Must(err)
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.Transport = &http.Transport{TLSClientConfig: tls, DialContext: p.Dial}
	ln, err := p.Space.Listen("127.0.0.1:0")
	l.Must(err)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/proxy/") {
			http.Error(w, "upstream is not what it was", code)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	server.Listener.Close()
	server.Listener = ln
	server.StartTLS()
	l.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	return server.URL
}

// scaleManager returns when the traffic-manager has so many replicas.
func scaleManager(l *lab.Lab, replicas int) {
	l.Helper()
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: lab.ManagerNamespace, Name: "traffic-manager"}}
	l.Must(l.Client.Patch(l.Context(), d, client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, replicas))))
	l.Until("the traffic-manager is scaled", func() error {
		l.Must(l.Client.Get(l.Context(), client.ObjectKeyFromObject(d), d))
		if d.Status.ObservedGeneration != d.Generation || int(d.Status.Replicas) != replicas || int(d.Status.ReadyReplicas) != replicas {
			return fmt.Errorf("status %+v", d.Status)
		}
		return nil
	})
}

// TestNoWayToTheManager: what keeps a session from connecting is told within
// --timeout, and gone around where it can be.
func TestNoWayToTheManager(t *testing.T) {
	l := lab.New(t, clusters)
	l.AllowPortForward()
	l.Apply("quote.yaml")
	quote := l.Serving("quote", "http")
	p := l.Laptop("alice")
	dev := newAccount(l, "dev")
	login(l, p, &clientcmdapi.AuthInfo{Token: dev.token()})
	program := p.Serve("alice").To("http")
	for _, code := range []int{500, 502, 503} {
		t.Run(fmt.Sprint("gateway answers ", code), func(t *testing.T) {
			server := brokenGateway(l, p, code)
			o := p.Try("kubectl-intercept", "add", "quote", "--port", program, "-n", l.Namespace, "--server", server, "--insecure-skip-tls-verify", "--timeout", "30s")
			if o.Failed {
				t.Fatalf("add fails: %s", o.Err)
			}
			l.Answers(quote, "alice")
			o = p.Try("kubectl-intercept", "check", "-n", l.Namespace, "--server", server, "--insecure-skip-tls-verify")
			if !strings.Contains(o.Out, fmt.Sprint(code)) || !strings.Contains(o.Out, "port-forward") {
				t.Errorf("check does not tell of the gateway: %s", o.Out)
			}
			p.Intercept("leave", "quote", "--server", server, "--insecure-skip-tls-verify")
		})
	}
	t.Run("no traffic-manager runs", func(t *testing.T) {
		scaleManager(l, 0)
		defer scaleManager(l, 1)
		for _, wait := range []string{"--wait=true", "--wait=false"} {
			p.Refused([]string{"add", "quote", "--port", program, "--timeout", "8s", wait}, "8s", "not connected to the traffic-manager", "no endpoints available",
				"connecting to the traffic-manager: ") // meanwhile, with the reason
		}
		if out := p.Try("kubectl-intercept", "check", "-n", l.Namespace).Out; !slices.ContainsFunc(strings.Split(out, "\n"), func(line string) bool {
			return strings.Contains(line, "×") && strings.Contains(line, "session")
		}) {
			t.Error("check does not tell that the session is not connected")
		}
	})
}
