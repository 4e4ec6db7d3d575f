package handover

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"
)

// packet of a number and a size.
func packet(i, size int) []byte {
	b := bytes.Repeat([]byte{byte(i)}, size)
	binary.BigEndian.PutUint32(b, uint32(i))
	return b
}

func packets(t *testing.T) (*Packets, *Packets) {
	t.Helper()
	a, b := pair(t)
	p, q := NewPackets(a), NewPackets(b)
	t.Cleanup(func() { p.Close(); q.Close() })
	return p, q
}

func TestPackets(t *testing.T) {
	p, q := packets(t)
	sizes := []int{4, 60, 1280, 1500, 9000, MaxPacket}
	const rounds = 200
	go func() {
		for i := range rounds {
			if _, err := p.Write(packet(i, sizes[i%len(sizes)])); err != nil {
				t.Error(err)
			}
		}
		p.Close() // what was written arrives all the same
	}()
	b := make([]byte, MaxPacket)
	for i := range rounds {
		n, err := q.Read(b)
		if err != nil || !bytes.Equal(b[:n], packet(i, sizes[i%len(sizes)])) {
			t.Fatalf("packet %d: %d bytes, %v", i, n, err)
		}
	}
	if _, err := q.Read(b); err != io.EOF {
		t.Errorf("got %v, want EOF", err)
	}
	for _, size := range []int{0, MaxPacket + 1} {
		if _, err := q.Write(make([]byte, size)); err == nil {
			t.Errorf("a packet of %d bytes is taken", size)
		}
	}
}

// Who does not read holds up the writer, and not more than the queue and what
// the socket takes; Close lets both go.
func TestPacketsWait(t *testing.T) {
	p, q := packets(t)
	var written sync.WaitGroup
	stuck := make(chan int, 1)
	written.Go(func() {
		for n := 0; ; n += 1500 {
			if _, err := p.Write(packet(1, 1500)); err != nil {
				if !errors.Is(err, net.ErrClosed) && !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Error(err)
				}
				stuck <- n
				return
			}
		}
	})
	for { // until the writer waits for room while the socket takes nothing
		p.mu.Lock()
		full := len(p.out)+headerSize+1500 > queue
		p.mu.Unlock()
		if full {
			break
		}
		time.Sleep(time.Millisecond)
	}
	p.c.SetWriteDeadline(time.Now()) // no farewell
	p.Close()
	written.Wait()
	if n := <-stuck; n < queue/2 {
		t.Errorf("only %d bytes were taken", n)
	}
	if n := len(p.out); n > queue {
		t.Errorf("%d bytes wait", n)
	}
	var err error
	for b := make([]byte, MaxPacket); err == nil; { // what had arrived
		_, err = q.Read(b)
	}
}

func TestPacketsAllocateNothing(t *testing.T) {
	p, q := packets(t)
	in, out := make([]byte, MaxPacket), packet(7, 1500)
	if n := testing.AllocsPerRun(1000, func() {
		if _, err := p.Write(out); err != nil {
			t.Fatal(err)
		}
		if _, err := q.Read(in); err != nil {
			t.Fatal(err)
		}
	}); n >= 1 {
		t.Errorf("%v allocations for a packet", n)
	}
}

// dev is a device of packets in memory.
type dev struct {
	in, out chan []byte
	once    sync.Once
	closed  chan struct{}
}

func newDev() *dev {
	return &dev{in: make(chan []byte), out: make(chan []byte), closed: make(chan struct{})}
}

func (d *dev) Read(b []byte) (int, error) {
	select {
	case p := <-d.in:
		return copy(b, p), nil
	case <-d.closed:
		return 0, os.ErrClosed
	}
}

func (d *dev) Write(b []byte) (int, error) {
	select {
	case d.out <- bytes.Clone(b):
		return len(b), nil
	case <-d.closed:
		return 0, os.ErrClosed
	}
}

func (d *dev) Close() error { d.once.Do(func() { close(d.closed) }); return nil }

