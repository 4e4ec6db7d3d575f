//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// overheard counts the requests that a program on a laptop gets, by the header X-User.
type overheard struct {
	mu sync.Mutex
	by map[string]int
}

// overhear is a program on a laptop that answers every request with an error.
func overhear(p *lab.Laptop) (*lab.Program, *overheard) {
	o := &overheard{by: map[string]int{}}
	connections := make(chan net.Conn)
	go (&http.Server{ReadHeaderTimeout: time.Minute, Handler: o}).Serve(arrivals(connections))
	return p.Listen(func(c net.Conn) { connections <- c }), o
}

// overhearAt is overhear at a given port of the laptop.
func overhearAt(l *lab.Lab, p *lab.Laptop, port int) *overheard {
	l.Helper()
	o := &overheard{by: map[string]int{}}
	ln, err := p.Space.Listen(fmt.Sprintf("127.0.0.1:%d", port))
	l.Must(err)
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: o}
	go server.Serve(ln)
	l.Cleanup(func() { server.Close() })
	return o
}

// ServeHTTP implements http.Handler.
func (o *overheard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	o.by[r.Header.Get("X-User")]++
	o.mu.Unlock()
	http.Error(w, "nobody hears this", http.StatusTeapot)
}

// arrivals is a listener for connections that another one has accepted.
type arrivals chan net.Conn

func (a arrivals) Accept() (net.Conn, error) { return <-a, nil }
func (a arrivals) Close() error              { return nil }
func (a arrivals) Addr() net.Addr            { return &net.TCPAddr{} }

// count is how many requests of a user the program has got.
func (o *overheard) count(user string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.by[user]
}

// has waits until the program has got as many requests of a user.
func (o *overheard) has(l *lab.Lab, user string, want int) {
	l.Helper()
	l.Until(fmt.Sprintf("%d copies of requests of %q", want, user), func() error {
		if got := o.count(user); got != want {
			return fmt.Errorf("%d came", got)
		}
		return nil
	})
}

// dropped is how many copies the intercept with this name has lost.
func dropped(p *lab.Laptop, name string) (n int64) {
	for _, i := range p.Status().Intercepts {
		if i.Name == name {
			n += i.Fallbacks
		}
	}
	return n
}

