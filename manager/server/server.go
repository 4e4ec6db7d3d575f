// Package server is the manager's TLS ports. Private control planes reach nodes
// on 443 and 10250 only, so everything that comes from outside of the cluster
// shares one. Agents are in the cluster and have a port of their own, which a mesh
// can exempt without exempting anything of the application's. There, the protocol
// that the agent names by ALPN says what a connection is for.
package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"github.com/kubectl-intercept/kubectl-intercept/manager/pki"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
	"github.com/kubectl-intercept/kubectl-intercept/manager/socket"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/record"
)

// AgentsPort is where agents reach the manager: the Service, and each pod of it.
// An application that connects to this number in a mesh has it spared too, so it
// is one that IANA gives to nobody and that no known program uses.
const AgentsPort = 17843

// Server accepts on the ports and hands connections on.
type Server struct {
	// Listen is the address for all but agents, ":443".
	Listen string
	// ListenAgents is the address for agents only, ":17843".
	ListenAgents string

	Authority *pki.Authority
	// Certificate is this replica's.
	Certificate *pki.Serving
	// HTTP serves HTTP within TLS: the API server's admission webhooks.
	HTTP http.Handler
	// Agents serves the control protocol.
	Agents rpc.AgentsServer
	// Flow serves one flow connection, Line one that asks for a line; they own
	// it.
	Flow, Line func(*tls.Conn)
	// Sessions serves HTTP without TLS: carriers and lines, which bring TLS of their own.
	Sessions http.Handler
	Log      *slog.Logger
}

// NeedLeaderElection says that every replica serves.
func (s *Server) NeedLeaderElection() bool { return false }

// Start serves until ctx ends.
func (s *Server) Start(ctx context.Context) error {
	l, err := net.Listen("tcp", s.Listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	defer l.Close()
	forAgents, err := net.Listen("tcp", s.ListenAgents)
	if err != nil {
		return fmt.Errorf("listen for agents: %w", err)
	}
	defer forAgents.Close()
	q := queues{web: newQueue(l.Addr()), sessions: newQueue(l.Addr()), control: newQueue(l.Addr())}
	httpServer, sessionServer := s.http(s.HTTP), s.http(s.Sessions)
	grpcServer := grpc.NewServer(grpc.Creds(shaken{}),
		grpc.ReadBufferSize(4<<10), grpc.WriteBufferSize(4<<10), grpc.MaxRecvMsgSize(1<<20),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 20 * time.Second, Timeout: 10 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}))
	rpc.RegisterAgentsServer(grpcServer, s.Agents)
	go httpServer.Serve(q.web)
	go sessionServer.Serve(q.sessions)
	go grpcServer.Serve(q.control)
	stop := context.AfterFunc(ctx, func() {
		l.Close()
		forAgents.Close()
		httpServer.Close()
		sessionServer.Close()
		grpcServer.Stop()
	})
	defer stop()

	var agents sync.WaitGroup
	defer agents.Wait()
	agents.Go(func() {
		s.accept(ctx, forAgents, []string{handshake.ALPNAgent, handshake.ALPNFlow, handshake.ALPNLine}, func(c net.Conn, config *tls.Config) { s.serve(c, config, q) })
	})
	s.accept(ctx, l, []string{"http/1.1"},
		func(c net.Conn, config *tls.Config) { s.sort(c, config, q) })
	return nil
}

// accept hands connections to serve, each in a goroutine of its own, until ctx
// ends and l is closed. Protocols are what those may speak within TLS.
func (s *Server) accept(ctx context.Context, l net.Listener, protocols []string, serve func(net.Conn, *tls.Config)) {
	bundle, config := s.Authority.Bundle(), s.config(protocols)
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) && ctx.Err() != nil {
			return
		}
		if err != nil {
			s.Log.Warn("accept", "error", err)
			select {
			case <-time.After(100 * time.Millisecond): // out of file descriptors: let some go
				continue
			case <-ctx.Done():
				return
			}
		}
		if now := s.Authority.Bundle(); !bytes.Equal(now, bundle) {
			bundle, config = now, s.config(protocols) // anew, it would not resume sessions
		}
		c.SetDeadline(time.Now().Add(shakeTimeout))
		go serve(c, config)
	}
}

// queues are where connections go.
type queues struct{ web, sessions, control *queue }

func (s *Server) http(h http.Handler) *http.Server {
	return &http.Server{Handler: h, ReadHeaderTimeout: shakeTimeout, IdleTimeout: time.Minute,
		ErrorLog: slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug)}
}

func (s *Server) config(protocols []string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: protocols,
		// Agents show a certificate, except to enroll; the API server has none.
		ClientAuth:                  tls.VerifyClientCertIfGiven,
		ClientCAs:                   s.Authority.Pool(),
		GetCertificate:              s.Certificate.Certificate,
		DynamicRecordSizingDisabled: true,
	}
}

// shakeTimeout bounds what a peer may take to say what it wants.
const shakeTimeout = 10 * time.Second

// sort finds out what a connection is. One that does not begin like TLS can
// only be a session's.
func (s *Server) sort(raw net.Conn, config *tls.Config, q queues) {
	first, err := firstByte(raw)
	if err != nil {
		raw.Close()
		return
	}
	if first != recordHandshake {
		raw.SetDeadline(time.Time{})
		q.sessions.put(raw)
		return
	}
	s.serve(raw, config, q)
}

// recordHandshake is the first byte of a TLS connection (RFC 8446, section
// 5.1).
const recordHandshake = 22

// firstByte waits for the first byte of a connection and leaves it there.
func firstByte(c net.Conn) (byte, error) {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return 0, fmt.Errorf("a %T is not TCP", c)
	}
	peeker, err := socket.NewPeeker(tcp)
	if err != nil {
		return 0, err
	}
	return peeker.First()
}

// serve shakes hands and hands on what the connection is by its protocol.
func (s *Server) serve(raw net.Conn, config *tls.Config, q queues) {
	c := tls.Server(record.NewConn(raw), config)
	if err := c.Handshake(); err != nil {
		s.Log.Debug("handshake", "peer", c.RemoteAddr(), "error", err)
		c.NetConn().Close()
		return
	}
	c.SetDeadline(time.Time{})
	switch c.ConnectionState().NegotiatedProtocol {
	case handshake.ALPNFlow:
		s.Flow(c)
	case handshake.ALPNLine:
		s.Line(c)
	case handshake.ALPNAgent:
		q.control.put(c)
	default:
		if !slices.Contains(config.NextProtos, "http/1.1") {
			c.Close() // it named none, on a port that is not for the web
			return
		}
		q.web.put(c)
	}
}
