//go:build linux

package lab

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/mux"
)

// sessionState is what the session on this laptop keeps for its successor.
type sessionState struct {
	Session    string
	Key        []byte
	Generation uint64
}

func (p *Laptop) state() sessionState {
	p.lab.Helper()
	files, err := filepath.Glob(filepath.Join(p.Home, ".cache/kubectl-intercept/*/session.json"))
	p.lab.Must(err)
	if len(files) != 1 {
		p.lab.Fatalf("%s has sessions %v, want one", p.User, files)
	}
	text, err := os.ReadFile(files[0])
	p.lab.Must(err)
	var s sessionState
	p.lab.Must(json.Unmarshal(text, &s))
	return s
}

// Identity returns the key pair of the session on this laptop.
func (p *Laptop) Identity() *handshake.Identity {
	p.lab.Helper()
	return handshake.NewIdentity([handshake.SeedSize]byte(p.state().Key))
}

// Carrier opens one more outbound carrier of the session on this laptop, until the
// test ends.
func (p *Laptop) Carrier() *mux.Group {
	p.lab.Helper()
	s := p.state()
	conn, err := p.tunnel(p.Identity())
	p.lab.Must(err)
	p.lab.Cleanup(func() { conn.Close() })
	welcome, err := shake(conn, &handshake.Hello{Session: s.Session, Secret: handshake.NewSecret(), Generation: s.Generation,
		Direction: handshake.Outbound, Version: "e2e"})
	p.lab.Must(err)
	if welcome.Refusal != "" {
		p.lab.Fatalf("a carrier is refused: %s", welcome.Refusal)
	}
	p.lab.Must(conn.SetDeadline(time.Time{}))
	g := mux.NewGroup(mux.NewBudget(1 << 20))
	go g.Add(p.lab.Context(), conn, nil)
	p.lab.Until("the carrier is up", func() error {
		if g.Len() == 0 {
			return fmt.Errorf("not yet")
		}
		return nil
	})
	return g
}

// readAhead is a connection whose first bytes may be in the buffer of in.
type readAhead struct {
	net.Conn
	in *bufio.Reader
}

func (r readAhead) Read(p []byte) (int, error) { return r.in.Read(p) }

// Knock asks the traffic-manager for a carrier of a session with that key pair, through
// the API server's service proxy and with this user's kubeconfig. It returns the
// reason of a refusal, or "" if the traffic-manager accepted.
func (p *Laptop) Knock(session string, own *handshake.Identity) string {
	p.lab.Helper()
	refusal, err := p.TryKnock(session, own)
	p.lab.Must(err)
	return refusal
}

// TryKnock is Knock for any goroutine. It returns an error if there was no answer.
func (p *Laptop) TryKnock(session string, own *handshake.Identity) (refusal string, err error) {
	conn, err := p.tunnel(own)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	return knock(conn, session)
}

// knock asks for a carrier of a session.
func knock(conn net.Conn, session string) (refusal string, err error) {
	welcome, err := shake(conn, &handshake.Hello{Session: session, Direction: handshake.Inbound, Version: "e2e"})
	if err != nil {
		return "", err
	}
	return welcome.Refusal, nil
}

// Gate is the port of a traffic-manager's pod to which the API server brings carriers, with
// what a session would know of it.
type Gate struct {
	from      *Space
	addr      string
	authority handshake.Authority
}

// Gate returns the port of that pod as callers in s reach it, past the API server.
func (l *Lab) Gate(s *Space, p *corev1.Pod) *Gate {
	l.Helper()
	return &Gate{from: s, addr: net.JoinHostPort(p.Status.PodIP, "443"), authority: l.authority()}
}

// Dial connects and says nothing.
func (g *Gate) Dial(ctx context.Context) (net.Conn, error) { return g.from.Dial(ctx, "tcp", g.addr) }

// Knock is Laptop.TryKnock at this port.
func (g *Gate) Knock(ctx context.Context, session string, own *handshake.Identity) (refusal string, err error) {
	raw, err := g.Dial(ctx)
	if err != nil {
		return "", err
	}
	defer raw.Close()
	if err := raw.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return "", err
	}
	upgraded, err := upgrade(raw, handshake.UpgradePath)
	if err != nil {
		return "", err
	}
	conn, err := handshake.DialCarrier(ctx, upgraded, own, g.authority)
	if err != nil {
		return "", err
	}
	return knock(conn, session)
}

// tunnel connects to the traffic-manager through the API server, and proves to it who the
// session is. The connection has a deadline of twenty seconds.
func (p *Laptop) tunnel(own *handshake.Identity) (net.Conn, error) {
	conn, err := p.apiServer()
	if err != nil {
		return nil, err
	}
	upgraded, err := upgrade(conn, "/api/v1/namespaces/"+ManagerNamespace+"/services/http:traffic-manager:tunnel/proxy"+handshake.UpgradePath)
	if err == nil {
		conn, err = handshake.DialCarrier(p.lab.Context(), upgraded, own, p.lab.authority())
	}
	if err != nil {
		upgraded.Close()
		return nil, err
	}
	return conn, nil
}

// authority is what the traffic-manager has published of itself.
func (l *Lab) authority() handshake.Authority {
	l.Helper()
	var cm corev1.ConfigMap
	l.Must(l.Client.Get(l.Context(), client.ObjectKey{Namespace: ManagerNamespace, Name: "traffic-manager"}, &cm))
	a := handshake.Authority{Roots: x509.NewCertPool(), Name: handshake.ServerName("traffic-manager", ManagerNamespace)}
	if !a.Roots.AppendCertsFromPEM([]byte(cm.Data[handshake.AuthorityKey])) {
		l.Fatalf("the ConfigMap has no certificates: %v", cm.Data)
	}
	return a
}

// apiServer connects to the API server.
func (p *Laptop) apiServer() (net.Conn, error) {
	cfg := p.Config()
	server, err := url.Parse(cfg.Host)
	if err != nil {
		return nil, err
	}
	tlsConfig, err := rest.TLSConfigFor(cfg)
	if err != nil {
		return nil, err
	}
	tlsConfig.ServerName = server.Hostname()
	raw, err := p.Dial(p.lab.Context(), "tcp", server.Host)
	if err != nil {
		return nil, err
	}
	conn := tls.Client(raw, tlsConfig)
	return conn, conn.SetDeadline(time.Now().Add(20 * time.Second))
}

// upgrade asks the traffic-manager, or the API server's service proxy, for a carrier's
// connection to the traffic-manager.
func upgrade(conn net.Conn, path string) (net.Conn, error) {
	req, err := http.NewRequest(http.MethodGet, "https://"+conn.RemoteAddr().String()+path, nil)
	if err != nil {
		return conn, err
	}
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", handshake.UpgradeProtocol)
	if err := req.Write(conn); err != nil {
		return conn, err
	}
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, req)
	if err != nil {
		return conn, err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return conn, fmt.Errorf("an upgrade is answered by %s", resp.Status)
	}
	return readAhead{conn, in}, nil
}

// shake does the handshake for a carrier.
func shake(conn net.Conn, hello *handshake.Hello) (*handshake.Welcome, error) {
	if err := handshake.WriteHello(conn, hello); err != nil {
		return nil, err
	}
	return handshake.ReadWelcome(conn)
}
