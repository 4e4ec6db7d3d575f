//go:build rootful && linux

package stack_test

import (
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/netd/stack"
)

// noise writes n bytes of a known pattern and returns their sum.
func noise(w io.Writer, n int64) ([sha256.Size]byte, error) {
	sum := sha256.New()
	src := rand.NewChaCha8([32]byte{1})
	_, err := io.CopyN(io.MultiWriter(w, sum), src, n)
	return [sha256.Size]byte(sum.Sum(nil)), err
}

func sumOf(r io.Reader) ([sha256.Size]byte, error) {
	sum := sha256.New()
	_, err := io.Copy(sum, r)
	return [sha256.Size]byte(sum.Sum(nil)), err
}

func TestBytesBothWays(t *testing.T) {
	for _, to := range []string{"10.99.7.7:80", "[fd99::77]:80"} {
		t.Run(to, func(t *testing.T) {
			both(t, func(t *testing.T, offload bool) {
				size := int64(256 << 20)
				if !offload {
					size = 32 << 20
				}
				type sums struct{ in, out [sha256.Size]byte }
				got := make(chan sums, 1)
				l := newLab(t, offload, handler{tcp: accepted(func(c *stack.Conn) {
					var s sums
					var wg sync.WaitGroup
					wg.Go(func() { s.in, _ = sumOf(c) })
					s.out, _ = noise(c, size)
					c.CloseWrite()
					wg.Wait()
					c.Close()
					got <- s
				})})
				c := l.dial("tcp", to).(*net.TCPConn)
				c.SetDeadline(time.Now().Add(5 * time.Minute))
				var in, out [sha256.Size]byte
				var werr error
				var wg sync.WaitGroup
				wg.Go(func() {
					out, werr = noise(c, size)
					c.CloseWrite()
				})
				in, err := sumOf(c)
				must(t, err)
				wg.Wait()
				must(t, werr)
				s := <-got
				if in != s.out || out != s.in {
					t.Fatal("bytes changed on their way")
				}
			})
		})
	}
}

func TestHalfClose(t *testing.T) {
	both(t, func(t *testing.T, offload bool) {
		t.Run("program first", func(t *testing.T) {
			l := newLab(t, offload, handler{tcp: accepted(func(c *stack.Conn) {
				b, _ := io.ReadAll(c)
				c.Write(append([]byte("got "), b...))
				c.Close()
			})})
			c := l.dial("tcp", "10.99.0.2:1").(*net.TCPConn)
			c.Write([]byte("hello"))
			must(t, c.CloseWrite())
			b, err := io.ReadAll(c)
			must(t, err)
			if string(b) != "got hello" {
				t.Fatalf("answer %q", b)
			}
		})
		t.Run("far side first", func(t *testing.T) {
			got := make(chan string, 1)
			l := newLab(t, offload, handler{tcp: accepted(func(c *stack.Conn) {
				c.Write([]byte("hello"))
				c.CloseWrite()
				b, _ := io.ReadAll(c)
				got <- string(b)
				c.Close()
			})})
			c := l.dial("tcp", "10.99.0.2:1").(*net.TCPConn)
			b, err := io.ReadAll(c)
			must(t, err)
			if string(b) != "hello" {
				t.Fatalf("read %q", b)
			}
			c.Write([]byte("late"))
			c.CloseWrite()
			if b := <-got; b != "late" {
				t.Fatalf("far side read %q", b)
			}
		})
	})
}

func TestProgramResets(t *testing.T) {
	type result struct{ first, second, write error }
	got, read := make(chan result, 1), make(chan bool)
	l := newLab(t, true, handler{tcp: accepted(func(c *stack.Conn) {
		b := make([]byte, 10)
		c.Read(b)
		close(read)
		var r result
		_, r.first = c.Read(b)
		_, r.second = c.Read(b)
		_, r.write = c.Write(b)
		got <- r
		c.Close()
	})})
	c := l.dial("tcp", "10.99.0.2:1").(*net.TCPConn)
	c.Write([]byte("x"))
	<-read
	c.SetLinger(0)
	c.Close()
	r := <-got
	if !errors.Is(r.first, syscall.ECONNRESET) || !errors.Is(r.second, syscall.ECONNRESET) || r.write == nil {
		t.Fatalf("reads %v, %v; write %v: want resets", r.first, r.second, r.write)
	}
}

