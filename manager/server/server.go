// Package server is the manager's TLS ports. Private control planes reach nodes
// on 443 and 10250 only, so everything that comes from outside of the cluster
// shares one. Agents are in the cluster and have a port of their own, which a mesh
// can exempt without exempting anything of the application's. There, the protocol
// that the agent names by ALPN says what a connection is for. Where the chart opens a direct
// way in, sessions have a third port, on which nothing is served but them.
package server

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"github.com/kubectl-intercept/kubectl-intercept/manager/budget"
	"github.com/kubectl-intercept/kubectl-intercept/manager/pki"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
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
	// ListenDirect is the address for sessions that do not come by the API server, ":8443".
	// If it is empty, there is none.
	ListenDirect string

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
	// Direct serves one connection that has come to ListenDirect and of which nothing is
	// known. It owns it, and says when the peer of the Visit is known.
	Direct func(net.Conn, *budget.Visit)
	// Budget bounds the connections of those who have not proven who they are, and of each
	// pod's agents.
	Budget *budget.Budget
	Log    *slog.Logger
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
	directly, err := s.listenDirect()
	if err != nil {
		return err
	}
	q := queues{web: newQueue(l.Addr()), sessions: newQueue(l.Addr()), control: newQueue(l.Addr())}
	httpServer, sessionServer := s.http(s.HTTP), s.http(s.Sessions)
	grpcServer := grpc.NewServer(grpc.Creds(shaken{}),
		grpc.ReadBufferSize(4<<10), grpc.WriteBufferSize(4<<10),
		grpc.MaxRecvMsgSize(budget.ReportSize), grpc.MaxConcurrentStreams(agentStreams), grpc.MaxHeaderListSize(maxHead),
		grpc.StaticStreamWindowSize(grpcWindow), grpc.StaticConnWindowSize(grpcWindow),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 20 * time.Second, Timeout: 10 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}))
	rpc.RegisterAgentsServer(grpcServer, s.Agents)
	go httpServer.serve(q.web)
	go sessionServer.serve(q.sessions)
	go grpcServer.Serve(q.control)
	stop := context.AfterFunc(ctx, func() {
		l.Close()
		forAgents.Close()
		directly.Close()
		httpServer.Close()
		sessionServer.Close()
		grpcServer.Stop()
	})
	defer stop()

	var others sync.WaitGroup
	defer others.Wait()
	others.Go(func() {
		s.accept(ctx, directly, nil, func(c visitor, _ *tls.Config) { s.Direct(c.Conn, c.visit) })
	})
	others.Go(func() {
		s.accept(ctx, forAgents, []string{handshake.ALPNAgent, handshake.ALPNFlow, handshake.ALPNLine}, func(c visitor, config *tls.Config) { s.serveAgent(c, config, q) })
	})
	s.accept(ctx, l, []string{"http/1.1"},
		func(c visitor, config *tls.Config) { s.sort(c, config, q) })
	return nil
}

// listenDirect returns a listener that accepts nothing if there is no address for it.
func (s *Server) listenDirect() (net.Listener, error) {
	if s.ListenDirect == "" {
		return newQueue(nil), nil
	}
	l, err := net.Listen("tcp", s.ListenDirect)
	if err != nil {
		return nil, fmt.Errorf("listen for sessions: %w", err)
	}
	return l, nil
}

// queues are where connections go.
type queues struct{ web, sessions, control *queue }

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
