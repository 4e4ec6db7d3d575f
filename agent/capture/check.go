package capture

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	proofAttempt = time.Second
	proofPause   = 100 * time.Millisecond
)

// CheckRedirect verifies that connections to port p, at each of the addresses, reach the
// agent. It makes a test connection to each address and waits for the answer, which the
// listener gets from book. It tries until ctx ends. Then it returns the error of the last
// attempt.
func CheckRedirect(ctx context.Context, p Port, addrs []netip.Addr, book *ProofBook) error {
	return checkRedirect(ctx, p, addrs, book, Control(MarkProof))
}

// control is the type of net.Dialer.Control.
type control func(network, address string, c syscall.RawConn) error

func checkRedirect(ctx context.Context, p Port, addrs []netip.Addr, book *ProofBook, mark control) error {
	for _, a := range addrs {
		target := netip.AddrPortFrom(a, p.Number)
		for {
			err := testConnection(ctx, p.Protocol, target, book, mark)
			if err == nil {
				break
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("the redirect of %s does not work: a test connection to %s: %w", p, target, err)
			case <-time.After(proofPause):
			}
		}
	}
	return nil
}

// testConnection makes one test connection to target. The function mark marks the socket.
func testConnection(ctx context.Context, protocol Protocol, target netip.AddrPort, book *ProofBook, mark control) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), proofAttempt)
	defer cancel()
	var nonce [16]byte
	if _, err := rand.Read(nonce[:]); err != nil {
		return fmt.Errorf("make nonce: %w", err)
	}
	// The local address must be in the book before the first packet leaves.
	// The dialer binds the socket after Control, so Control binds it first.
	var source netip.AddrPort
	d := net.Dialer{Control: func(network, address string, c syscall.RawConn) error {
		if err := mark(network, address, c); err != nil {
			return err
		}
		var err error
		source, err = bindAndNote(c, target.Addr(), book, nonce)
		return err
	}}
	network := "tcp"
	if protocol == UDP {
		network = "udp"
	}
	c, err := d.DialContext(ctx, network, target.String())
	if source.IsValid() {
		defer book.remove(source)
	}
	if err != nil {
		return seen(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(proofAttempt))
	if protocol == UDP {
		if _, err := c.Write(nonce[:]); err != nil {
			return seen(err)
		}
	}
	var answer [16]byte
	if _, err := io.ReadFull(c, answer[:]); err != nil {
		return seen(err)
	}
	if !bytes.Equal(answer[:], nonce[:]) {
		return errors.New("something else than the agent answered")
	}
	return nil
}

func bindAndNote(c syscall.RawConn, a netip.Addr, book *ProofBook, nonce [16]byte) (netip.AddrPort, error) {
	var source netip.AddrPort
	var failed error
	err := c.Control(func(fd uintptr) {
		var sa unix.Sockaddr = &unix.SockaddrInet6{Addr: a.As16()}
		if a.Is4() {
			sa = &unix.SockaddrInet4{Addr: a.As4()}
		}
		if failed = unix.Bind(int(fd), sa); failed != nil {
			return
		}
		var name unix.Sockaddr
		if name, failed = unix.Getsockname(int(fd)); failed != nil {
			return
		}
		switch n := name.(type) {
		case *unix.SockaddrInet4:
			source = netip.AddrPortFrom(a, uint16(n.Port))
		case *unix.SockaddrInet6:
			source = netip.AddrPortFrom(a, uint16(n.Port))
		}
		book.add(source, nonce)
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return source, fmt.Errorf("bind test connection to %s: %w", a, err)
	}
	return source, nil
}

// seen describes the result of a test connection.
func seen(err error) error {
	switch {
	case errors.Is(err, unix.ECONNREFUSED), errors.Is(err, unix.ECONNRESET):
		return fmt.Errorf("it was refused instead of redirected: %w", err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("something else than the agent took and closed it: %w", err)
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return fmt.Errorf("the address is not the pod's: %w", err)
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return fmt.Errorf("no answer came, another rule may redirect it elsewhere: %w", err)
	}
	return err
}
