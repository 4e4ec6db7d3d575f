package meter

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/net/proxy"
)

// Target is a server and how to reach it.
type Target struct {
	Addr string
	// Socks is the address of the SOCKS5 proxy to connect through; "" for none.
	Socks string
}

// dial connects to the server, and sets the deadline of the connection to limit
// from now.
func (t Target) dial(ctx context.Context, limit time.Duration) (*net.TCPConn, error) {
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	var below keeper
	if t.Socks == "" {
		if _, err := below.DialContext(ctx, "tcp", t.Addr); err != nil {
			return nil, err
		}
	} else if err := t.throughProxy(ctx, &below); err != nil {
		return nil, err
	}
	return below.conn, below.conn.SetDeadline(time.Now().Add(limit))
}

func (t Target) throughProxy(ctx context.Context, below *keeper) error {
	d, err := proxy.SOCKS5("tcp", t.Socks, nil, below)
	if err != nil {
		return err
	}
	through, ok := d.(proxy.ContextDialer)
	if !ok {
		return fmt.Errorf("a proxy's dialer is a %T", d)
	}
	_, err = through.DialContext(ctx, "tcp", t.Addr)
	return err
}

// keeper dials and remembers the TCP connection, which the dialer of a proxy does
// not return.
type keeper struct{ conn *net.TCPConn }

func (k *keeper) Dial(network, addr string) (net.Conn, error) {
	return k.DialContext(context.Background(), network, addr)
}

func (k *keeper) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		c.Close()
		return nil, errors.New("not a TCP connection")
	}
	k.conn = tcp
	return tcp, nil
}
