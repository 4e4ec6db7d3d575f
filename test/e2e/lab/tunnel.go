//go:build linux

package lab

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/rest"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/mux"
)

// sessionState is what the session on this laptop keeps for its successor.
type sessionState struct {
	Session    string
	Token      []byte
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

// Token returns the secret of the session on this laptop.
func (p *Laptop) Token() [handshake.TokenSize]byte {
	p.lab.Helper()
	return [handshake.TokenSize]byte(p.state().Token)
}

// Carrier opens one more outbound carrier of the session on this laptop, until the
// test ends.
func (p *Laptop) Carrier() *mux.Group {
	p.lab.Helper()
	s := p.state()
	conn, err := p.tunnel()
	p.lab.Must(err)
	p.lab.Cleanup(func() { conn.Close() })
	welcome, in, err := shake(conn, &handshake.Hello{Session: s.Session, Token: [handshake.TokenSize]byte(s.Token), Generation: s.Generation,
		Direction: handshake.Outbound, Version: "e2e"})
	p.lab.Must(err)
	if welcome.Refusal != "" {
		p.lab.Fatalf("a carrier is refused: %s", welcome.Refusal)
	}
	p.lab.Must(conn.SetDeadline(time.Time{}))
	g := mux.NewGroup(mux.NewBudget(1 << 20))
	go g.Add(p.lab.Context(), readAhead{conn, in}, nil)
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

// Knock asks the traffic-manager for a carrier of a session with that token, through
// the API server's service proxy and with this user's kubeconfig. It returns the
// reason of a refusal, or "" if the traffic-manager accepted.
func (p *Laptop) Knock(session string, token [handshake.TokenSize]byte) string {
	p.lab.Helper()
	welcome, err := p.knock(&handshake.Hello{Session: session, Token: token, Direction: handshake.Inbound, Version: "e2e"})
	p.lab.Must(err)
	return welcome.Refusal
}

func (p *Laptop) knock(hello *handshake.Hello) (*handshake.Welcome, error) {
	conn, err := p.tunnel()
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	welcome, _, err := shake(conn, hello)
	return welcome, err
}

// tunnel connects to the API server. The connection has a deadline of twenty seconds.
func (p *Laptop) tunnel() (net.Conn, error) {
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

// shake does the handshake for a carrier. The reader may already hold bytes that
// follow the answer.
func shake(conn net.Conn, hello *handshake.Hello) (*handshake.Welcome, *bufio.Reader, error) {
	path := "/api/v1/namespaces/" + ManagerNamespace + "/services/https:traffic-manager:tunnel/proxy" + handshake.UpgradePath
	req, err := http.NewRequest(http.MethodGet, "https://"+conn.RemoteAddr().String()+path, nil)
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", handshake.UpgradeProtocol)
	if err := req.Write(conn); err != nil {
		return nil, nil, err
	}
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, req)
	if err != nil {
		return nil, nil, err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return nil, nil, fmt.Errorf("the service proxy answers %s", resp.Status)
	}
	if err := handshake.WriteHello(conn, hello); err != nil {
		return nil, nil, err
	}
	welcome, err := handshake.ReadWelcome(in)
	return welcome, in, err
}
