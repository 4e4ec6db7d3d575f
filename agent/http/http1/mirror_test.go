package http1

import (
	"io"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/agent/http"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/tunneltest"
)

// A copy of each request goes to the laptop, whose answers nobody gets.
func TestMirror(t *testing.T) {
	p := newPlay(t)
	p.to.others["/m"] = http.Decision{To: p.app, Copies: []http.Copier{p.laptop}}
	p.start("").act(
		"caller says POST /m HTTP/1.1|Content-Length: 4||ab",
		"app hears POST /m HTTP/1.1|Content-Length: 4||ab",
		"laptop hears POST /m HTTP/1.1|Content-Length: 4||ab",
		"laptop says HTTP/1.1 500 No|Content-Length: 0||",
		"caller says cdGET / HTTP/1.1||GET /m HTTP/1.1||",
		"laptop hears cdGET /m HTTP/1.1||",
		"app hears cdGET / HTTP/1.1||GET /m HTTP/1.1||",
		"app says HTTP/1.1 200 OK|Content-Length: 2||ok",
		"caller hears HTTP/1.1 200 OK|Content-Length: 2||ok",
		"laptop resets",
		"app says HTTP/1.1 200 OK|Content-Length: 2||ok",
		"caller hears HTTP/1.1 200 OK|Content-Length: 2||ok",
	)
	if n := p.laptop.arrived.Load(); n != 2 {
		t.Errorf("%d copies", n)
	}
}

// held is a stream that takes nothing until it is released.
type held struct {
	tunnel.Stream
	released chan struct{}
}

func (h held) Write(p []byte) (int, error) {
	<-h.released
	return h.Stream.Write(p)
}

// A laptop that reads nothing slows nobody, and loses whole requests.
func TestMirrorThatIsSlow(t *testing.T) {
	p := newPlay(t)
	p.app = answering(t, answerText)
	p.to.application = p.app
	heard := make(chan net.Conn, 100)
	p.laptop.addr = tunneltest.Listen(t, func(c net.Conn) { heard <- c }).Addr().String()
	released := make(chan struct{})
	p.laptop.wrap = func(s tunnel.Stream) tunnel.Stream { return held{s, released} }
	p.to.others = map[string]http.Decision{"/some": {To: p.app, Copies: []http.Copier{p.laptop}}}
	p.start("")
	request, answer := []byte(askText), make([]byte, len(answerText))
	for p.laptop.misses.Load() < 100 {
		ask(t, p.conns["caller"], request, answer)
	}
	c := <-heard
	close(released)
	p.conns["caller"].Close()
	b, err := io.ReadAll(c)
	if rest := strings.ReplaceAll(string(b), askText, ""); rest != "" || err != nil {
		t.Errorf("a part of a request is copied: %q, %v", rest, err)
	}
	if copies, want := int64(len(b)/len(askText)), p.laptop.arrived.Load()-p.laptop.misses.Load(); copies != want {
		t.Errorf("%d copies, want %d", copies, want)
	}
	c.Close()
	p.over()
}

// A request that offers another protocol is copied on a connection of its own: what comes
// behind it must not meet a program that has switched.
func TestMirrorOfUpgrade(t *testing.T) {
	p := newPlay(t)
	p.to.others["/m"] = http.Decision{To: p.app, Copies: []http.Copier{p.laptop}}
	const offer = "GET /m HTTP/1.1|Connection: Upgrade|Upgrade: h2c||"
	p.start("")
	for again := range 2 {
		p.act(
			"caller says "+offer,
			"app hears "+offer,
			"app says HTTP/1.1 200 OK|Content-Length: 0||",
			"caller hears HTTP/1.1 200 OK|Content-Length: 0||",
		)
		if again > 0 {
			p.act("laptop again")
		}
		p.act("laptop hears " + offer)
	}
	first := p.conn("laptop")
	p.act(
		"caller says GET /m HTTP/1.1||",
		"app hears GET /m HTTP/1.1||",
		"laptop end", // the offer is all of it
		"laptop again",
		"laptop hears GET /m HTTP/1.1||",
	)
	first.Close()
	if n := p.laptop.arrived.Load(); n != 3 {
		t.Errorf("%d copies", n)
	}
}

