package translator

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// pipes is a listener for the far ends of pipes, which hold no bytes back.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	close  func()
}

func newPipes() *pipes {
	p := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	p.close = sync.OnceFunc(func() { close(p.closed) })
	return p
}

func (p *pipes) dial() (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case p.conns <- far:
		return near, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) Close() error {
	p.close()
	return nil
}

// sent is a body of zeros. It says when the caller has sent it, but for the last piece.
type sent struct {
	left int
	all  func()
}

func (s *sent) Read(p []byte) (int, error) {
	if s.left == 0 {
		s.all()
		return 0, io.EOF
	}
	n := min(len(p), s.left)
	clear(p[:n])
	s.left -= n
	return n, nil
}

// TestStalledUploads: the bodies that the program does not read, as many as may run at
// once, hold up no other request.
func TestStalledUploads(t *testing.T) {
	program, hold := newPipes(), make(chan struct{})
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/stalled" {
			<-hold
		}
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n)
	})}
	go server.Serve(program)
	t.Cleanup(func() { server.Close() })
	l := reaching(t, "127.0.0.1:8080", program.dial)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	upload := func(path string, body io.Reader) (string, error) {
		req := request(t, "POST", l.url(path), body).WithContext(ctx)
		resp, err := l.caller.Do(req)
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		answer, err := io.ReadAll(resp.Body)
		return string(answer), err
	}

	const stalled = maxRequests - 1
	answers, all := make(chan string, stalled), make(chan struct{}, stalled)
	for range stalled {
		go func() {
			answer, err := upload("/stalled", &sent{left: maxBody, all: func() { all <- struct{}{} }})
			answers <- fmt.Sprint(answer, err)
		}()
	}
	for n := range stalled {
		select {
		case <-all:
		case <-ctx.Done():
			t.Fatalf("%d of %d bodies were taken in", n, stalled)
		}
	}
	if answer, err := upload("/", bytes.NewReader(make([]byte, 4*maxBody))); answer != fmt.Sprint(4*maxBody) || err != nil {
		t.Errorf("beside them: %q, %v", answer, err)
	}
	close(hold)
	for range stalled {
		if got, want := <-answers, fmt.Sprint(maxBody, "<nil>"); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
