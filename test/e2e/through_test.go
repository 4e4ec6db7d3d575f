//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// pod is a program in a pod, and how a connected laptop calls it.
type pod struct {
	t     *testing.T
	l     *lab.Lab
	alice *lab.Laptop
	space *lab.Space
	ip    string
}

// listen opens a port in the pod; handle gets each connection and closes it.
func (p *pod) listen(handle func(*net.TCPConn)) (call func() (*net.TCPConn, error)) {
	ln, err := p.space.Listen(":0")
	must(p.t, err)
	p.t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go handle(c.(*net.TCPConn))
		}
	}()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	to := net.JoinHostPort(p.ip, port)
	return func() (*net.TCPConn, error) {
		c, err := p.alice.Dial(p.t.Context(), "tcp", to)
		if err != nil {
			return nil, err
		}
		return c.(*net.TCPConn), c.SetDeadline(time.Now().Add(2 * time.Minute))
	}
}

// all runs tests by name, each with a pod that fails it alone.
func (p *pod) all(tests map[string]func(*testing.T, *pod)) {
	for name, test := range tests {
		p.t.Run(name, func(t *testing.T) {
			mine := *p
			mine.t = t
			test(t, &mine)
		})
	}
}

// TestThrough: what a kernel does with connections, a connected laptop does,
// and as many of them.
func TestThrough(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("quote.yaml")
	alice := l.Laptop("alice")
	alice.Intercept("connect")
	p := &pod{t: t, l: l, alice: alice, space: l.Inside(l.Pod()), ip: l.Pod().Status.PodIP}
	p.all(map[string]func(*testing.T, *pod){"bulk": throughBulk, "short": throughShort, "many": throughMany,
		"half-closed": throughHalf, "reset": throughReset, "names": throughNames})
}

// throughBulk: a gigabyte each way, whole and in order.
func throughBulk(t *testing.T, p *pod) {
	const size = 1 << 30
	type result struct {
		sum
		err error
	}
	done := make(chan result, 1)
	up := p.listen(func(c *net.TCPConn) {
		defer c.Close()
		s, err := drain(c)
		done <- result{s, err}
	})
	c, err := up()
	must(t, err)
	sent, err := pour(c, size)
	must(t, err)
	must(t, c.CloseWrite())
	if got := <-done; got.err != nil || got.sum != sent {
		t.Errorf("up: %v was sent, %v arrived, %v", sent, got.sum, got.err)
	}
	c.Close()

	down := p.listen(func(c *net.TCPConn) {
		defer c.Close()
		s, err := pour(c, size)
		done <- result{s, err}
	})
	c, err = down()
	must(t, err)
	defer c.Close()
	got, err := drain(c)
	if sent := <-done; err != nil || sent.err != nil || got != sent.sum {
		t.Errorf("down: %v was sent, %v arrived, %v, %v", sent.sum, got, sent.err, err)
	}
}

// throughShort: ten thousand connections, sixteen at a time; none fails.
func throughShort(t *testing.T, p *pod) {
	const count, workers = 10000, 16
	call := p.listen(echo)
	errs := make([]error, workers)
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			for n := range count / workers {
				c, err := call()
				if err == nil {
					err = speak(c, fmt.Sprintf("connection %d of worker %d", n, w))
					c.Close()
				}
				if err != nil {
					errs[w] = fmt.Errorf("connection %d of worker %d: %w", n, w, err)
					return
				}
			}
		})
	}
	all.Wait()
	must(t, errors.Join(errs...))
}

// throughMany: a thousand at once, and each is its own.
func throughMany(t *testing.T, p *pod) {
	const count = 1000
	call := p.listen(echo)
	conns, errs := make([]*net.TCPConn, count), make([]error, count)
	each := func(f func(n int) error) {
		var all sync.WaitGroup
		for n := range count {
			all.Go(func() { errs[n] = f(n) })
		}
		all.Wait()
		must(t, errors.Join(errs...))
	}
	each(func(n int) (err error) { conns[n], err = call(); return err })
	for range 2 {
		each(func(n int) error { return speak(conns[n], fmt.Sprintf("connection %d", n)) })
	}
	each(func(n int) error { return conns[n].Close() })
}

