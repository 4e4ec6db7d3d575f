package daemon

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/mux"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/tunneltest"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
)

// object is a Session, an Intercept or a ConfigMap.
type object interface{ metav1.Object }

// cluster is an API server that knows one user, "jane", unless a test adds
// others, with Sessions, Intercepts and the traffic-manager's end of the tunnel.
type cluster struct {
	t        *testing.T
	server   *httptest.Server
	group    *mux.Group      // flows to the session
	own      tls.Certificate // the traffic-manager's, which its ConfigMap has
	refuse   string          // a verb on sessions that is forbidden
	missing  bool            // the product is not installed
	code     int             // a gateway answers so instead of the traffic-manager
	mute     chan struct{}   // if not nil: receives each request for the user's name, which gets no answer
	creating func()          // if not nil: is called before a Session is created
	extra    string          // what else the user is, as JSON

	mu      sync.Mutex
	users   map[string]string // by token
	version int
	objects map[string]object // by path
	changed chan struct{}     // closed at every change
	carried int               // carriers that were accepted
	old     bool              // Sessions have to be renewed
	renewed []*v1alpha1.Session
	conns   []net.Conn       // theirs
	cuts    int              // how often all connections were broken
	secret  handshake.Secret // of the last session that was
	offers  chan offered     // lines

	outbound tunnel.Handler // gets the flows of programs on the laptop; nil refuses them
}

// offered is an idle line.
type offered struct {
	conn  net.Conn
	hello *handshake.LineHello
}

func newCluster(t *testing.T) *cluster {
	c := &cluster{t: t, group: mux.NewGroup(mux.NewBudget(64 << 20)), objects: map[string]object{}, changed: make(chan struct{}),
		users: map[string]string{"jane": "jane"}, offers: make(chan offered, 64)}
	c.own = tunneltest.Certificate(t, handshake.ServerName("traffic-manager", "intercept-system"))
	c.objects["/api/v1/namespaces/intercept-system/configmaps/traffic-manager"] = &corev1.ConfigMap{Data: map[string]string{
		handshake.AuthorityKey: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.own.Certificate[0]}))}}
	c.server = httptest.NewTLSServer(c)
	t.Cleanup(func() { c.server.CloseClientConnections(); c.server.Close() })
	return c
}

// factory returns flags for the cluster with a kubeconfig of its own.
func (c *cluster) factory() *kube.Factory {
	path := filepath.Join(c.t.TempDir(), "config")
	c.write(path, map[string]any{"token": "jane"})
	f := kube.NewFactory()
	f.KubeConfig = &path
	return f
}

// login changes who may come with which token.
func (c *cluster) login(users map[string]string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.users = users
}

// write writes a kubeconfig, in which jane is so.
func (c *cluster) write(path string, jane map[string]any) {
	c.t.Helper()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.server.Certificate().Raw})
	config, err := yaml.Marshal(map[string]any{"apiVersion": "v1", "kind": "Config", "current-context": "demo",
		"clusters": []any{map[string]any{"name": "c", "cluster": map[string]any{"server": c.server.URL, "certificate-authority-data": ca}}},
		"users":    []any{map[string]any{"name": "jane", "user": jane}},
		"contexts": []any{map[string]any{"name": "demo", "context": map[string]any{"cluster": "c", "user": "jane", "namespace": "shop"}}}})
	if err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(path, config, 0o600); err != nil {
		c.t.Fatal(err)
	}
}

