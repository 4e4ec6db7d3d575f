package proxyserver

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/outbound"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/outbound/outboundtest"
)

// The time that a program has to name its target does not limit its request.
func TestForwardTakesItsTime(t *testing.T) {
	far, err := outbound.Direct((&net.Dialer{}).DialContext).Open(t.Context(), frame.TCP, outboundtest.Listen(t, outboundtest.Hello))
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	at := outboundtest.Listen(t, func(c net.Conn) {
		defer c.Close()
		q, err := http.ReadRequest(bufio.NewReader(c))
		if err == nil {
			c.SetDeadline(time.Unix(1, 0))
			err = new(Server).forward(t.Context(), c.(*net.TCPConn), q, far)
		}
		served <- err
	})
	c, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "GET http://quote/slow HTTP/1.1\r\nHost: quote\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatalf("%v; the proxy: %v", err, <-served)
	}
	if b, err := io.ReadAll(resp.Body); err != nil || string(b) != "GET /slow from quote" {
		t.Errorf("%q, %v", b, err)
	}
}

// Interim responses are not the response. A program that waits for 100 Continue before
// it sends the body gets it.
func TestForwardSkipsProvisionalAnswers(t *testing.T) {
	expects := make(chan string, 1)
	w := newWorld(t, func(c net.Conn) {
		defer c.Close()
		q, err := http.ReadRequest(bufio.NewReader(c))
		if err != nil {
			return
		}
		expects <- q.Header.Get("Expect")
		io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n")
		b, _ := io.ReadAll(q.Body)
		fmt.Fprintf(c, "HTTP/1.1 201 Created\r\nConnection: close\r\n\r\n%s", b)
	})
	c, err := net.Dial("tcp", w.proxy)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	io.WriteString(c, "POST http://quote/ HTTP/1.1\r\nHost: quote\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, nil)
	if err != nil || resp.StatusCode != http.StatusContinue {
		t.Fatalf("before the body: %v, %v", resp, err)
	}
	io.WriteString(c, "body")
	if resp, err = http.ReadResponse(r, nil); err != nil || resp.StatusCode != http.StatusCreated {
		t.Fatalf("%v, %v", resp, err)
	}
	if b, err := io.ReadAll(resp.Body); err != nil || string(b) != "body" {
		t.Errorf("%q, %v", b, err)
	}
	if e := <-expects; e != "" {
		t.Errorf("the target is told to expect %q", e)
	}
}
