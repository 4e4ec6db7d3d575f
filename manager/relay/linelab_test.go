package relay

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/authz"
	"github.com/kubectl-intercept/kubectl-intercept/manager/budget"
	"github.com/kubectl-intercept/kubectl-intercept/manager/pki"
	"github.com/kubectl-intercept/kubectl-intercept/manager/pki/pkitest"
	"github.com/kubectl-intercept/kubectl-intercept/manager/plan"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/line"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/record"
)

const system = "intercept-system"

// quote is what pod shop/quote-1 may ask for.
var quote = handshake.LineRequest{Session: "alice", Intercept: "shop/quote", InterceptUID: "i"}

// lineLab is a relay with one session, a TLS port for agents and a plain one
// for what the API server's proxy brings.
type lineLab struct {
	t             *testing.T
	relay         *Relay
	session       *session
	authority     *pki.Authority
	objects       client.Client
	agents, lines string
	direct        string // where sessions come that dial the traffic-manager themselves
	mayExec       bool
	mayList       bool
}

func newLineLab(t *testing.T) *lineLab {
	t.Helper()
	s := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(s), v1alpha1.AddToScheme(s)); err != nil {
		t.Fatal(err)
	}
	labels := map[string]string{"app": "quote"}
	owner := func(kind, name string) []metav1.OwnerReference {
		yes := true
		return []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: kind, Name: name, UID: types.UID(name), Controller: &yes}}
	}
	objects := fake.NewClientBuilder().WithScheme(s).WithObjects(
		&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "quote-1", UID: "p", Labels: labels, OwnerReferences: owner("ReplicaSet", "quote-a")},
			Spec: corev1.PodSpec{Containers: []corev1.Container{{Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}}}}}},
		&appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "quote-a", UID: "quote-a", Labels: labels, OwnerReferences: owner("Deployment", "quote")},
			Spec: appsv1.ReplicaSetSpec{Selector: &metav1.LabelSelector{MatchLabels: labels}}},
		&appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "quote", UID: "quote"},
			Spec: appsv1.DeploymentSpec{Selector: &metav1.LabelSelector{MatchLabels: labels}}},
		&v1alpha1.Intercept{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "quote", UID: "i", Generation: 1},
			Spec: v1alpha1.InterceptSpec{User: "alice", Session: "alice",
				Workload: v1alpha1.WorkloadReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "quote"}},
			Status: v1alpha1.InterceptStatus{
				Conditions: []metav1.Condition{{Type: v1alpha1.ConditionResolved, Status: "True", ObservedGeneration: 1}},
				Ports:      []v1alpha1.ResolvedPort{{ContainerPort: 8080, ContainerPortName: "http", Protocol: "TCP"}}}},
		&v1alpha1.Session{ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: "alice"}, Spec: v1alpha1.SessionSpec{User: "alice", PublicKey: key}},
	).Build()
	authority, err := pki.Load(t.Context(), objects, system, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	l := &lineLab{t: t, authority: authority, objects: objects}
	l.relay, err = New(Config{Log: slog.New(slog.DiscardHandler), Namespace: system, Pod: "traffic-manager-1",
		Reader: objects, Cache: objects, Budget: budget.New(slog.New(slog.DiscardHandler)), Planner: plan.New(objects, system, plan.Answers{}), Certificate: (&pki.Serving{Authority: authority, Names: []string{"relay"}}).Certificate, OnChange: func(string) {}, Reach: l, Identity: &confirming{}})
	if err != nil {
		t.Fatal(err)
	}
	if l.session, err = l.relay.addCarrier(&handshake.Hello{Session: "alice", Secret: secret, Generation: 1}, key, userOf("alice")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.session.cancel)
	cert, err := authority.Serving([]string{"relay"}, nil, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{NextProtos: []string{handshake.ALPNLine}, Certificates: []tls.Certificate{*cert},
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: authority.Pool()}
	l.agents = l.listen(func(c net.Conn) {
		if s := tls.Server(record.NewConn(c), config); s.Handshake() == nil {
			l.relay.ServeLine(s)
		}
	})
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: l.relay.Sessions()}
	go server.Serve(plain)
	t.Cleanup(func() { server.Close() })
	l.lines = plain.Addr().String()
	l.direct = l.listen(func(c net.Conn) { l.relay.ServeDirect(c, nil) })
	return l
}

// Check implements Reach: alice may dial this machine by its IPv4 address.
func (l *lineLab) Check(_ context.Context, s authz.Subject, to netip.AddrPort) error {
	if s.User == "alice" && to.Addr() == netip.MustParseAddr("127.0.0.1") {
		return nil
	}
	return &authz.DeniedError{User: s.User, Address: to.Addr().String()}
}

