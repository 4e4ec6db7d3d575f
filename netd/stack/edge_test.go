//go:build linux

package stack

import (
	"io"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// TestPairFlood has many that ask and nobody who decides.
func TestPairFlood(t *testing.T) {
	release := make(chan bool)
	var mu sync.Mutex
	asked := 0
	s, _ := pair(t, false, funcs{tcp: func(r *TCPRequest) {
		mu.Lock()
		asked++
		mu.Unlock()
		<-release
	}})
	defer close(release)
	for port := range maxDials + 500 {
		s.link.deliver(split(syn(uint16(1000 + port))))
	}
	for until := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		mu.Lock()
		n := asked
		mu.Unlock()
		if n == maxDials {
			break
		}
		if n > maxDials || time.Now().After(until) {
			t.Fatalf("%d were asked about, want %d", n, maxDials)
		}
	}
	if drops := s.net.Stats().TCP.ForwardMaxInFlightDrop.Value(); drops != 500 {
		t.Errorf("%d dropped, want 500", drops)
	}
}

// syn is a connection request from 10.99.0.1:port to 10.99.0.2:80.
func syn(port uint16) []byte {
	b := make([]byte, header.IPv4MinimumSize+header.TCPMinimumSize)
	src, dst := tcpip.AddrFrom4([4]byte{10, 99, 0, 1}), tcpip.AddrFrom4([4]byte{10, 99, 0, 2})
	h := header.IPv4(b)
	h.Encode(&header.IPv4Fields{TotalLength: uint16(len(b)), TTL: 64, Protocol: 6, SrcAddr: src, DstAddr: dst})
	h.SetChecksum(^h.CalculateChecksum())
	p := header.TCP(b[header.IPv4MinimumSize:])
	p.Encode(&header.TCPFields{SrcPort: port, DstPort: 80, DataOffset: header.TCPMinimumSize, Flags: header.TCPFlagSyn, WindowSize: 1000})
	p.SetChecksum(^p.CalculateChecksum(header.PseudoHeaderChecksum(6, src, dst, header.TCPMinimumSize)))
	return b
}

func TestChecksumsAreChecked(t *testing.T) {
	asked := make(chan netip.AddrPort, 2)
	s, _ := pair(t, false, funcs{tcp: func(r *TCPRequest) { asked <- r.From }})
	bad := syn(1)
	bad[len(bad)-1] ^= 1
	s.link.deliver(split(bad))
	s.link.deliver(split(syn(2)))
	if from := <-asked; from.Port() != 2 {
		t.Errorf("a SYN with a wrong checksum came through")
	}
}

func TestRequestIsAnsweredOnce(t *testing.T) {
	got := make(chan error, 1)
	_, laptop := pair(t, false, funcs{tcp: func(r *TCPRequest) {
		c, err := r.Accept()
		if err == nil {
			r.Refuse()
			r.Drop()
			_, err = r.Accept()
			c.Write([]byte("x"))
		}
		got <- err
	}})
	c := dial(t, laptop, "10.99.0.2:1")
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Error(err)
	}
	if err := <-got; err != errDecided {
		t.Errorf("second Accept: %v", err)
	}
}

func TestConfigErrors(t *testing.T) {
	far, near := sockets(t)
	defer near.Close()
	for want, cfg := range map[string]Config{
		"neither File nor Device": {Handler: funcs{}},
		"no handler":              {File: far},
	} {
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	far, near = sockets(t)
	defer near.Close()
	if _, err := New(Config{File: far, MTU: 500, Handler: funcs{}}); err == nil || !strings.Contains(err.Error(), "MTU 500") {
		t.Errorf("error %v", err)
	}
}

func TestSysError(t *testing.T) {
	for err, want := range map[tcpip.Error]error{
		&tcpip.ErrConnectionReset{}: syscall.ECONNRESET, &tcpip.ErrTimeout{}: syscall.ETIMEDOUT,
		&tcpip.ErrClosedForSend{}: syscall.EPIPE, &tcpip.ErrClosedForReceive{}: io.EOF, nil: nil,
	} {
		if got := sysError(err); got != want {
			t.Errorf("%v is %v, want %v", err, got, want)
		}
	}
}

// TestCloseInHandshake has a program that asked and then said nothing more.
func TestCloseInHandshake(t *testing.T) {
	far, near := sockets(t)
	defer near.Close()
	began, ended := make(chan bool), make(chan error)
	s, err := New(Config{File: far, Handler: funcs{tcp: func(r *TCPRequest) {
		close(began)
		_, err := r.Accept()
		ended <- err
	}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := near.Write(syn(1)); err != nil {
		t.Fatal(err)
	}
	<-began
	if _, err := near.Read(make([]byte, 100)); err != nil { // the SYN-ACK
		t.Fatal(err)
	}
	go s.Close()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("accepted a connection that nobody confirmed")
		}
	case <-time.After(patience):
		t.Fatal("Accept goes on after Close")
	}
	<-s.Done()
	noneLeft(t)
}

// TestDeviceInPlaceOfFile has a device of one packet per call.
func TestDeviceInPlaceOfFile(t *testing.T) {
	far, near := sockets(t)
	defer near.Close()
	asked := make(chan netip.AddrPort, 1)
	s, err := New(Config{Device: far, Offload: true, Handler: funcs{tcp: func(r *TCPRequest) { asked <- r.To }}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := near.Write(syn(1)); err != nil {
		t.Fatal(err)
	}
	if to := <-asked; to.String() != "10.99.0.2:80" {
		t.Errorf("asked for %s", to)
	}
	b := make([]byte, 100)
	n, err := near.Read(b)
	if err != nil || n < 40 || b[33]&byte(header.TCPFlagRst) == 0 {
		t.Errorf("answer %x, %v: want a reset", b[:n], err)
	}
	s.Close()
	noneLeft(t)
}