func (c *cluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	user, cuts := c.users[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")], c.cuts
	c.mu.Unlock()
	switch {
	case user == "":
		reply(w, nil, apierrors.NewUnauthorized("who are you?"))
	case strings.HasSuffix(r.URL.Path, "/selfsubjectreviews") && c.mute != nil:
		io.Copy(io.Discard, r.Body) // only then the server hears that the client hangs up
		c.mute <- struct{}{}
		<-r.Context().Done()
	case strings.HasSuffix(r.URL.Path, "/selfsubjectreviews"):
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview","status":{"userInfo":{"username":"`+user+`","extra":`+cmp.Or(c.extra, "{}")+`}}}`)
	case c.missing:
		reply(w, nil, apierrors.NewNotFound(schema.GroupResource{Group: v1alpha1.Group, Resource: "sessions"}, ""))
	case r.Header.Get("Upgrade") == handshake.UpgradeProtocol:
		c.carry(w, r, cuts)
	case r.Header.Get("Upgrade") == handshake.LineUpgradeProtocol:
		c.offer(w, r)
	case strings.Contains(r.URL.Path, "/sessions") && c.refuse == r.Method:
		reply(w, nil, apierrors.NewForbidden(schema.GroupResource{Group: v1alpha1.Group, Resource: "sessions"}, "",
			errText(`User "jane" cannot create resource "sessions" in API group "kubectl-intercept.dev" in the namespace "intercept-system"`)))
	case r.Method == http.MethodPost:
		if c.creating != nil {
			c.creating()
		}
		var s v1alpha1.Session
		if err := json.NewDecoder(r.Body).Decode(&s); err != nil {
			reply(w, nil, apierrors.NewBadRequest(err.Error()))
			return
		}
		if s.Spec.Renews != "" {
			c.renew(&s)
		} else {
			c.put(&s)
		}
		reply(w, &s, nil)
	case r.Method == http.MethodDelete:
		var options metav1.DeleteOptions
		if err := json.NewDecoder(r.Body).Decode(&options); err != nil && !errors.Is(err, io.EOF) {
			reply(w, nil, apierrors.NewBadRequest(err.Error()))
			return
		}
		if !c.delete(r.URL.Path, options.Preconditions) {
			reply(w, nil, apierrors.NewConflict(schema.GroupResource{}, r.URL.Path, errText("another object has the name")))
			return
		}
		reply(w, &metav1.Status{Status: "Success"}, nil)
	case r.URL.Query().Get("watch") != "":
		c.watch(w, r)
	default:
		c.read(w, r)
	}
}

type errText string

func (e errText) Error() string { return string(e) }

func reply(w http.ResponseWriter, v any, err *apierrors.StatusError) {
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		s := err.Status()
		s.Kind, s.APIVersion = "Status", "v1"
		w.WriteHeader(int(s.Code))
		v = s
	}
	json.NewEncoder(w).Encode(v)
}

// read serves get and list.
func (c *cluster) read(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if o := c.objects[r.URL.Path]; o != nil {
		reply(w, o, nil)
		return
	}
	if strings.HasSuffix(r.URL.Path, "/pods") {
		reply(w, &corev1.PodList{}, nil)
		return
	}
	if strings.HasSuffix(r.URL.Path, "/intercepts") {
		list := v1alpha1.InterceptList{}
		for _, o := range c.objects {
			if i, ok := o.(*v1alpha1.Intercept); ok {
				list.Items = append(list.Items, *i)
			}
		}
		reply(w, &list, nil)
		return
	}
	reply(w, nil, apierrors.NewNotFound(schema.GroupResource{}, r.URL.Path))
}

// watch serves the watch of a single object.
func (c *cluster) watch(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Query().Get("fieldSelector"), "metadata.name=")
	at := r.URL.Path + "/" + name
	seen := r.URL.Query().Get("resourceVersion")
	w.Header().Set("Content-Type", "application/json")
	w.(http.Flusher).Flush()
	var last object
	for {
		c.mu.Lock()
		o, changed := c.objects[at], c.changed
		c.mu.Unlock()
		event := map[string]any{}
		switch {
		case o == nil:
			if last == nil { // deleted before the watch: its last state is of no interest
				return
			}
			event["type"], event["object"] = "DELETED", last
		case o.GetResourceVersion() != seen:
			event["type"], event["object"] = "MODIFIED", o
			seen = o.GetResourceVersion()
		}
		if len(event) > 0 {
			json.NewEncoder(w).Encode(event)
			w.(http.Flusher).Flush()
		}
		if o == nil {
			return
		}
		last = o
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		}
	}
}