// MayList implements Reach.
func (l *lineLab) MayList(_ context.Context, s authz.Subject, group, resource, namespace string) (bool, error) {
	return l.mayList && s.User == "alice" && group == v1alpha1.Group && resource == "sessions" && namespace == system, nil
}

// MayExec implements Reach.
func (l *lineLab) MayExec(_ context.Context, s authz.Subject, namespace, pod string) (bool, error) {
	return l.mayExec && s.User == "alice" && namespace == "shop" && pod == "quote-1", nil
}

func (l *lineLab) listen(serve func(net.Conn)) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go serve(c)
		}
	}()
	return ln.Addr().String()
}

// agent is the TLS of the agent in a pod.
func (l *lineLab) agent(pod pki.Pod) *tls.Config {
	l.t.Helper()
	return &tls.Config{RootCAs: l.authority.Pool(), ServerName: "relay", ClientSessionCache: tls.NewLRUClientSessionCache(4),
		Certificates: []tls.Certificate{pkitest.Agent(l.t, l.authority, pod)}}
}

var quotePod = pki.Pod{Namespace: "shop", Name: "quote-1", UID: "p"}

// upgraded is a connection after an HTTP Upgrade, as transports bring it.
func (l *lineLab) upgraded(path, protocol string) net.Conn {
	l.t.Helper()
	c, err := net.Dial("tcp", l.lines)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: m\r\nConnection: Upgrade\r\nUpgrade: "+protocol+"\r\n\r\n")
	in := bufio.NewReader(c)
	resp, err := http.ReadResponse(in, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols || in.Buffered() > 0 {
		l.t.Fatalf("answer to the upgrade: %v, %v", resp, err)
	}
	return c
}

// offer offers a line and returns the connection with its Hello.
func (l *lineLab) offer(s handshake.Secret, d handshake.Direction) (net.Conn, *handshake.LineHello, *handshake.Welcome) {
	l.t.Helper()
	return l.offerOn(l.upgraded(handshake.LineUpgradePath, handshake.LineUpgradeProtocol), s, d)
}

// offerOn does so on a connection.
func (l *lineLab) offerOn(c net.Conn, s handshake.Secret, d handshake.Direction) (net.Conn, *handshake.LineHello, *handshake.Welcome) {
	l.t.Helper()
	h := handshake.NewLineHello(&s, "alice", 1, d)
	if err := handshake.WriteLineHello(c, h); err != nil {
		l.t.Fatal(err)
	}
	w, err := handshake.ReadWelcome(c)
	if err != nil {
		l.t.Fatal(err)
	}
	return c, h, w
}

// serve is the session's end of one line, which echoes what comes for the
// intercept.
func (l *lineLab) serve() {
	l.t.Helper()
	l.serveOn(l.upgraded(handshake.LineUpgradePath, handshake.LineUpgradeProtocol))
}

// serveOn is serve on a connection.
func (l *lineLab) serveOn(c net.Conn) {
	l.t.Helper()
	_, h, w := l.offerOn(c, secret, handshake.Inbound)
	if w.Refusal != "" {
		l.t.Fatal(w.Refusal)
	}
	server, err := line.NewServer(ofAlice)
	if err != nil {
		l.t.Fatal(err)
	}
	echo := l.listen(func(c net.Conn) {
		io.Copy(c, c)
		c.Close()
	})
	go func() {
		j, err := handshake.ReadLineAssigned(c, &secret, h, func() {})
		if err != nil {
			return
		}
		c.SetDeadline(time.Time{})
		on := c
		if o, ok := c.(*handshake.Offer); ok {
			on = o.Below(o.Close)
		}
		f, err := server.Accept(context.Background(), on, j)
		if err != nil {
			c.Close()
			return
		}
		line.Serve(context.Background(), f, j.OfIntercept, func(_ context.Context, o *frame.Open, in tunnel.Incoming) error {
			if o.Port != 8080 {
				return frame.ErrRefused
			}
			program, err := net.Dial("tcp", echo)
			if err != nil {
				return err
			}
			if err := in.Accept(); err != nil {
				return err
			}
			program.Write(o.First)
			return in.Join(tunnel.NewTCP(program.(*net.TCPConn)), nil)
		})
	}()
}

// flow opens a flow on a line and returns the verdict.
func flow(t *testing.T, s tunnel.Stream, open frame.Open) frame.Verdict {
	t.Helper()
	open.Intercept, open.InterceptUID, open.Session = quote.Intercept, cmp.Or(open.InterceptUID, "i"), "alice"
	s.SetReadDeadline(time.Now().Add(20 * time.Second))
	if err := frame.WriteOpen(s, &open); err != nil {
		t.Fatal(err)
	}
	v, _, err := frame.ReadAnswer(s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