func TestCarry(t *testing.T) {
	for _, first := range []string{"session", "device"} {
		t.Run(first, func(t *testing.T) {
			session, netd := packets(t)
			d := newDev()
			ended := make(chan error, 1)
			go func() { ended <- Carry(netd, d) }()
			b := make([]byte, MaxPacket)
			for i := range 100 {
				out := packet(i, 4+i)
				if _, err := session.Write(out); err != nil {
					t.Fatal(err)
				}
				if got := <-d.out; !bytes.Equal(got, out) {
					t.Fatalf("packet %d came out as %d bytes", i, len(got))
				}
				d.in <- out
				if n, err := session.Read(b); err != nil || !bytes.Equal(b[:n], out) {
					t.Fatalf("packet %d came in as %d bytes, %v", i, n, err)
				}
			}
			if first == "device" {
				d.Close()
			} else {
				session.Close()
			}
			if err := <-ended; err == nil {
				t.Error("it ended without a reason")
			}
			<-d.closed
			if _, err := session.Read(b); err == nil {
				t.Error("the session still has packets")
			}
		})
	}
}

// FuzzPackets reads what may come: each packet is whole, and the same when it
// is written again.
func FuzzPackets(f *testing.F) {
	f.Add([]byte{0, 2, 'a', 'b', 0, 1, 'c'}, 1500)
	f.Add([]byte{0, 0}, 1500)
	f.Add([]byte{0xff, 0xff, 1}, MaxPacket)
	f.Add([]byte{0, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9}, 8)
	f.Fuzz(func(t *testing.T, b []byte, room int) {
		a, c := net.Pipe()
		go func() {
			a.Write(b)
			a.Close()
		}()
		p := NewPackets(c)
		defer p.Close()
		var again []byte
		buf := make([]byte, min(max(room, 0), MaxPacket))
		for {
			n, err := p.Read(buf)
			if err != nil {
				if err == io.EOF && len(again) != len(b) && len(b)-len(again) >= headerSize {
					t.Errorf("EOF after %d of %d bytes", len(again), len(b))
				}
				break
			}
			if n == 0 || n > len(buf) {
				t.Fatalf("a packet of %d bytes, into %d", n, len(buf))
			}
			again = append(binary.BigEndian.AppendUint16(again, uint16(n)), buf[:n]...)
		}
		if !bytes.HasPrefix(b, again) {
			t.Errorf("read % x of % x", again, b)
		}
	})
}

func TestOpenCarriesPackets(t *testing.T) {
	l, path := listen(t)
	d := newDev()
	carried := make(chan error, 1)
	asked := make(chan string, 8)
	go func() {
		for {
			raw, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer raw.Close()
				c, err := Greet(raw.(*net.UnixConn), "1.2.3")
				if err != nil {
					t.Error(err)
					return
				}
				if c.Token() == "secret" {
					carried <- Carry(c.Packets(), d)
					return
				}
				for {
					r, err := c.Receive()
					if err != nil {
						return
					}
					asked <- r.Op
					c.Reply(r.ID, &Network{Interface: "intercept0", Packets: "secret"}, nil, nil)
				}
			}()
		}
	}()
	c := dial(t, path)
	n, tun, err := c.Open(t.Context(), good())
	if err != nil || tun.File != nil || n.Packets != "" || n.Interface != "intercept0" {
		t.Fatal(err, tun, n)
	}
	if _, err := tun.Device.Write(packet(1, 100)); err != nil {
		t.Error(err)
	}
	if got := <-d.out; !bytes.Equal(got, packet(1, 100)) {
		t.Errorf("got %d bytes", len(got))
	}
	// While packets wait, netd can be asked.
	go func() {
		for i := range 2 * queue / 1500 {
			if _, err := tun.Device.Write(packet(i, 1500)); err != nil {
				return
			}
		}
	}()
	if _, err := c.Update(t.Context(), good()); err != nil {
		t.Error(err)
	}
	if got := <-asked + " " + <-asked; got != "open update" {
		t.Errorf("asked %s", got)
	}
	d.Close()
	if <-carried == nil {
		t.Error("it ended without a reason")
	}
	tun.Close()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// When netd is gone before the packets come, nothing is left.
func TestOpenWithoutPackets(t *testing.T) {
	path := serve(t, func(c *Conn, r *Request) error { // answers one connection only
		if r.Op == OpOpen {
			return errors.Join(os.Remove(pathOf(c)), c.Reply(r.ID, &Network{Packets: "secret"}, nil, nil))
		}
		return c.Reply(r.ID, nil, nil, errors.New("closed"))
	})
	c := dial(t, path)
	if _, _, err := c.Open(t.Context(), good()); err == nil || !bytes.Contains([]byte(err.Error()), []byte("closed")) {
		t.Errorf("got %v", err)
	}
}

func pathOf(c *Conn) string { return c.c.LocalAddr().String() }

func listen(t *testing.T) (net.Listener, string) {
	t.Helper()
	path := t.TempDir() + "/netd.sock"
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l, path
}
