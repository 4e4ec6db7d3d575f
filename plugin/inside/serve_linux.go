package inside

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubectl-intercept/kubectl-intercept/manager/version"
	"github.com/kubectl-intercept/kubectl-intercept/netd/handover"
	"github.com/kubectl-intercept/kubectl-intercept/netd/route"
)

// dialTime bounds a dial to the program.
const dialTime = 1500 * time.Millisecond

// accept serves connections of the session, and of other processes of this user,
// until the listener is closed.
func (s *supervisor) accept(l net.Listener) {
	var mu sync.Mutex // held while the network or its owner changes
	var owner *handover.Conn
	for {
		raw, err := l.Accept()
		if err != nil {
			return
		}
		c := raw.(*net.UnixConn)
		go func() {
			defer c.Close()
			if !own(c) {
				return
			}
			h, err := handover.Greet(c, version.Version)
			if err != nil {
				return
			}
			s.serve(h, &mu, &owner)
			mu.Lock()
			defer mu.Unlock()
			if owner == h {
				owner = nil
				_ = s.network.close() // on an error, the next open closes what is left
				_ = s.control.send(message{Lost: true})
			}
		}()
	}
}

// serve answers the requests of one connection until it breaks. The connection that
// opened the network last owns the network.
func (s *supervisor) serve(h *handover.Conn, mu *sync.Mutex, owner **handover.Conn) {
	for {
		r, err := h.Receive()
		if err != nil {
			return
		}
		if r.Op == handover.OpDial || r.Op == handover.OpListen {
			go socketFor(h, r)
			continue
		}
		if err := r.Check(); err != nil {
			if h.Reply(r.ID, nil, nil, err) != nil {
				return
			}
			continue
		}
		mu.Lock()
		n, f, err := s.change(r, *owner == h)
		if r.Op == handover.OpOpen && err == nil {
			*owner = h
		}
		mu.Unlock()
		err = h.Reply(r.ID, n, f, err)
		if f != nil {
			f.Close()
		}
		if err != nil {
			return
		}
	}
}

// change opens, updates or closes the network, as the request asks. Owner says
// whether the request came from the connection that owns the network. The caller must
// close the file.
func (s *supervisor) change(r *handover.Request, owner bool) (*handover.Network, *os.File, error) {
	if r.Op == handover.OpClose {
		if !owner {
			return nil, nil, nil
		}
		return nil, nil, s.network.close()
	}
	if r.Op == handover.OpUpdate && !owner {
		return nil, nil, errors.New("update: the network is another session's")
	}
	// The TUN takes all of the program's traffic, so it has no conflicts itself. But
	// the program must also reach what the laptop reaches by its own routes. After a
	// refusal the session uses virtual addresses for the cluster's.
	if err := handover.Refuse(route.Conflicts(r.Config, s.laptop, s.files.resolvers())); err != nil {
		return nil, nil, err
	}
	if err := s.files.set(&r.Config.DNS); err != nil {
		return nil, nil, err
	}
	made := &handover.Network{Interface: device, Offload: s.network.offload, DNSMode: handover.DNSResolvConf,
		Resolvers: s.files.resolvers(), Version: version.Version}
	if r.Op == handover.OpUpdate {
		return made, nil, s.network.update(r.Config)
	}
	d, err := s.network.open(r.Config)
	if err != nil {
		return nil, nil, err
	}
	s.network.offload, made.Offload = d.Offload, d.Offload
	return made, d.File, nil
}

// own says whether the process at the other end belongs to this user.
func own(c *net.UnixConn) bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	same := false
	err = raw.Control(func(fd uintptr) {
		cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
		same = err == nil && int(cred.Uid) == os.Geteuid()
	})
	return err == nil && same
}

// socketFor replies with a socket that is connected to a port of the program on localhost,
// or that listens there.
func socketFor(h *handover.Conn, r *handover.Request) {
	socket := dial
	if r.Op == handover.OpListen {
		socket = listen
	}
	f, err := socket(r.Dial)
	_ = h.Reply(r.ID, nil, f, err) // the session may have closed the connection
	if f != nil {
		f.Close()
	}
}

// listen takes a port of 127.0.0.1 before the program does.
func listen(p *handover.Port) (*os.File, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	at := net.JoinHostPort("127.0.0.1", strconv.Itoa(int(p.Number)))
	var s io.Closer
	var err error
	if p.Network == "udp" {
		s, err = net.ListenPacket("udp", at)
	} else {
		var lc net.ListenConfig
		lc.SetMultipathTCP(false) // bytes are moved by the kernel where both ends are TCP
		s, err = lc.Listen(context.Background(), "tcp", at)
	}
	if err != nil {
		return nil, err
	}
	defer s.Close()
	return s.(interface{ File() (*os.File, error) }).File()
}

// dial tries 127.0.0.1 and then ::1: some programs listen on the IPv6 address only.
func dial(p *handover.Port) (*os.File, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), dialTime)
	defer cancel()
	var d net.Dialer
	d.SetMultipathTCP(false)
	port := strconv.Itoa(int(p.Number))
	c, err := d.DialContext(ctx, p.Network, net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		if c6, err6 := d.DialContext(ctx, p.Network, net.JoinHostPort("::1", port)); err6 == nil {
			c, err = c6, nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("dial the program: %w", err)
	}
	defer c.Close()
	return c.(interface{ File() (*os.File, error) }).File()
}
