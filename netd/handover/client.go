package handover

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"
)

// patience is how long netd may take to greet, and by default to undo.
const patience = 10 * time.Second

// ErrGone says that netd ended, and everything that it did with it.
var ErrGone = errors.New("intercept-netd is gone")

// Client is a session's connection to netd. Its methods may be called from
// several goroutines.
type Client struct {
	// Undo is how long Close waits for netd. Nobody changes it after the first request.
	Undo time.Duration

	conn    *net.UnixConn
	path    string
	release string
	done    chan struct{}

	mu      sync.Mutex
	last    uint64
	waiting map[uint64]chan answer
}

type answer struct {
	reply
	file *os.File
}

// Dial connects to the netd at a socket and agrees on the version. The error
// may be a *VersionError. The connection outlives ctx.
func Dial(ctx context.Context, socketPath string) (*Client, error) {
	conn, release, err := greet(ctx, socketPath, "")
	if err != nil {
		return nil, err
	}
	c := &Client{Undo: patience, conn: conn, path: socketPath, release: release, done: make(chan struct{}), waiting: map[uint64]chan answer{}}
	go c.receive()
	return c, nil
}

// greet connects, for the packets of a network if they are named.
func greet(ctx context.Context, path, packets string) (conn *net.UnixConn, release string, err error) {
	raw, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
	if err != nil {
		return nil, "", fmt.Errorf("dial intercept-netd: %w", err)
	}
	conn = raw.(*net.UnixConn)
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Now()) })
	conn.SetDeadline(time.Now().Add(patience))
	var h hello
	if err = write(conn, hello{Protocol: Protocol, Packets: packets}); err == nil {
		err = read(conn, &h)
	}
	switch {
	case !stop():
		err = ctx.Err()
	case err == nil && h.Protocol != Protocol:
		err = &VersionError{Protocol: h.Protocol, Release: h.Release}
	}
	if err != nil {
		conn.Close()
		return nil, "", fmt.Errorf("greet intercept-netd: %w", err)
	}
	conn.SetDeadline(time.Time{})
	return conn, h.Release, nil
}

// Release is netd's version.
func (c *Client) Release() string { return c.release }

// Update changes the network to config. After an error it is as it was.
func (c *Client) Update(ctx context.Context, config Config) (*Network, error) {
	a, err := c.ask(ctx, Request{Op: OpUpdate, Config: &config})
	if err != nil {
		return nil, err
	}
	if a.Network == nil {
		return nil, errors.New("intercept-netd: answered without a network")
	}
	return a.Network, nil
}

// Close lets netd undo everything and returns when it has.
func (c *Client) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), c.Undo)
	defer cancel()
	_, err := c.ask(ctx, Request{Op: OpClose})
	if errors.Is(err, ErrGone) {
		err = nil
	}
	c.conn.Close()
	<-c.done
	return err
}

// Done is closed when netd is gone or the Client closed.
func (c *Client) Done() <-chan struct{} { return c.done }

func (c *Client) ask(ctx context.Context, r Request) (answer, error) {
	ch := make(chan answer, 1)
	c.mu.Lock()
	c.last++
	id := c.last
	c.waiting[id] = ch
	c.conn.SetWriteDeadline(time.Now().Add(patience))
	r.ID = id
	err := write(c.conn, r)
	c.mu.Unlock()
	if err != nil {
		c.forget(id)
		select {
		case <-c.done:
			return answer{}, ErrGone
		default:
			return answer{}, fmt.Errorf("ask intercept-netd: %w", err)
		}
	}
	var a answer
	select {
	case a = <-ch:
	case <-c.done:
		select {
		case a = <-ch:
		default:
			return answer{}, ErrGone
		}
	case <-ctx.Done():
		if !c.forget(id) {
			if a = <-ch; a.file != nil {
				a.file.Close()
			}
		}
		return answer{}, fmt.Errorf("ask intercept-netd: %w", ctx.Err())
	}
	switch {
	case len(a.Refused) > 0:
		err = Refuse(a.Refused)
	case a.Taken:
		err = fmt.Errorf("intercept-netd: %w", ErrTaken)
	case a.Error != "":
		err = errors.New("intercept-netd: " + a.Error)
	default:
		return a, nil
	}
	if a.file != nil {
		a.file.Close()
	}
	return answer{}, err
}

// forget says that nobody waits for the answer; false when it is there.
func (c *Client) forget(id uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, was := c.waiting[id]
	delete(c.waiting, id)
	return was
}

func (c *Client) receive() {
	defer close(c.done)
	defer c.conn.Close()
	for {
		var a answer
		var err error
		if a.file, err = readFile(c.conn, &a.reply); err != nil {
			return
		}
		c.mu.Lock()
		ch := c.waiting[a.ID]
		delete(c.waiting, a.ID)
		if ch != nil {
			ch <- a // has room for one
		}
		c.mu.Unlock()
		if ch == nil && a.file != nil {
			a.file.Close()
		}
	}
}
