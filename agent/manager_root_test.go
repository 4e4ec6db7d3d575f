//go:build rootful

package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
)

const (
	managerAddr = callerIP + ":443"
	serverName  = "traffic-manager.test"
	token       = "one-time"
)

// manager is a fake traffic-manager.
type manager struct {
	rpc.UnimplementedAgentsServer
	t      *testing.T
	lab    *lab
	key    crypto.Signer
	ca     *x509.Certificate
	server tls.Certificate
	grpc   *grpc.Server

	mu       sync.Mutex
	cfg      *rpc.AgentConfig
	wake     chan struct{}
	report   *rpc.AgentReport
	version  string
	streams  int
	enrolled int
}

func startManager(l *lab) *manager {
	m := &manager{t: l.t, lab: l, wake: make(chan struct{})}
	var err error
	m.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(l.t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, IsCA: true,
		NotAfter: time.Now().Add(time.Hour), BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, m.key.Public(), m.key)
	must(l.t, err)
	m.ca, err = x509.ParseCertificate(der)
	must(l.t, err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(l.t, err)
	m.server = tls.Certificate{Certificate: [][]byte{m.sign(key.Public(), serverName)}, PrivateKey: key}
	m.serve()
	return m
}

func (m *manager) serve() {
	ln := tls.NewListener(m.lab.caller.listen(managerAddr), m.tls(handshake.ALPNAgent, tls.VerifyClientCertIfGiven))
	g := grpc.NewServer()
	rpc.RegisterAgentsServer(g, m)
	go g.Serve(ln)
	m.grpc = g
	m.t.Cleanup(g.Stop)
}

func (m *manager) tls(alpn string, auth tls.ClientAuthType) *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(m.ca)
	return &tls.Config{Certificates: []tls.Certificate{m.server}, NextProtos: []string{alpn}, ClientAuth: auth, ClientCAs: roots}
}

func (m *manager) sign(public crypto.PublicKey, name string) []byte {
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, m.ca, public, m.key)
	must(m.t, err)
	return der
}

func (m *manager) bundle() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: m.ca.Raw}))
}

// Enroll implements rpc.AgentsServer.
func (m *manager) Enroll(_ context.Context, r *rpc.EnrollRequest) (*rpc.EnrollResponse, error) {
	if r.Token != token || r.Pod != "web-0" || r.PodUid != "uid-0" || r.Namespace != "shop" {
		return nil, status.Error(codes.PermissionDenied, "the token is used up")
	}
	csr, err := x509.ParseCertificateRequest(r.CertificateRequest)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.enrolled++; m.enrolled == 1 {
		return nil, status.Error(codes.Unavailable, "not yet")
	}
	return &rpc.EnrollResponse{Certificate: m.sign(csr.PublicKey, "shop/web-0")}, nil
}

// Watch implements rpc.AgentsServer.
func (m *manager) Watch(s grpc.BidiStreamingServer[rpc.AgentReport, rpc.AgentConfig]) error {
	m.mu.Lock()
	m.streams++
	m.mu.Unlock()
	go m.receive(s)
	var sent *rpc.AgentConfig
	for {
		m.mu.Lock()
		cfg, wake := m.cfg, m.wake
		m.mu.Unlock()
		if cfg != nil && cfg != sent {
			if err := s.Send(cfg); err != nil {
				return err
			}
			sent = cfg
		}
		select {
		case <-wake:
		case <-s.Context().Done():
			return nil
		}
	}
}

func (m *manager) receive(s grpc.BidiStreamingServer[rpc.AgentReport, rpc.AgentConfig]) {
	for {
		r, err := s.Recv()
		if err != nil {
			return
		}
		m.mu.Lock()
		m.report = r
		if r.Version != "" {
			m.version = r.Version
		}
		m.mu.Unlock()
	}
}

// want sends a configuration to the agent.
func (m *manager) want(ports ...*rpc.CapturePort) {
	m.mu.Lock()
	defer m.mu.Unlock()
	generation := uint64(1)
	if m.cfg != nil {
		generation = m.cfg.Generation + 1
	}
	m.push(&rpc.AgentConfig{Generation: generation, Ports: ports})
}

func (m *manager) push(cfg *rpc.AgentConfig) {
	m.cfg = cfg
	close(m.wake)
	m.wake = make(chan struct{})
}

// reported waits for a report about the newest configuration that cond likes.
func (m *manager) reported(what string, cond func(*rpc.AgentReport) bool) *rpc.AgentReport {
	m.t.Helper()
	var r *rpc.AgentReport
	var last string
	defer func() {
		if m.t.Failed() {
			m.t.Logf("last report: %s", last)
		}
	}()
	eventually(m.t, what, func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		r = m.report
		last = r.String()
		return r != nil && r.Generation == m.cfg.Generation && cond(r)
	})
	return r
}

// capture sends ports and waits until all are verified.
func (m *manager) capture(ports ...*rpc.CapturePort) {
	m.t.Helper()
	m.want(ports...)
	m.reported("all ports verified", func(r *rpc.AgentReport) bool {
		return len(r.Routes) == len(ports) && !slices.ContainsFunc(r.Routes, func(p *rpc.RouteReport) bool {
			return p.State != rpc.PortState_VERIFIED
		})
	})
}

// leave gives all ports back and waits until the rules are gone.
func (m *manager) leave() {
	m.t.Helper()
	m.want()
	m.reported("no port", func(r *rpc.AgentReport) bool { return len(r.Routes) == 0 })
}
