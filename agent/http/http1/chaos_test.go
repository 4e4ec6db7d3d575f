package http1

import (
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	nethttp "net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/agent/http"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/tunneltest"
)

// moody is a server that answers, or ends and resets connections, by chance.
func moody(w nethttp.ResponseWriter, r *nethttp.Request) {
	switch rand.IntN(10) {
	case 0:
		w.Header().Set("Connection", "close")
		w.Write([]byte("last"))
	case 1, 2:
		c, _, err := nethttp.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		if rand.IntN(2) == 0 {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
		}
		if rand.IntN(2) == 0 {
			c.(*net.TCPConn).SetLinger(0)
		}
		c.Close()
	case 3:
		w.Write(make([]byte, 1<<20))
	case 4:
		w.(nethttp.Flusher).Flush()
		w.Write(make([]byte, 100))
	default:
		io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, "ok")
	}
}

// TestChaos: however callers and targets behave, a connection whose caller is gone is over
// soon.
func TestChaos(t *testing.T) {
	s := &nethttp.Server{Handler: nethttp.HandlerFunc(moody), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	one := func() *target { return &target{addr: l.Addr().String()} }
	laptop, copied := one(), one()
	laptop.mark, laptop.gone = http.Field{Name: "x", Value: "y"}, make(chan struct{})
	to := &paths{application: one(), others: map[string]http.Decision{
		"/a": {To: laptop}, "/b": {To: laptop, Copies: []http.Copier{copied}}, "/n": {Answer: &http.Answer{Status: 503, Body: "no"}},
	}}
	var wg sync.WaitGroup
	limit := make(chan struct{}, 20)
	for i := range 300 {
		limit <- struct{}{}
		if i == 250 {
			close(laptop.gone)
		}
		wg.Go(func() {
			defer func() { <-limit }()
			near, far := tunneltest.Pair(t)
			served := make(chan error, 1)
			caller := tunnel.NewTCP(far)
			if rand.IntN(3) == 0 {
				caller = drip{caller}
			}
			go func() { served <- Serve(t.Context(), caller, nil, to, slog.New(slog.DiscardHandler)) }()
			go func() {
				for range 1 + rand.IntN(5) {
					text := streams[rand.IntN(len(streams))]
					if rand.IntN(9) == 0 {
						text = unclear[rand.IntN(len(unclear))].text
					}
					io.WriteString(near, strings.ReplaceAll(text, "|", "\r\n"))
				}
				near.CloseWrite()
			}()
			if rand.IntN(3) == 0 {
				near.SetLinger(0)
				io.CopyN(io.Discard, near, int64(rand.IntN(1000)))
			} else {
				io.Copy(io.Discard, near)
			}
			near.Close()
			select {
			case <-served:
			case <-time.After(3 * patience):
				t.Error("still served")
			}
		})
	}
	wg.Wait()
}
