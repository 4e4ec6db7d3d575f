package preview

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/gateway"
)

const (
	// headTimeout bounds the head of a request.
	headTimeout = 30 * time.Second
	// dialTimeout bounds a connection into the cluster.
	dialTimeout = 20 * time.Second
	// maxReason bounds what the proxy says about a refusal.
	maxReason = 4 << 10
)

// newPage makes the server of a preview at an address of this machine. It reaches the
// cluster by a proxy.
func newPage(at, proxy string, ingress gateway.Ingress, marks gateway.Marks) *page {
	g := gateway.New(gateway.Config{Ingress: ingress, Marks: marks, Log: slog.New(slog.DiscardHandler),
		Dial: func(ctx context.Context, _, address string) (net.Conn, error) {
			return dialThrough(ctx, proxy, address)
		},
		Failed: func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, fmt.Sprintf("no answer from %s, by which this preview enters the cluster: %v", ingress.Address(), err), http.StatusBadGateway)
		}})
	return &page{gateway: g, server: &http.Server{Handler: ownHosts(at, g), ReadHeaderTimeout: headTimeout}}
}

// ownHosts refuses requests for other hosts than this machine's. A page elsewhere could
// have its own name lead here, and read the answers.
func ownHosts(at string, next http.Handler) http.Handler {
	_, port, _ := net.SplitHostPort(at)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if name, given, err := net.SplitHostPort(host); err == nil && given == port {
			host = name
		}
		if ip := net.ParseIP(host); !strings.EqualFold(host, "localhost") && (ip == nil || !ip.IsLoopback()) {
			http.Error(w, "this preview is at http://"+at+"/", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// dialThrough connects by the session's proxy with CONNECT (RFC 9110, section 9.3.6),
// whose answer says in words why there is no connection.
func dialThrough(ctx context.Context, proxy, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", proxy)
	if err != nil {
		return nil, fmt.Errorf("the session does not answer: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	if _, err := fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", address, address); err != nil {
		c.Close()
		return nil, fmt.Errorf("ask the session: %w", err)
	}
	// An HTTP or TLS server does not speak first, so nothing stays in the reader.
	resp, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: http.MethodConnect})
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("ask the session: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		reason, _ := io.ReadAll(io.LimitReader(resp.Body, maxReason))
		c.Close()
		return nil, fmt.Errorf("%s", strings.TrimSpace(string(reason)))
	}
	return c, nil
}
