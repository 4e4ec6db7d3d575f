package proxyserver

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/datagram"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/outbound"
)

// association is a UDP port of the proxy for one program (RFC 1928, section 7).
type association struct {
	server *Server
	port   *net.UDPConn

	mu     sync.Mutex
	client netip.AddrPort      // the sender of the first datagram
	flows  map[string]net.Conn // by host and port
}

// associate serves datagrams until the program closes its connection.
func (s *Server) associate(ctx context.Context, c *net.TCPConn, r *bufio.Reader) error {
	local, ok := c.LocalAddr().(*net.TCPAddr)
	if !ok {
		return errSocks
	}
	port, err := net.ListenUDP("udp", &net.UDPAddr{IP: local.IP})
	if err != nil {
		return err
	}
	a := &association{server: s, port: port, flows: map[string]net.Conn{}}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer a.close()
	defer cancel()
	if err := socksReply(c, replyOK, port.LocalAddr().(*net.UDPAddr).AddrPort()); err != nil {
		return err
	}
	c.SetDeadline(time.Time{})
	wg.Go(func() { a.serve(ctx) })
	_, err = io.Copy(io.Discard, r)
	return err
}

func (a *association) close() {
	a.port.Close()
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, f := range a.flows {
		f.Close()
	}
}

func (a *association) serve(ctx context.Context) {
	buf := make([]byte, 64<<10)
	for {
		n, from, err := a.port.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		a.mu.Lock()
		if !a.client.IsValid() {
			a.client = from
		}
		mine := a.client == from
		a.mu.Unlock()
		host, port, payload, ok := parseSocksDatagram(buf[:n])
		if !mine || !ok {
			continue // SOCKS has no answer for this
		}
		if f := a.flow(ctx, host, port); f != nil {
			if datagram.Write(f, payload) != nil {
				f.Close()
			}
		}
	}
}

// parseSocksDatagram reads RSV RSV FRAG ATYP ADDR PORT DATA. It refuses fragments,
// as most servers do.
func parseSocksDatagram(b []byte) (host string, port uint16, payload []byte, ok bool) {
	if len(b) < 4 || b[2] != 0 {
		return "", 0, nil, false
	}
	r := bytes.NewReader(b[3:])
	host, port, err := readSocksAddress(r)
	if err != nil {
		return "", 0, nil, false
	}
	return host, port, b[len(b)-r.Len():], true
}

// flow returns the flow to a host, and opens it if there is none. It returns nil if
// that fails.
func (a *association) flow(ctx context.Context, host string, port uint16) net.Conn {
	key := net.JoinHostPort(host, strconv.Itoa(int(port)))
	a.mu.Lock()
	f := a.flows[key]
	a.mu.Unlock()
	if f != nil {
		return f
	}
	to, err := a.server.dial(ctx, frame.UDP, host, port)
	if err != nil {
		a.server.Log.Debug("proxy", "udp", host, "error", err)
		return nil
	}
	near, far := net.Pipe()
	a.mu.Lock()
	a.flows[key] = near
	a.mu.Unlock()
	go func() {
		to.Join(&outbound.PipeEnd{Conn: far}, nil)
		far.Close()
	}()
	go a.answers(key, near, host, port)
	return near
}

// answers sends a host's datagrams back to the program.
func (a *association) answers(key string, f net.Conn, host string, port uint16) {
	defer func() {
		f.Close()
		a.mu.Lock()
		delete(a.flows, key)
		a.mu.Unlock()
	}()
	head := appendSocksHost([]byte{0, 0, 0}, host, port)
	buf := make([]byte, len(head)+datagram.Max)
	copy(buf, head)
	for {
		n, err := datagram.Read(f, buf[len(head):])
		if err != nil {
			return
		}
		a.mu.Lock()
		client := a.client
		a.mu.Unlock()
		if _, err := a.port.WriteToUDPAddrPort(buf[:len(head)+n], client); err != nil {
			return
		}
	}
}

func appendSocksHost(b []byte, host string, port uint16) []byte {
	if ip, err := netip.ParseAddr(host); err == nil {
		return appendSocksAddress(b, netip.AddrPortFrom(ip, port))
	}
	b = append(b, socksName, byte(len(host)))
	b = append(b, host...)
	return append(b, byte(port>>8), byte(port))
}
