package run

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/netd/handover"
)

// dialTime bounds reaching the program.
const dialTime = 5 * time.Second

// publisher connects ports of this machine's localhost with the program's.
type publisher struct {
	client    *handover.Client // nil if there is nothing to publish
	listeners []net.Listener
}

// publish listens on this machine's localhost.
func publish(socket string, ports []Published) (*publisher, error) {
	p := &publisher{}
	if len(ports) == 0 {
		return p, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), dialTime)
	defer cancel()
	var err error
	if p.client, err = handover.Dial(ctx, socket); err != nil {
		return nil, fmt.Errorf("publish ports: %w", err)
	}
	for _, port := range ports {
		if err := p.listen(port); err != nil {
			p.close()
			return nil, fmt.Errorf("--publish %d:%d: %w", port.Local, port.Port, err)
		}
	}
	return p, nil
}

// listen takes a port of both localhosts; a machine may have no IPv6.
func (p *publisher) listen(port Published) error {
	at := strconv.Itoa(int(port.Local))
	var lc net.ListenConfig
	lc.SetMultipathTCP(false) // bytes are moved by the kernel where both ends are TCP
	four, err := lc.Listen(context.Background(), "tcp", net.JoinHostPort("127.0.0.1", at))
	if err != nil {
		return err
	}
	p.listeners = append(p.listeners, four)
	go p.serve(four, port.Port)
	if six, err := lc.Listen(context.Background(), "tcp", net.JoinHostPort("::1", at)); err == nil {
		p.listeners = append(p.listeners, six)
		go p.serve(six, port.Port)
	}
	return nil
}

func (p *publisher) serve(l net.Listener, port uint16) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go p.join(c.(*net.TCPConn), port)
	}
}

// join connects; where nothing listens inside, the caller gets a reset.
func (p *publisher) join(c *net.TCPConn, port uint16) {
	near := tunnel.NewTCP(c)
	ctx, cancel := context.WithTimeout(context.Background(), dialTime)
	defer cancel()
	far, err := p.client.DialInside(ctx, handover.Port{Network: "tcp", Number: port})
	if err != nil {
		near.Reset()
		return
	}
	tcp, ok := far.(*net.TCPConn)
	if !ok {
		far.Close()
		near.Reset()
		return
	}
	_ = tunnel.Pipe(near, tunnel.NewTCP(tcp), nil) // both ends know
}

func (p *publisher) close() {
	for _, l := range p.listeners {
		l.Close()
	}
	if p.client != nil {
		_ = p.client.Close() // it has nothing to undo
	}
}