// TestMirror has the application answer everybody, but bob his requests. Alice gets copies
// of hers, dave of what comes on each connection, and a program of carol's never reads its
// copies: then those are dropped and counted, and nobody waits.
func TestMirror(t *testing.T) {
	for _, inject := range []v1alpha1.InjectMode{v1alpha1.InjectEphemeral, v1alpha1.InjectSidecar} {
		t.Run(string(inject), func(t *testing.T) {
			l := lab.New(t, clusters)
			l.Apply("replicas.yaml")
			quote := l.Serving("quote", "http")
			alice, bob, carol, dave := l.Laptop("alice"), l.Laptop("bob"), l.Laptop("carol"), l.Laptop("dave")
			add := func(p *lab.Laptop, program *lab.Program, more ...string) string {
				return p.Intercept(append([]string{"add", "quote", "--inject", string(inject), "--port", program.To("")}, more...)...).Out
			}
			of := func(user, answers string) person { return person{answers, "", header("X-User", user)} }
			said := func(p *lab.Laptop, texts ...string) {
				l.Helper()
				l.Until(fmt.Sprintf("status says %q", texts), func() error {
					out := p.Intercept("status").Out
					for _, text := range texts {
						if !strings.Contains(out, text) {
							return fmt.Errorf("it says\n%s", out)
						}
					}
					return nil
				})
			}

			// A mirror of requests.
			program, heard := overhear(alice)
			if out := add(alice, program, "--mode", "mirror", "--match", "x-user=alice"); !strings.Contains(out, "Mirroring              : HTTP requests that match all of:") {
				t.Errorf("add says\n%s", out)
			}
			pods := endpoints(l, "quote")
			each := 25 * len(l.Nodes) // that noneAstray sends to an address, of each person
			noneAstray(l, pods, of("alice", lab.Application), of("bob", lab.Application))
			heard.has(l, "alice", each*len(pods))
			said(alice, "Mirroring", fmt.Sprintf("%d requests, ", each*len(pods)))

			// A personal intercept beside it, and a mirror of whole connections.
			add(bob, bob.Serve("bob"), "--match", "x-user=bob")
			everything, heardAll := overhear(dave)
			add(dave, everything, "--mode", "mirror")
			noneAstray(l, pods, of("alice", lab.Application), of("bob", "bob"), of("erin", lab.Application))
			heard.has(l, "alice", 2*each*len(pods))
			for _, user := range []string{"alice", "bob", "erin"} {
				heardAll.has(l, user, each*len(pods))
			}
			heard.has(l, "bob", 0)
			if out := bob.Intercept("list").Out; !strings.Contains(out, `mirrored by alice: header("x-user") ~= regexp("alice")`) || !strings.Contains(out, "mirrored by dave: all TCP connections") {
				t.Errorf("list says\n%s", out)
			}

			// A program that never reads.
			stop := make(chan struct{})
			t.Cleanup(func() { close(stop) })
			add(carol, carol.Listen(func(c net.Conn) { <-stop; c.Close() }), "--mode", "mirror")
			c, err := keep(l, l.Nodes[1], quote)
			l.Must(err)
			t.Cleanup(func() { c.conn.Close() })
			large := person{lab.Application, "", header("X-Padding", strings.Repeat("x", 64<<10))}
			deadline := time.Now().Add(lab.Patience)
			for dropped(carol, "quote-carol") == 0 {
				for range 500 {
					if got, err := c.as(large); err != nil || got != large.name {
						t.Fatalf("%q answers (%v)", got, err)
					}
				}
				if time.Now().After(deadline) {
					t.Fatal("no copy was dropped")
				}
			}
			said(carol, "Dropped", "did not take them as fast as they came")

			// The end of a mirror is noticed by nobody.
			for _, p := range []*lab.Laptop{carol, alice, dave, bob} {
				p.Intercept("leave", "--all")
				if got, err := c.as(large); err != nil || got != large.name {
					t.Fatalf("%q answers (%v)", got, err)
				}
			}
			noneAstray(l, append(pods, quote), of("alice", lab.Application), of("bob", lab.Application))
			heard.has(l, "alice", 2*each*len(pods))
		})
	}
}

// TestMirrorOfBytes mirrors a protocol that is not HTTP: the laptop gets every byte that a
// caller sends, and its end.
func TestMirrorOfBytes(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("quote.yaml")
	quote := l.Serving("quote", "http")
	alice := l.Laptop("alice")
	sums := make(chan string, 10)
	program := alice.Listen(func(c net.Conn) {
		sum, err := drain(c)
		sums <- fmt.Sprintf("%d bytes, %016x, %v", sum.n, sum.crc, err)
		c.Close()
	})
	alice.Intercept("add", "quote", "--port", program.To(""), "--mode", "mirror")
	l.Answers(quote, lab.Application)
	l.Until("a connection is copied", func() error {
		l.Answers(quote, lab.Application)
		if len(sums) == 0 {
			return errors.New("no copy has come")
		}
		return nil
	})
	for len(sums) > 0 {
		<-sums
	}
	const text = "this is no request, and the application says so\r\n\r\n"
	said := func() {
		conn, err := l.Nodes[1].Dial(t.Context(), "tcp", quote)
		l.Must(err)
		defer conn.Close()
		_, err = conn.Write([]byte(text))
		l.Must(err)
		l.Must(conn.(*net.TCPConn).CloseWrite())
		if answer, err := drain(conn); err != nil || answer.n == 0 {
			t.Errorf("%d bytes came back, %v", answer.n, err)
		}
	}
	l.Until("the copy", func() error {
		said() // a busy machine may not take a copy
		for len(sums) > 0 {
			if got := <-sums; strings.HasPrefix(got, fmt.Sprintf("%d bytes, ", len(text))) && strings.HasSuffix(got, "<nil>") {
				return nil
			}
		}
		return errors.New("it has not come")
	})
}
