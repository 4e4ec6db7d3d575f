//go:build rootful && linux

package stack_test

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/netd/stack"
)

// TestCloseEndsEverything closes a stack in the middle of everything it does.
func TestCloseEndsEverything(t *testing.T) {
	began, ended := make(chan bool, 10), make(chan string, 10)
	l := newLab(t, true, handler{
		tcp: func(r *stack.TCPRequest) {
			switch r.To.Port() {
			case 1: // reads
				c, err := r.Accept()
				must(t, err)
				began <- true
				c.Read(make([]byte, 1))
				ended <- "reader"
			case 2: // writes to one who does not read
				c, err := r.Accept()
				must(t, err)
				began <- true
				io.CopyN(c, zeroes{}, 1<<40)
				ended <- "writer"
			case 3: // has ended, with bytes on the way
				c, err := r.Accept()
				must(t, err)
				c.Write(make([]byte, 1000))
				c.Close()
				began <- true
				ended <- "closed"
			}
		},
		udp: func(f *stack.UDPFlow) {
			b := make([]byte, 10)
			f.Read(b)
			began <- true
			f.Read(b)
			ended <- "udp"
		},
	})
	ln, err := l.stack.Listen(netip.MustParseAddrPort("10.99.0.2:9"))
	must(t, err)
	pc, err := l.stack.ListenPacket(netip.MustParseAddrPort("10.99.0.2:9"))
	must(t, err)
	go func() { ln.Accept(); ended <- "listener" }()
	go func() { pc.ReadFrom(make([]byte, 1)); ended <- "packets" }()
	var conns []net.Conn
	for _, to := range []string{"10.99.0.2:1", "10.99.0.2:2", "10.99.0.2:3"} {
		conns = append(conns, l.dial("tcp", to))
		<-began
	}
	u := l.dial("udp", "10.99.0.2:1")
	u.Write([]byte("x"))
	<-began

	must(t, l.stack.Close())
	<-l.stack.Done()
	for range 6 {
		select {
		case <-ended:
		case <-time.After(patience):
			t.Fatalf("something goes on after Close:\n%s", stacks())
		}
	}
	if _, err := conns[0].Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a program's connection ends with %v", err)
	}
	noGoroutines(t)
	must(t, l.stack.Close()) // again
}

func noGoroutines(t *testing.T) {
	t.Helper()
	for until := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		s := stacks()
		if !strings.Contains(s, "gvisor.dev") && !strings.Contains(s, "netd/stack.") {
			return
		}
		if time.Now().After(until) {
			t.Fatalf("goroutines stay:\n%s", s)
		}
	}
}

func stacks() string {
	b := make([]byte, 1<<20)
	return string(b[:runtime.Stack(b, true)])
}

func TestDeviceGone(t *testing.T) {
	l := newLab(t, true, handler{})
	must(t, l.space.Do(func() error { return deleteLink("tun0") }))
	select {
	case <-l.stack.Done():
	case <-time.After(patience):
		t.Fatal("the stack goes on without its device")
	}
}

func TestIdleFlowsAreSmall(t *testing.T) {
	const flows = 1000
	var mu sync.Mutex
	var far []*stack.Conn
	l := newLab(t, true, handler{tcp: accepted(func(c *stack.Conn) {
		io.ReadFull(c, make([]byte, 1))
		mu.Lock()
		far = append(far, c)
		mu.Unlock()
		c.Write([]byte("y"))
		c.Read(make([]byte, 1)) // idle
	})})
	before := heap()
	for range flows {
		c := l.dial("tcp", "10.99.0.2:1")
		c.Write([]byte("x"))
		_, err := io.ReadFull(c, make([]byte, 1))
		must(t, err)
	}
	after := heap()
	each := int64(after-before) / flows
	t.Logf("an idle flow holds %d bytes, both ends of this test together", each)
	if each > 40<<10 {
		t.Errorf("an idle flow holds %d bytes", each)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(far) != flows {
		t.Fatalf("%d flows of %d", len(far), flows)
	}
	runtime.KeepAlive(far)
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}

// TestStalledFlowsAreBounded has programs that send to a far side that does
// not read, and programs that do not read what it sends.
func TestStalledFlowsAreBounded(t *testing.T) {
	var wg sync.WaitGroup
	l := newLab(t, true, handler{tcp: func(r *stack.TCPRequest) {
		c, err := r.Accept()
		if err != nil {
			return
		}
		if r.To.Port() == 1 {
			return // nobody reads
		}
		c.SetWriteDeadline(time.Now().Add(2 * time.Second))
		if _, err := io.CopyN(c, zeroes{}, 1<<40); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a program that does not read took everything: %v", err)
		}
		wg.Done()
	}})
	before := heap()
	const flows = 20
	for range flows {
		wg.Add(1)
		l.dial("tcp", "10.99.0.2:2")
		c := l.dial("tcp", "10.99.0.2:1")
		wg.Go(func() {
			c.SetDeadline(time.Now().Add(2 * time.Second))
			if n, err := io.CopyN(c, zeroes{}, 1<<30); !isTimeout(err) {
				t.Errorf("a flow that nobody reads took %d bytes: %v", n, err)
			}
		})
	}
	wg.Wait()
	held := int64(heap()-before) / (2 * flows)
	t.Logf("a stalled flow holds %d KiB", held>>10)
	if held > 4<<20 {
		t.Errorf("a stalled flow holds %d bytes", held)
	}
}
