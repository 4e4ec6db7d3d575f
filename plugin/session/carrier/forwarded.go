package carrier

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"

	"k8s.io/streaming/pkg/httpstream"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
)

// connect opens a stream to the manager's port, and does the Upgrade on it. Lines need
// deadlines, which a stream does not have.
func (p *PortForward) connect(ctx context.Context, c httpstream.Connection) (net.Conn, error) {
	stream, err := openStream(c)
	if err != nil {
		c.Close()
		return nil, err
	}
	fail := func(err error) (net.Conn, error) {
		stream.Close()
		return nil, fmt.Errorf("port-forward: %w", stream.reason(err))
	}
	stop := context.AfterFunc(ctx, func() { stream.Close() })
	defer stop()
	req, err := http.NewRequest(http.MethodGet, "http://"+managerName+p.path, nil)
	if err != nil {
		return fail(err)
	}
	upgradeHeaders(req, p.protocol)
	if err := req.Write(stream); err != nil {
		return fail(err)
	}
	buffered := bufio.NewReader(stream)
	resp, err := http.ReadResponse(buffered, req)
	if err != nil {
		return fail(err)
	}
	if !upgraded(resp, p.protocol) {
		err := refusal(ViaPortForward, resp)
		stream.Close()
		return nil, err
	}
	conn := &bufferedConn{Conn: stream, buffered: buffered}
	if p.protocol == handshake.LineUpgradeProtocol {
		return newTimed(conn), nil
	}
	return conn, nil
}

// bufferedConn reads what a bufio.Reader has read ahead, and then the connection
// itself.
type bufferedConn struct {
	net.Conn
	buffered *bufio.Reader
}

// Read implements io.Reader.
func (b *bufferedConn) Read(p []byte) (int, error) {
	if b.buffered == nil {
		return b.Conn.Read(p)
	}
	if n := b.buffered.Buffered(); n > 0 {
		return io.LimitReader(b.buffered, int64(n)).Read(p)
	}
	b.buffered = nil
	return b.Conn.Read(p)
}
