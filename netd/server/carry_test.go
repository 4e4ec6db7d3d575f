//go:build unix

package server

import (
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/netd/handover"
)

// echoes is a device that answers each packet.
type echoes struct {
	packets chan []byte
	once    sync.Once
	closed  chan struct{}
}

func (q *echoes) Read(b []byte) (int, error) {
	select {
	case p := <-q.packets:
		return copy(b, p), nil
	case <-q.closed:
		return 0, os.ErrClosed
	}
}

func (q *echoes) Write(b []byte) (int, error) {
	select {
	case q.packets <- append([]byte("echo "), b...):
		return len(b), nil
	case <-q.closed:
		return 0, os.ErrClosed
	}
}

func (q *echoes) Close() error { q.once.Do(func() { close(q.closed) }); return nil }

// netd answers an open as on Windows: device and routes are not real, but what
// it does for the packets is.
func TestCarry(t *testing.T) {
	s := &server{Options: Options{UID: os.Getuid(), GID: -1, Log: slog.New(slog.DiscardHandler)}, offered: map[string]offer{}}
	path := filepath.Join(t.TempDir(), "netd.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: path})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	device := &echoes{packets: make(chan []byte, 16), closed: make(chan struct{})}
	token, withdraw := s.offer(device)
	served := make(chan error, 4)
	go func() {
		for first := true; ; first = false {
			c, err := l.AcceptUnix()
			if err != nil {
				return
			}
			if first { // the session's own
				go answer(t, c, token)
				continue
			}
			go func() {
				defer c.Close()
				served <- s.serve(c)
			}()
		}
	}()
	client, err := handover.Dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	_, tun, err := client.Open(t.Context(), handover.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer tun.Close()
	if _, err := tun.Device.Write([]byte("packet")); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, handover.MaxPacket)
	if n, err := tun.Device.Read(b); err != nil || string(b[:n]) != "echo packet" {
		t.Fatalf("got %q, %v", b[:n], err)
	}
	// Nobody else gets them, not even by the same name.
	_, other, err := client.Open(t.Context(), handover.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Device.Read(b); err != io.EOF {
		t.Errorf("a second one reads: %v", err)
	}
	other.Close()
	if err := <-served; err == nil {
		t.Error("a second one is served")
	}
	// Without the network there are no packets, though the session holds on.
	withdraw()
	if _, err := tun.Device.Read(b); err != io.EOF {
		t.Errorf("got %v, want EOF", err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	<-device.closed
	if len(s.offered) > 0 {
		t.Errorf("%d are offered still", len(s.offered))
	}
}

// What nobody fetched goes with the network.
func TestWithdraw(t *testing.T) {
	s := &server{offered: map[string]offer{}}
	token, withdraw := s.offer(&echoes{})
	if again, end := s.offer(&echoes{}); again == token || len(token) < 26 {
		t.Errorf("tokens %q and %q", token, again)
	} else {
		end()
	}
	o := s.offered[token]
	withdraw()
	if o.ctx.Err() != context.Canceled || len(s.offered) > 0 {
		t.Errorf("%v, %v", o.ctx.Err(), s.offered)
	}
}

func answer(t *testing.T, c *net.UnixConn, token string) {
	defer c.Close()
	conn, err := handover.Greet(c, "1.2.3")
	if err != nil {
		t.Error(err)
		return
	}
	for {
		r, err := conn.Receive()
		if err != nil {
			return
		}
		if conn.Reply(r.ID, &handover.Network{Packets: token}, nil, nil) != nil {
			return
		}
	}
}