// A caller that breaks off with its answer takes no copy of a whole request with it, and a
// part of a request is dropped.
func TestMirrorOfCallerThatResets(t *testing.T) {
	p := newPlay(t)
	opening, hold := make(chan struct{}), make(chan struct{})
	p.laptop.before = func() {
		close(opening)
		<-hold
	}
	p.to.others["/m"] = http.Decision{To: p.app, Copies: []http.Copier{p.laptop}}
	p.start("").act(
		"caller says GET /m HTTP/1.1||",
		"app hears GET /m HTTP/1.1||",
		"app says HTTP/1.1 200 OK|Content-Length: 0||",
		"caller hears HTTP/1.1 200 OK|Content-Length: 0||",
		"caller says POST /m HTTP/1.1|Content-Length: 4||ab",
		"app hears POST /m HTTP/1.1|Content-Length: 4||ab",
	)
	<-opening
	p.act("caller resets", "app reset")
	for p.laptop.misses.Load() == 0 {
		runtime.Gosched()
	}
	close(hold)
	p.act("laptop hears GET /m HTTP/1.1||", "laptop end", "laptop ends")
	p.over()
	if a, m := p.laptop.arrived.Load(), p.laptop.misses.Load(); a != 2 || m != 1 {
		t.Errorf("%d copies, %d missed", a, m)
	}
}

// A program that ends its connection with each answer gets the copies all the same: those
// that are lost with the first connection are counted, and the others wait for their turn.
func TestMirrorToProgramThatCloses(t *testing.T) {
	for name, answer := range map[string]string{
		"HTTP/1.0":         "HTTP/1.0 200 OK|Content-Length: 2||ok",
		"until the end":    "HTTP/1.1 200 OK||ok",
		"announced":        "HTTP/1.1 200 OK|Connection: close|Content-Length: 2||ok",
		"behind a 103":     "HTTP/1.1 103 Early Hints|Link: x||HTTP/1.1 204 No|Connection: close||",
		"without a word":   "HTTP/1.1 200 OK|Content-Length: 2||ok",
		"chunks":           "HTTP/1.1 200 OK|Transfer-Encoding: chunked|Connection: close||2|ok|0||",
		"without its body": "HTTP/1.1 200 OK|Content-Length: 9||ok",
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlay(t)
			p.app = answering(t, answerText)
			p.to.application = p.app
			var heard atomic.Int64
			p.laptop.addr = tunneltest.Listen(t, func(c net.Conn) {
				defer c.Close()
				var b []byte
				for one := make([]byte, 1); !strings.HasSuffix(string(b), "\r\n\r\n"); b = append(b, one...) {
					if _, err := c.Read(one); err != nil {
						return
					}
				}
				heard.Add(1)
				io.WriteString(c, strings.ReplaceAll(answer, "|", "\r\n"))
			}).Addr().String()
			p.to.others = map[string]http.Decision{"/some": {To: p.app, Copies: []http.Copier{p.laptop}}}
			p.start("")
			request, answer := []byte(askText), make([]byte, len(answerText))
			for range 100 {
				ask(t, p.conns["caller"], request, answer)
			}
			p.conns["caller"].Close()
			p.over()
			arrived, missed := p.laptop.arrived.Load(), p.laptop.misses.Load()
			// An answer may be lost with the connection, and its copy counts as missed then.
			if arrived != 100 || heard.Load()+missed < arrived {
				t.Errorf("of %d copies the laptop has %d, and %d are counted as missed", arrived, heard.Load(), missed)
			}
			if heard.Load() == 0 {
				t.Error("the laptop has no copy")
			}
		})
	}
}