// throughHalf: either side may have said everything while the other goes on.
func throughHalf(t *testing.T, p *pod) {
	call := p.listen(func(c *net.TCPConn) {
		defer c.Close()
		b, err := io.ReadAll(c)
		if err == nil {
			fmt.Fprintf(c, "heard %s", b)
		}
	})
	c, err := call()
	must(t, err)
	defer c.Close()
	fmt.Fprint(c, "everything")
	must(t, c.CloseWrite())
	if b, err := io.ReadAll(c); err != nil || string(b) != "heard everything" {
		t.Errorf("after the laptop's end: %q, %v", b, err)
	}

	heard := make(chan string, 1)
	call = p.listen(func(c *net.TCPConn) {
		defer c.Close()
		fmt.Fprint(c, "everything")
		c.CloseWrite()
		b, err := io.ReadAll(c)
		heard <- fmt.Sprintf("%s, %v", b, err)
	})
	c, err = call()
	must(t, err)
	defer c.Close()
	if b, err := io.ReadAll(c); err != nil || string(b) != "everything" {
		t.Errorf("the pod's words: %q, %v", b, err)
	}
	fmt.Fprint(c, "an answer")
	must(t, c.CloseWrite())
	if got := <-heard; got != "an answer, <nil>" {
		t.Errorf("after the pod's end it heard %s", got)
	}
}

// throughReset: a reset arrives as one.
func throughReset(t *testing.T, p *pod) {
	ended := make(chan error, 1)
	call := p.listen(func(c *net.TCPConn) {
		defer c.Close()
		word := make([]byte, 5)
		_, err := io.ReadFull(c, word)
		if string(word) == "reset" {
			c.SetLinger(0)
			return
		}
		fmt.Fprint(c, "go on")
		if err == nil {
			_, err = c.Read(word)
		}
		ended <- err
	})
	c, err := call()
	must(t, err)
	defer c.Close()
	fmt.Fprint(c, "reset")
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the pod's reset arrives as %v", err)
	}
	c, err = call()
	must(t, err)
	fmt.Fprint(c, "hello")
	_, err = io.ReadFull(c, make([]byte, 5))
	must(t, err)
	must(t, c.SetLinger(0))
	c.Close()
	if err := <-ended; !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the laptop's reset arrives as %v", err)
	}
}

// throughNames: two hundred questions at once, of names that there are and of
// some that there are not, of which none was asked before.
func throughNames(t *testing.T, p *pod) {
	_, server, _ := strings.Cut(strings.TrimSpace(p.alice.Shell("grep -m1 nameserver /etc/resolv.conf")), " ")
	host, _, _ := net.SplitHostPort(p.l.Service("quote", "http"))
	const count = 200
	errs := make([]error, count)
	var all sync.WaitGroup
	for n := range count {
		name, want := "quote."+p.l.Namespace+".svc.cluster.local.", host
		if n%2 == 1 {
			name, want = fmt.Sprintf("missing-%d.%s", n, name), ""
		}
		all.Go(func() { errs[n] = resolves(p, server, name, want) })
	}
	all.Wait()
	must(t, errors.Join(errs...))
}

func resolves(p *pod, server, name, want string) error {
	c, err := p.alice.Dial(p.t.Context(), "udp", net.JoinHostPort(server, "53"))
	if err != nil {
		return err
	}
	defer c.Close()
	m := new(dns.Msg)
	m.SetQuestion(name, dns.TypeA)
	got, _, err := (&dns.Client{Timeout: 10 * time.Second}).ExchangeWithConn(m, &dns.Conn{Conn: c})
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", name, err)
	case want == "" && got.Rcode == dns.RcodeNameError:
		return nil
	case want != "" && len(got.Answer) == 1 && strings.HasSuffix(got.Answer[0].String(), "\t"+want):
		return nil
	}
	return fmt.Errorf("%s: want %q, got %s", name, want, got)
}
