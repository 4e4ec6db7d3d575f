// Package server is intercept-netd: it listens for sessions, gives each its
// network, and undoes it when the session is gone.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/netd/handover"
)

// Options of a Server.
type Options struct {
	Run     string // root's folder for journal and locks; it must exist
	Release string
	// UID and GID may connect, as root may; -1 is nobody.
	UID, GID int
	// Once ends the server when the last of its clients with a network is gone.
	Once bool
	// Idle ends it after so long without a client; 0 is never.
	Idle time.Duration
	Log  *slog.Logger
}

type server struct {
	Options
	wg     sync.WaitGroup
	change sync.Mutex // one change of the machine at a time

	mu      sync.Mutex
	clients int
	served  bool
	timer   *time.Timer
	end     func()
	offered map[string]offer // by token; who takes one carries it
}

// Serve answers until ctx ends or, as Options say, there is nothing more to
// do. It closes the listener, and returns when everything is undone.
func Serve(ctx context.Context, l *net.UnixListener, o Options) error {
	if err := Recover(o.Run, o.Log); err != nil {
		o.Log.Error("cannot undo what a killed intercept-netd left", "error", err)
	}
	ctx, end := context.WithCancel(ctx)
	defer end()
	if o.Idle == 0 {
		o.Idle = math.MaxInt64
	}
	s := &server{Options: o, end: end, timer: time.AfterFunc(o.Idle, end), offered: map[string]offer{}}
	defer s.timer.Stop()
	defer context.AfterFunc(ctx, func() { l.Close() })()
	defer s.wg.Wait()
	for {
		c, err := l.AcceptUnix()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			end()
			return fmt.Errorf("accept: %w", err)
		}
		s.came()
		s.wg.Go(func() {
			defer s.went()
			defer c.Close()
			stop := context.AfterFunc(ctx, func() { c.Close() })
			defer stop()
			if err := s.serve(c); err != nil {
				s.Log.Warn("client", "error", err)
			}
		})
	}
}

func (s *server) came() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clients++
	s.timer.Stop()
}

func (s *server) went() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.clients--; s.clients > 0 {
		return
	}
	if s.Once && s.served {
		s.end()
		return
	}
	s.timer.Reset(s.Idle)
}

// admit says why a peer may not talk to netd.
func (s *server) admit(c *net.UnixConn) error {
	uid, groups, err := peer(c)
	if err != nil {
		return fmt.Errorf("ask who connects: %w", err)
	}
	if uid == 0 || int(uid) == s.UID || s.GID >= 0 && slices.Contains(groups, uint32(s.GID)) {
		return nil
	}
	return fmt.Errorf("uid %d may not use intercept-netd", uid)
}

// serve answers one client until it is gone.
func (s *server) serve(c *net.UnixConn) error {
	if err := s.admit(c); err != nil {
		return err
	}
	conn, err := handover.Greet(c, s.Release)
	if err != nil {
		return fmt.Errorf("greet: %w", err)
	}
	if conn.Token() != "" {
		return s.carry(conn)
	}
	client := &session{run: s.Run, release: s.Release, log: s.Log, offer: s.offer}
	defer func() {
		s.change.Lock()
		defer s.change.Unlock()
		if err := client.undo(); err != nil {
			s.Log.Error("cannot undo", "error", err)
		}
	}()
	for {
		r, err := conn.Receive()
		if err != nil {
			return nil // it is gone, or was cut off
		}
		n, f, err := s.answer(client, r)
		if err != nil {
			s.Log.Warn("request", "op", r.Op, "error", err)
		}
		err = conn.Reply(r.ID, n, f, err)
		if f != nil {
			f.Close() // the device lives as long as the session
		}
		if err != nil {
			return fmt.Errorf("answer: %w", err)
		}
	}
}

func (s *server) answer(client *session, r *handover.Request) (n *handover.Network, f *os.File, err error) {
	if err := r.Check(); err != nil {
		return nil, nil, err
	}
	s.change.Lock()
	defer s.change.Unlock()
	switch r.Op {
	case handover.OpOpen:
		if err := Recover(s.Run, s.Log); err != nil {
			return nil, nil, fmt.Errorf("undo what a killed intercept-netd left: %w", err)
		}
		s.mu.Lock()
		s.served = true
		s.mu.Unlock()
		return client.open(r.Config)
	case handover.OpUpdate:
		n, err = client.update(r.Config)
		return n, nil, err
	case handover.OpClose:
		return nil, nil, client.undo()
	}
	return nil, nil, errors.ErrUnsupported
}
