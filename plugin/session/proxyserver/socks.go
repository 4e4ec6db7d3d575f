package proxyserver

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
)

// Numbers of RFC 1928.
const (
	socksNoAuth    = 0x00
	socksNoMethod  = 0xff
	socksConnect   = 1
	socksAssociate = 3
	socksIPv4      = 1
	socksName      = 3
	socksIPv6      = 4

	replyOK          = 0
	replyFailure     = 1
	replyNotAllowed  = 2
	replyUnreachable = 4
	replyRefused     = 5
	replyCommand     = 7
	replyAddress     = 8
)

var errSocks = errors.New("malformed SOCKS request")

func (s *Server) socks(ctx context.Context, c *net.TCPConn, r *bufio.Reader) error {
	if err := socksGreet(c, r); err != nil {
		return err
	}
	command, host, port, err := readSocksRequest(r)
	if errors.Is(err, errSocksAddress) {
		return errors.Join(err, socksReply(c, replyAddress, netip.AddrPort{}))
	}
	if err != nil {
		return err
	}
	switch command {
	case socksConnect:
		to, err := s.dial(ctx, frame.TCP, host, port)
		if err != nil {
			return errors.Join(err, socksReply(c, replyOf(err), netip.AddrPort{}))
		}
		if err := socksReply(c, replyOK, netip.AddrPort{}); err != nil {
			to.Abort()
			return err
		}
		return join(c, r, to)
	case socksAssociate:
		return s.associate(ctx, c, r)
	}
	return errors.Join(fmt.Errorf("SOCKS command %d", command), socksReply(c, replyCommand, netip.AddrPort{}))
}

// socksGreet agrees on no authentication: the port is on localhost.
func socksGreet(w io.Writer, r *bufio.Reader) error {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	methods := make([]byte, head[1])
	if _, err := io.ReadFull(r, methods); err != nil {
		return err
	}
	for _, m := range methods {
		if m == socksNoAuth {
			_, err := w.Write([]byte{socksVersion, socksNoAuth})
			return err
		}
	}
	_, err := w.Write([]byte{socksVersion, socksNoMethod})
	return errors.Join(errors.New("SOCKS client insists on authentication"), err)
}

var errSocksAddress = errors.New("SOCKS address type is not known")

// readSocksRequest reads VER CMD RSV ATYP ADDR PORT.
func readSocksRequest(r io.Reader) (command byte, host string, port uint16, err error) {
	var head [3]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, "", 0, err
	}
	if head[0] != socksVersion {
		return 0, "", 0, errSocks
	}
	host, port, err = readSocksAddress(r)
	return head[1], host, port, err
}

func readSocksAddress(r io.Reader) (host string, port uint16, err error) {
	var kind [1]byte
	if _, err := io.ReadFull(r, kind[:]); err != nil {
		return "", 0, err
	}
	size := 0
	switch kind[0] {
	case socksIPv4:
		size = 4
	case socksIPv6:
		size = 16
	case socksName:
		var n [1]byte
		if _, err := io.ReadFull(r, n[:]); err != nil {
			return "", 0, err
		}
		if size = int(n[0]); size == 0 {
			return "", 0, errSocks
		}
	default:
		return "", 0, errSocksAddress
	}
	b := make([]byte, size+2)
	if _, err := io.ReadFull(r, b); err != nil {
		return "", 0, err
	}
	port = binary.BigEndian.Uint16(b[size:])
	if kind[0] == socksName {
		return string(b[:size]), port, nil
	}
	a, _ := netip.AddrFromSlice(b[:size])
	return a.Unmap().String(), port, nil
}

// socksReply sends a reply. The address is that of an association.
func socksReply(w io.Writer, code byte, bound netip.AddrPort) error {
	if !bound.IsValid() {
		bound = netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
	}
	_, err := w.Write(appendSocksAddress([]byte{socksVersion, code, 0}, bound))
	return err
}

func appendSocksAddress(b []byte, a netip.AddrPort) []byte {
	ip := a.Addr().Unmap()
	kind := byte(socksIPv4)
	if ip.Is6() {
		kind = socksIPv6
	}
	b = append(append(b, kind), ip.AsSlice()...)
	return binary.BigEndian.AppendUint16(b, a.Port())
}

func replyOf(err error) byte {
	switch {
	case errors.Is(err, frame.ErrRefused):
		return replyRefused
	case errors.Is(err, frame.ErrDenied):
		return replyNotAllowed
	case errors.Is(err, errNoName), errors.Is(err, frame.ErrUnreachable):
		return replyUnreachable
	}
	return replyFailure
}
