package proxyserver

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/outbound"
)

// http serves one request: a CONNECT, or one with an absolute URL. Then the
// connection ends.
func (s *Server) http(ctx context.Context, c *net.TCPConn, r *bufio.Reader) error {
	q, err := http.ReadRequest(r)
	if err != nil {
		return errors.Join(err, httpReply(c, http.StatusBadRequest, "this is a SOCKS5 and HTTP proxy"))
	}
	host, port, err := httpTarget(q)
	if err != nil {
		return errors.Join(err, httpReply(c, http.StatusBadRequest, err.Error()))
	}
	to, err := s.dial(ctx, frame.TCP, host, port)
	if err != nil {
		return errors.Join(err, httpReply(c, httpStatus(err), err.Error()))
	}
	if q.Method == http.MethodConnect {
		if _, err := io.WriteString(c, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
			to.Abort()
			return err
		}
		return join(c, r, to)
	}
	return s.forward(ctx, c, q, to)
}

// forward sends a request on in origin form and the response back, with no limit of
// time. It tells the target to close the connection after that.
func (s *Server) forward(ctx context.Context, c *net.TCPConn, q *http.Request, to outbound.Conn) error {
	c.SetDeadline(time.Time{})
	near, far := net.Pipe()
	defer near.Close()
	stop := context.AfterFunc(ctx, func() { near.Close() })
	defer stop()
	go func() {
		to.Join(&outbound.PipeEnd{Conn: far}, nil)
		far.Close()
	}()
	for _, h := range []string{"Proxy-Connection", "Proxy-Authorization", "Connection", "Keep-Alive", "Te", "Trailer", "Upgrade"} {
		q.Header.Del(h)
	}
	if strings.EqualFold(q.Header.Get("Expect"), "100-continue") { // the proxy sends the body in any case
		q.Header.Del("Expect")
		if _, err := io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n"); err != nil {
			return err
		}
	}
	q.Close = true
	go q.Write(near) // if this fails, there is no response, or one to a part of the body
	resp, err := lastResponse(bufio.NewReader(near), q)
	if err != nil {
		return errors.Join(err, httpReply(c, http.StatusBadGateway, err.Error()))
	}
	defer resp.Body.Close()
	resp.Close = true
	return resp.Write(c)
}

// lastResponse reads the final response, after interim ones such as 103 Early
// Hints.
func lastResponse(r *bufio.Reader, q *http.Request) (*http.Response, error) {
	for {
		resp, err := http.ReadResponse(r, q)
		if err != nil || resp.StatusCode/100 != 1 || resp.StatusCode == http.StatusSwitchingProtocols {
			return resp, err
		}
	}
}

func httpTarget(q *http.Request) (host string, port uint16, err error) {
	if q.Method == http.MethodConnect {
		h, service, err := net.SplitHostPort(q.Host)
		if err != nil {
			return "", 0, fmt.Errorf("CONNECT %s: want host:port", q.Host)
		}
		n, err := strconv.ParseUint(service, 10, 16)
		if err != nil {
			return "", 0, fmt.Errorf("CONNECT %s: want a port number", q.Host)
		}
		return h, uint16(n), nil
	}
	if q.URL.Scheme != "http" || q.URL.Hostname() == "" {
		return "", 0, errors.New("this is a proxy: it takes CONNECT and http:// URLs")
	}
	if q.URL.Port() == "" {
		return q.URL.Hostname(), 80, nil
	}
	n, err := strconv.ParseUint(q.URL.Port(), 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("port of %s: %w", q.URL, err)
	}
	return q.URL.Hostname(), uint16(n), nil
}

func httpStatus(err error) int {
	if errors.Is(err, frame.ErrDenied) {
		return http.StatusForbidden
	}
	return http.StatusBadGateway
}

func httpReply(w io.Writer, code int, text string) error {
	_, err := fmt.Fprintf(w, "HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s\n",
		code, http.StatusText(code), len(text)+1, text)
	return err
}