// TestWriterHearsResetFirst is about gVisor telling only one direction.
func TestWriterHearsResetFirst(t *testing.T) {
	here, gone, got := make(chan bool), make(chan bool), make(chan error, 1)
	l := newLab(t, true, handler{tcp: accepted(func(c *stack.Conn) {
		close(here)
		<-gone
		for {
			if _, err := c.Write([]byte("x")); err != nil {
				break
			}
		}
		_, err := c.Read(make([]byte, 1))
		got <- err
	})})
	c := l.dial("tcp", "10.99.0.2:1").(*net.TCPConn)
	<-here
	c.SetLinger(0)
	c.Close()
	close(gone)
	if err := <-got; !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("read after reset: %v", err)
	}
}

func TestStackResets(t *testing.T) {
	for name, step := range map[string]func(*stack.Conn){
		"open":            func(*stack.Conn) {},
		"after its FIN":   func(c *stack.Conn) { c.CloseWrite() },
		"after our Close": func(c *stack.Conn) { c.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, true, handler{tcp: accepted(func(c *stack.Conn) {
				c.Read(make([]byte, 10))
				step(c)
				c.Reset()
			})})
			c := l.dial("tcp", "10.99.0.2:1")
			c.Write([]byte("x"))
			var err error
			for err == nil { // an end that came first is no error
				if _, rerr := c.Read(make([]byte, 10)); rerr != nil && rerr != io.EOF {
					err = rerr
				} else if _, werr := c.Write([]byte("y")); werr != nil {
					err = werr
				}
			}
			if !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
				t.Fatalf("program saw %v", err)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	for name, f := range map[string]func(*stack.TCPRequest){
		"refused": (*stack.TCPRequest).Refuse, "undecided": func(*stack.TCPRequest) {},
	} {
		for _, addr := range []string{"10.99.0.2:1", "[fd99::2]:1"} {
			t.Run(name+" "+addr, func(t *testing.T) {
				l := newLab(t, true, handler{tcp: f})
				if _, err := l.tryDial("tcp", addr); !errors.Is(err, syscall.ECONNREFUSED) {
					t.Fatalf("dial: %v", err)
				}
			})
		}
	}
}

func TestDropped(t *testing.T) {
	asked := make(chan bool, 100)
	l := newLab(t, true, handler{tcp: func(r *stack.TCPRequest) {
		r.Drop()
		asked <- true
	}})
	ended := make(chan error, 1)
	go func() {
		ctx, cancel := contextFor(t, 3*time.Second)
		defer cancel()
		_, err := l.space.Dial(ctx, "tcp", "10.99.0.2:1")
		ended <- err
	}()
	<-asked
	<-asked // the program asked again: nobody told it anything
	if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) && !isTimeout(err) {
		t.Fatalf("dial: %v", err)
	}
}

func TestAddresses(t *testing.T) {
	got := make(chan [2]string, 1)
	l := newLab(t, true, handler{tcp: accepted(func(c *stack.Conn) {
		got <- [2]string{c.RemoteAddr().String(), c.LocalAddr().String()}
		c.Close()
	})})
	c := l.dial("tcp", "10.99.3.4:567")
	if g := <-got; g != [2]string{c.LocalAddr().String(), "10.99.3.4:567"} {
		t.Fatalf("addresses %v", g)
	}
}

