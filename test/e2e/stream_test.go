//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"math/rand/v2"
	"net"
	"syscall"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// sum is what went through one direction.
type sum struct {
	n   int64
	crc uint64
}

var table = crc64.MakeTable(crc64.ECMA)

// pour writes n bytes that no layer can guess.
func pour(w io.Writer, n int64) (sum, error) {
	crc := crc64.New(table)
	random := rand.NewChaCha8([32]byte([]byte("kubectl-intercept end-to-end....")))
	buf := make([]byte, 256<<10)
	sent, err := io.CopyBuffer(struct{ io.Writer }{w}, io.TeeReader(io.LimitReader(random, n), crc), buf)
	return sum{sent, crc.Sum64()}, err
}

// drain reads to the end.
func drain(r io.Reader) (sum, error) {
	crc := crc64.New(table)
	n, err := io.CopyBuffer(crc, struct{ io.Reader }{r}, make([]byte, 256<<10))
	return sum{n, crc.Sum64()}, err
}

func echo(c *net.TCPConn) {
	defer c.Close()
	io.Copy(c, c)
}

// speak says something to an echo and waits for it.
func speak(c net.Conn, text string) error {
	if _, err := c.Write([]byte(text)); err != nil {
		return err
	}
	buf := make([]byte, len(text))
	if _, err := io.ReadFull(c, buf); err != nil {
		return err
	}
	if string(buf) != text {
		return fmt.Errorf("%q came back as %q", text, buf)
	}
	return nil
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestLeaveDuringTraffic: a connection that the laptop has is reset, so that
// its caller connects again; every new one is answered by somebody.
func TestLeaveDuringTraffic(t *testing.T) {
	l, quote, alice, _ := intercepted(t)
	program := alice.Listen(func(c net.Conn) { echo(c.(*net.TCPConn)) })
	c := long(l, alice, program, quote)
	alice.Intercept("add", "quote", "--port", alice.Serve("alice").To(""))
	stream := l.Stream(quote)
	must(t, speak(c, "in place")) // another local port leaves it alone
	alice.Intercept("leave", "quote")
	l.Answers(quote, lab.Application)
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the open connection ended with %v, want a reset", err)
	}
	gap(l, stream)
}

// long is a connection that the laptop has had for a while.
func long(l *lab.Lab, p *lab.Laptop, program *lab.Program, quote string) net.Conn {
	l.Helper()
	p.Intercept("add", "quote", "--port", program.To(""))
	var c net.Conn
	l.Until("an echo through the intercept", func() (err error) {
		if c, err = l.Nodes[0].Dial(l.Context(), "tcp", quote); err != nil {
			return err
		}
		l.Cleanup(func() { c.Close() })
		return speak(c, "hello")
	})
	return c
}

// TestEstablished: connections from before the intercept do not bypass it,
// unless they are to.
func TestEstablished(t *testing.T) {
	for _, keep := range []bool{false, true} {
		t.Run(fmt.Sprintf("keep=%t", keep), func(t *testing.T) {
			l := lab.New(t, clusters)
			l.Apply("quote.yaml")
			quote := l.Serving("quote", "http")
			before := l.Nodes[0].Asker(quote)
			if got, err := before(t.Context()); err != nil || got != lab.Application {
				t.Fatalf("answered by %s, %v", got, err)
			}
			alice := l.Laptop("alice")
			args := []string{"add", "quote", "--port", alice.Serve("alice").To("")}
			want := "alice"
			if keep {
				args, want = append(args, "--keep-established"), lab.Application
			}
			alice.Intercept(args...)
			// This caller has the address of a node. One of the kubelet's probes may take that
			// long, so it goes on for a moment.
			l.Until("the open connection is answered by "+want, func() error {
				if got, err := before(t.Context()); err != nil || got != want {
					return fmt.Errorf("by %s, %v", got, err)
				}
				return nil
			})
			l.Answers(quote, "alice")
		})
	}
}