// carry is the traffic-manager's end of a carrier that was admitted after so many
// cuts: a later one breaks it, also while it is being set up.
func (c *cluster) carry(w http.ResponseWriter, r *http.Request, cuts int) {
	if !strings.HasSuffix(r.URL.Path, "/services/http:traffic-manager:tunnel/proxy/tunnel") {
		http.NotFound(w, r)
		return
	}
	if c.code != 0 {
		http.Error(w, "upstream is not what it was", c.code)
		return
	}
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+handshake.UpgradeProtocol+"\r\n\r\n")
	secure, publicKey, err := handshake.AcceptCarrier(r.Context(), conn, func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &c.own, nil })
	if err != nil {
		conn.Close()
		return
	}
	c.carryOn(r.Context(), conn, secure, publicKey, cuts)
}

// carryOn is carry after the TLS of a session with a public key.
func (c *cluster) carryOn(ctx context.Context, conn, secure net.Conn, publicKey string, cuts int) {
	hello, err := handshake.ReadHello(secure)
	if err != nil {
		conn.Close()
		return
	}
	c.mu.Lock()
	s, _ := c.objects[apiPrefix+"/namespaces/intercept-system/sessions/"+hello.Session].(*v1alpha1.Session)
	old := c.old
	ok := s != nil && !old && s.Spec.PublicKey == publicKey
	if c.cuts > cuts {
		c.mu.Unlock()
		conn.Close()
		return
	}
	if ok {
		c.carried++
		c.conns = append(c.conns, conn)
		c.secret = hello.Secret
	}
	c.mu.Unlock()
	if old {
		handshake.WriteWelcome(secure, &handshake.Welcome{Refusal: "too old", Renew: true})
		conn.Close()
		return
	}
	if !ok {
		handshake.WriteWelcome(secure, &handshake.Welcome{Refusal: "unknown session"})
		conn.Close()
		return
	}
	handshake.WriteWelcome(secure, &handshake.Welcome{Pod: "manager-0", Version: "9.9.9", Domain: "cluster.local"})
	if hello.Direction == handshake.Outbound {
		handle := c.outbound
		if handle == nil {
			handle = func(context.Context, *frame.Open, tunnel.Incoming) error { return frame.ErrRefused }
		}
		mux.Serve(ctx, secure, mux.NewBudget(1<<20), handle)
		return
	}
	c.group.Add(ctx, secure, nil)
}

// offer is the traffic-manager's end of a line.
func (c *cluster) offer(w http.ResponseWriter, r *http.Request) {
	if !strings.HasSuffix(r.URL.Path, "/services/http:traffic-manager:tunnel/proxy/line") {
		http.NotFound(w, r)
		return
	}
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+handshake.LineUpgradeProtocol+"\r\n\r\n")
	c.offerOn(conn, conn)
}

// offerOn is offer on a connection, for what is said on it.
func (c *cluster) offerOn(conn, said net.Conn) {
	hello, err := handshake.ReadLineHello(said)
	c.mu.Lock()
	ok := err == nil && hello.Check(&c.secret)
	c.mu.Unlock()
	if !ok || handshake.WriteWelcome(said, &handshake.Welcome{}) != nil {
		conn.Close()
		return
	}
	c.offers <- offered{conn, hello}
}

// stop ends the server. It accepts no connection any more before it breaks those that
// there are: a watch that began in between would keep it from ending.
func (c *cluster) stop() {
	c.server.Listener.Close()
	c.cut()
	c.server.Close()
}

// cut breaks every connection, and those of carriers.
func (c *cluster) cut() {
	c.server.CloseClientConnections()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		conn.Close()
	}
	c.conns = nil
	c.cuts++
}

// carriers is how many were welcome so far.
func (c *cluster) carriers() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.carried
}