func TestShortConnections(t *testing.T) {
	for name, stackCloses := range map[string]bool{"program closes": false, "far side closes": true} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, true, handler{tcp: accepted(func(c *stack.Conn) {
				defer c.Close()
				b := make([]byte, 4)
				if _, err := io.ReadFull(c, b); err == nil {
					c.Write(b)
				}
				if !stackCloses {
					c.Read(b)
				}
			})})
			const each, workers = 2500, 4
			var wg sync.WaitGroup
			errs := make(chan error, workers)
			for range workers {
				wg.Go(func() {
					errs <- l.space.Do(func() error {
						for range each {
							c, err := net.DialTimeout("tcp", "10.99.0.2:80", patience)
							if err != nil {
								return err
							}
							c.SetDeadline(time.Now().Add(patience))
							c.Write([]byte("ping"))
							b, err := make([]byte, 4), error(nil)
							if _, err = io.ReadFull(c, b); err == nil && stackCloses {
								_, err = io.Copy(io.Discard, c)
							}
							c.Close()
							if err != nil {
								return err
							}
						}
						return nil
					})
				})
			}
			for range workers {
				if err := <-errs; err != nil {
					t.Error(err)
				}
			}
			wg.Wait()
		})
	}
}

func TestSlowReaderStopsOnlyItself(t *testing.T) {
	stalled := make(chan *stack.Conn, 1)
	l := newLab(t, true, handler{tcp: func(r *stack.TCPRequest) {
		c, err := r.Accept()
		if err != nil {
			return
		}
		if r.To.Port() == 1 {
			stalled <- c // nobody reads
			return
		}
		io.Copy(io.Discard, c)
		c.Close()
	}})
	slow := l.dial("tcp", "10.99.0.2:1")
	slow.SetDeadline(time.Now().Add(3 * time.Second))
	sent, err := io.CopyN(slow, zeroes{}, 256<<20)
	if !isTimeout(err) {
		t.Fatalf("a flow that nobody reads took %d bytes: %v", sent, err)
	}
	fast := l.dial("tcp", "10.99.0.2:2").(*net.TCPConn)
	_, err = io.CopyN(fast, zeroes{}, 256<<20)
	must(t, err)
	must(t, fast.CloseWrite())
	if _, err := io.Copy(io.Discard, fast); err != nil {
		t.Fatal(err)
	}
	// The slow one goes on where it stopped.
	c := <-stalled
	slow.SetDeadline(time.Now().Add(patience))
	read := make(chan int64, 1)
	go func() {
		n, _ := io.Copy(io.Discard, c)
		read <- n
	}()
	must(t, slow.(*net.TCPConn).CloseWrite())
	if n := <-read; n != sent {
		t.Fatalf("%d bytes arrived of %d", n, sent)
	}
}

type zeroes struct{}

func (zeroes) Read(b []byte) (int, error) { return len(b), nil }

func TestReadDeadline(t *testing.T) {
	got := make(chan error, 2)
	l := newLab(t, true, handler{tcp: accepted(func(c *stack.Conn) {
		c.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		_, err := c.Read(make([]byte, 1))
		got <- err
		c.SetReadDeadline(time.Time{})
		_, err = io.ReadFull(c, make([]byte, 1))
		got <- err
	})})
	c := l.dial("tcp", "10.99.0.2:1")
	if err := <-got; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("read: %v", err)
	}
	c.Write([]byte("x"))
	must(t, <-got)
}

func TestSmallMTU(t *testing.T) {
	both(t, func(t *testing.T, offload bool) {
		l := newLabMTU(t, offload, 1280, handler{udp: udpEcho, tcp: accepted(func(c *stack.Conn) {
			io.Copy(c, c)
			c.Close()
		})})
		for _, host := range []string{"10.99.0.2", "[fd99::2]"} {
			c := l.dial("tcp", host+":1").(*net.TCPConn)
			go func() {
				noise(c, 4<<20)
				c.CloseWrite()
			}()
			got, err := sumOf(c)
			must(t, err)
			want, _ := noise(io.Discard, 4<<20)
			if got != want {
				t.Fatalf("%s: bytes changed on their way", host)
			}
			u := l.dial("udp", host+":1")
			u.Write(make([]byte, 1400))
			if n, err := u.Read(make([]byte, 2000)); n != 1400 {
				t.Fatalf("%s: %d bytes: %v", host, n, err)
			}
		}
	})
}
