//go:build linux

package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"time"
)

const (
	// dialTime bounds a connection to the application or a peer.
	dialTime = 5 * time.Second
	// handshake is the first byte of a TLS connection.
	handshake = 0x16
)

// proxy is the sidecar.
type proxy struct {
	*Config
	tls      *tls.Config
	stats    stats
	sidecars sidecars
}

// Serve runs the proxy until ctx ends or one of its servers fails.
func Serve(ctx context.Context, c *Config) error {
	p := &proxy{Config: c}
	var err error
	if p.tls, err = loadTLS(c.Keys); err != nil {
		return err
	}
	failed := make(chan error, 3)
	for port, serve := range map[uint16]func(*net.TCPConn){c.In: p.in, c.Out: p.out} {
		lc := net.ListenConfig{}
		lc.SetMultipathTCP(false) // a Multipath TCP socket does not tell the original destination
		l, err := lc.Listen(ctx, "tcp4", fmt.Sprintf(":%d", port))
		if err != nil {
			return err
		}
		go func() { failed <- accept(l, serve) }()
	}
	if c.Sidecars != "" {
		go p.sidecars.follow(ctx, c)
	}
	admin := &http.Server{Addr: fmt.Sprintf(":%d", c.Admin), Handler: &p.stats, ReadHeaderTimeout: time.Minute}
	go func() { failed <- admin.ListenAndServe() }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return nil
	}
}

func accept(l net.Listener, serve func(*net.TCPConn)) error {
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go serve(c.(*net.TCPConn))
	}
}

// in forwards a caller's connection to the application. It decrypts a TLS connection.
func (p *proxy) in(c *net.TCPConn) {
	defer c.Close()
	to, err := originalDestination(c)
	if err != nil || to.Port() == p.In {
		return
	}
	first := &peeked{TCPConn: c, r: bufio.NewReader(c)}
	var caller half = first
	if b, err := first.r.Peek(1); err == nil && b[0] == handshake {
		t := tls.Server(first, p.tls)
		if err := t.Handshake(); err != nil {
			p.stats.count("inRefused", to.String())
			return
		}
		caller = t
		p.stats.count("inTLS", to.String())
	} else if p.Strict {
		p.stats.count("inRefused", to.String())
		reset(c)
		return
	} else {
		p.stats.count("inPlain", to.String())
	}
	d := net.Dialer{Timeout: dialTime}
	if endpoint, ok := p.sidecars.endpoint(to.Port()); ok {
		to = endpoint
	} else if p.PassesOnFrom.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(p.PassesOnFrom, 0))
	}
	join(caller, c, d, to)
}

// out forwards a connection that the pod opened. It encrypts the connection if the
// destination has a proxy of the mesh.
func (p *proxy) out(c *net.TCPConn) {
	defer c.Close()
	to, err := originalDestination(c)
	if err != nil || to.Port() == p.Out {
		return
	}
	encrypted := p.inMesh(to)
	if !encrypted && p.RegistryOnly {
		p.stats.count("outRefused", to.String())
		reset(c)
		return
	}
	d := net.Dialer{Timeout: dialTime}
	if !encrypted {
		p.stats.count("outPlain", to.String())
		join(c, c, d, to)
		return
	}
	peer, err := tls.DialWithDialer(&d, "tcp", to.String(), p.tls)
	if err != nil {
		p.stats.count("outRefused", to.String())
		reset(c)
		return
	}
	defer peer.Close()
	p.stats.count("outTLS", to.String())
	splice(c, peer)
}

func (p *proxy) inMesh(to netip.AddrPort) bool {
	ctx, cancel := context.WithTimeout(context.Background(), dialTime)
	defer cancel()
	return slices.ContainsFunc(p.TLSTo, func(name string) bool {
		host, port, err := net.SplitHostPort(name)
		if err != nil || port != fmt.Sprint(to.Port()) {
			return false
		}
		addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip4", host)
		return err == nil && slices.ContainsFunc(addrs, func(a netip.Addr) bool { return a.Unmap() == to.Addr() })
	})
}

// half is a connection whose sending side can be closed.
type half interface {
	io.ReadWriteCloser
	CloseWrite() error
}

// peeked is a connection whose first bytes may be in the buffer of r.
type peeked struct {
	*net.TCPConn
	r *bufio.Reader
}

func (p *peeked) Read(b []byte) (int, error) { return p.r.Read(b) }

// WriteTo hides the WriteTo of TCPConn from io.Copy: that one would miss the bytes in
// the buffer.
func (p *peeked) WriteTo(w io.Writer) (int64, error) { return p.r.WriteTo(w) }

// join dials an address and passes bytes between it and the caller. If the dial
// fails, it resets raw, the caller's TCP connection.
func join(caller half, raw *net.TCPConn, d net.Dialer, to netip.AddrPort) {
	c, err := d.Dial("tcp4", to.String())
	if err != nil {
		reset(raw)
		return
	}
	defer c.Close()
	splice(caller, c.(*net.TCPConn))
}

// splice passes bytes until both sides have ended, or one has failed.
func splice(a, b half) {
	done := make(chan error, 2)
	pass := func(to, from half) {
		_, err := io.Copy(to, from)
		if err == nil {
			err = to.CloseWrite()
		}
		done <- err
	}
	go pass(a, b)
	go pass(b, a)
	if <-done == nil {
		<-done
	}
}

func reset(c *net.TCPConn) {
	_ = c.SetLinger(0) // on an error, Close ends the connection anyway
	c.Close()
}
