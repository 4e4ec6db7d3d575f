package relay

import (
	"io"
	"net"
	"net/http"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/budget"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
)

// Sessions accepts the carriers and lines of sessions: HTTP Upgrades in the clear, which
// come through the API server's proxy or a port-forward. A session authenticates itself
// afterwards. In a carrier there is TLS between session and relay. The first frames of a
// line carry MACs, and TLS between agent and session follows.
func (r *Relay) Sessions() http.Handler {
	mux := http.NewServeMux()
	mux.Handle(handshake.UpgradePath, r.upgrade(handshake.UpgradeProtocol, r.carry))
	mux.Handle(handshake.LineUpgradePath, r.upgrade(handshake.LineUpgradeProtocol, r.offered))
	return mux
}

// upgrade hands the connections of requests for a protocol to serve, which owns them and
// runs in a goroutine of its own. Serve says when the peer of the Visit is known.
func (r *Relay) upgrade(protocol string, serve func(*net.TCPConn, *budget.Visit)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.Header.Get("Upgrade") != protocol {
			w.Header().Set("Upgrade", protocol)
			http.Error(w, "this path speaks "+protocol+" only", http.StatusUpgradeRequired)
			return
		}
		c, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		visit := budget.VisitOf(q.Context())
		conn, ok := c.(*net.TCPConn)
		if !ok || buffered.Reader.Buffered() > 0 { // the client must not send anything before the 101
			c.Close()
			visit.Known()
			return
		}
		conn.SetDeadline(time.Now().Add(handshakeTimeout))
		if _, err := io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+protocol+"\r\n\r\n"); err != nil {
			conn.Close()
			visit.Known()
			return
		}
		go serve(conn, visit)
	})
}
