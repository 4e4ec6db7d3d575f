//go:build linux

package lab

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"
)

// Program is a server on a laptop's loopback interface.
type Program struct {
	Port  int
	close func() error
}

// To returns the value of --port that maps a port of the workload to this program.
func (p *Program) To(port string) string {
	if port == "" {
		return fmt.Sprint(p.Port)
	}
	return fmt.Sprintf("%d:%s", p.Port, port)
}

// Close ends the program.
func (p *Program) Close() { _ = p.close() }

// Listen listens on a port of the laptop. It calls handle with each connection, which
// handle must close.
func (p *Laptop) Listen(handle func(net.Conn)) *Program {
	p.lab.Helper()
	ln, err := p.Space.Listen("127.0.0.1:0")
	p.lab.Must(err)
	p.lab.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go handle(c)
		}
	}()
	return &Program{Port: ln.Addr().(*net.TCPAddr).Port, close: ln.Close}
}

// Serve starts an HTTP server on the laptop that answers with its name, as bin/quote
// does.
func (p *Laptop) Serve(name string) *Program { return p.ServeAt(name, 0) }

// ServeAt is Serve on a given port.
func (p *Laptop) ServeAt(name string, port int) *Program {
	p.lab.Helper()
	both := &http.Protocols{}
	both.SetHTTP1(true)
	both.SetUnencryptedHTTP2(true)
	return p.serve(name, port, both)
}

// ServeHTTP1 is Serve for a server that does not speak HTTP/2.
func (p *Laptop) ServeHTTP1(name string) *Program {
	p.lab.Helper()
	return p.serve(name, 0, nil)
}

func (p *Laptop) serve(name string, port int, protocols *http.Protocols) *Program {
	p.lab.Helper()
	return p.handle(port, protocols, func(w http.ResponseWriter, _ *http.Request) { Answer(w, name) })
}

// Answer answers a request as bin/quote does.
func Answer(w http.ResponseWriter, name string) { fmt.Fprintf(w, "answered by %s (laptop)\n", name) }

// Handle is Serve for a server that does with requests what handler says.
func (p *Laptop) Handle(handler http.HandlerFunc) *Program {
	p.lab.Helper()
	return p.handle(0, nil, handler)
}

func (p *Laptop) handle(port int, protocols *http.Protocols, handler http.HandlerFunc) *Program {
	p.lab.Helper()
	ln, err := p.Space.Listen(fmt.Sprintf("127.0.0.1:%d", port))
	p.lab.Must(err)
	server := &http.Server{ReadHeaderTimeout: time.Minute, Protocols: protocols, Handler: handler}
	go server.Serve(ln)
	p.lab.Cleanup(func() { server.Close() })
	return &Program{Port: ln.Addr().(*net.TCPAddr).Port, close: server.Close}
}

// ServeUDP starts a UDP server that answers each datagram with the same data after
// its name, as bin/quote does.
func (p *Laptop) ServeUDP(name string) *Program {
	p.lab.Helper()
	return p.ServeUDPOn("127.0.0.1:0", name)
}

// ServeUDPOn is ServeUDP at an address of the laptop's.
func (p *Laptop) ServeUDPOn(addr, name string) *Program {
	p.lab.Helper()
	conn, err := p.ListenUDP(addr)
	p.lab.Must(err)
	p.lab.Cleanup(func() { conn.Close() })
	go func() {
		buf := make([]byte, 65536)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = conn.WriteTo(append([]byte(name+": "), buf[:n]...), from) // the caller asks again
		}
	}()
	return &Program{Port: conn.LocalAddr().(*net.UDPAddr).Port, close: conn.Close}
}

// answered returns the name in an answer of bin/quote.
func answered(body string) (string, error) {
	rest, ok := strings.CutPrefix(body, "answered by ")
	name, _, found := strings.Cut(rest, " (")
	if !ok || !found {
		return "", fmt.Errorf("not an answer of quote: %q", body)
	}
	return name, nil
}
