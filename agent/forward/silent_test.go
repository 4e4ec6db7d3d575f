package forward_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/agent/relay"
	"github.com/kubectl-intercept/kubectl-intercept/agent/tcp"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/tunneltest"
)

// A client may connect long before it sends its first request.
func TestSilentClient(t *testing.T) {
	accepted := make(chan struct{}, 1)
	app := tunneltest.Listen(t, func(c net.Conn) {
		defer c.Close()
		accepted <- struct{}{}
		r, err := http.ReadRequest(bufio.NewReader(c))
		if err == nil {
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\napp")
			r.Body.Close()
		}
	})
	l := capturing(t, app.Addr().String(), laptops{"alice": laptop(website(t, "alice"))})
	l.Route(&rpc.CapturePort{Port: 80, Routes: []*rpc.Route{personal("alice")}})
	for user, want := range map[string]string{"alice": "alice /", "bob": "app"} {
		c := call(t, l)
		<-accepted // the application was asked whether it speaks first
		fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: shop\r\nX-User: %s\r\n\r\n", user)
		got, err := http.ReadResponse(c.in, nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, _ := io.ReadAll(got.Body); string(body) != want {
			t.Errorf("%s is answered %q", user, body)
		}
		c.Close()
	}
}

// late sends text on a connection of which the agent knows by then that its caller is
// silent.
func late(t *testing.T, l *tcp.Listener, silent <-chan struct{}, text string) *caller {
	t.Helper()
	c := call(t, l)
	<-silent
	fmt.Fprint(c, text)
	return c
}

// A caller that is silent at first reaches the laptop, although the application refuses
// connections or somebody else's laptop does not answer.
func TestSilentCallerOfNobody(t *testing.T) {
	closed := tunneltest.Listen(t, func(net.Conn) {})
	closed.Close()
	asked := make(chan struct{}, 1)
	l := capturing(t, closed.Addr().String(), hanging{laptops{"alice": laptop(website(t, "alice"))}, asked})
	l.Route(&rpc.CapturePort{Port: 80, Routes: []*rpc.Route{personal("alice"), route("all", "all")}})
	c := late(t, l, asked, "GET / HTTP/1.1\r\nHost: shop\r\nX-User: alice\r\n\r\n")
	got, err := http.ReadResponse(c.in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if body, _ := io.ReadAll(got.Body); string(body) != "alice /" {
		t.Errorf("answered %q", body)
	}
}

// hanging does not answer for the intercept "all" until it is not waited for any more.
type hanging struct {
	laptops
	asked chan struct{}
}

// Open implements forward.Opener.
func (h hanging) Open(ctx context.Context, owner *relay.Owner, open *frame.Open) (tunnel.Stream, error) {
	if owner.UID != "all" {
		return h.laptops.Open(ctx, owner, open)
	}
	h.asked <- struct{}{}
	<-ctx.Done()
	return nil, ctx.Err()
}

// The end of an application that closes idle connections reaches a caller that was silent
// from the start.
func TestSilentCallerHearsTheEnd(t *testing.T) {
	app := tunneltest.Listen(t, func(c net.Conn) { c.Close() })
	l := capturing(t, app.Addr().String(), laptops{})
	l.Route(&rpc.CapturePort{Port: 80, Routes: []*rpc.Route{personal("alice")}})
	if b, err := call(t, l).in.ReadByte(); err != io.EOF {
		t.Errorf("read %q, %v", b, err)
	}
}

// A caller that was silent while the global intercept ended reaches the application.
func TestSilentCallerAfterTheEnd(t *testing.T) {
	asked := make(chan struct{}, 1)
	all := tunneltest.Listen(t, func(net.Conn) { asked <- struct{}{} })
	l := capturing(t, named(t, "app"), laptops{"all": laptop(all.Addr().String())})
	l.Route(&rpc.CapturePort{Port: 80, Routes: []*rpc.Route{personal("alice"), route("all", "all")}})
	c := call(t, l)
	<-asked
	l.Route(&rpc.CapturePort{Port: 80, Routes: []*rpc.Route{personal("alice")}})
	c.answers(t, "app")
}

// A word that could be a method, and is followed by nothing, reaches the application.
func TestWordWithoutLine(t *testing.T) {
	app := tunneltest.Listen(t, func(c net.Conn) {
		defer c.Close()
		word := make([]byte, 4)
		if _, err := io.ReadFull(c, word); err == nil && string(word) == "ruok" {
			fmt.Fprintln(c, "imok")
		}
	})
	l := capturing(t, app.Addr().String(), laptops{})
	l.Route(&rpc.CapturePort{Port: 80, Routes: []*rpc.Route{personal("alice")}})
	c := call(t, l)
	fmt.Fprint(c, "ruok")
	if got, err := c.in.ReadString('\n'); got != "imok\n" {
		t.Errorf("answered %q, %v", got, err)
	}
}

// A caller that was silent while an intercept of all connections began is that one's, unless
// the application has spoken to it. It counts once, and not at all for the connection that
// was opened in advance.
func TestSilentCallerAfterTheBeginning(t *testing.T) {
	accepted := make(chan struct{}, 1)
	app := tunneltest.Listen(t, func(c net.Conn) {
		accepted <- struct{}{}
		io.Copy(io.Discard, c)
		c.Close()
	})
	l := capturing(t, app.Addr().String(), laptops{"alice": laptop(website(t, "alice")), "all": laptop(named(t, "all"))})
	l.Route(&rpc.CapturePort{Port: 80, Routes: []*rpc.Route{personal("alice")}})
	c := call(t, l)
	<-accepted
	l.Route(&rpc.CapturePort{Port: 80, Routes: []*rpc.Route{personal("alice"), route("all", "all")}})
	c.answers(t, "all")
	if r := counts(l, "all"); r.Connections != 1 {
		t.Errorf("counts are %v", r)
	}
}

// A connection that is opened in advance counts if it is used as a whole, and not beside the
// requests that travel on it.
func TestSilentCallerCountsOnce(t *testing.T) {
	for text, want := range map[string][2]uint64{"GET / HTTP/1.1\r\nHost: shop\r\n\r\n": {1, 1}, "hello\n": {1, 0}} {
		asked := make(chan struct{}, 1)
		all := tunneltest.Listen(t, func(c net.Conn) {
			defer c.Close()
			asked <- struct{}{}
			b := make([]byte, len(text))
			if _, err := io.ReadFull(c, b); err == nil {
				fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			}
		})
		l := capturing(t, named(t, "app"), laptops{"all": laptop(all.Addr().String())})
		l.Route(&rpc.CapturePort{Port: 80, Routes: []*rpc.Route{personal("alice"), route("all", "all")}})
		c := late(t, l, asked, text)
		if _, err := c.in.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		if r := counts(l, "all"); r.Connections != want[0] || r.Requests != want[1] || r.Fallbacks != 0 {
			t.Errorf("%q: counts are %v", text, r)
		}
	}
}

// A connection on which the laptop's program speaks first counts once, with what it said.
func TestGreetingCounts(t *testing.T) {
	const greeting = "220 welcome\n"
	all := tunneltest.Listen(t, func(c net.Conn) {
		defer c.Close()
		fmt.Fprint(c, greeting)
		io.Copy(io.Discard, c)
	})
	l := capturing(t, named(t, "app"), laptops{"all": laptop(all.Addr().String())})
	l.Route(&rpc.CapturePort{Port: 80, Routes: []*rpc.Route{personal("alice"), route("all", "all")}})
	if got, err := call(t, l).in.ReadString('\n'); got != greeting {
		t.Fatalf("greeted with %q, %v", got, err)
	}
	if r := counts(l, "all"); r.Connections != 1 || r.BytesOut != uint64(len(greeting)) {
		t.Errorf("counts are %v", r)
	}
}
