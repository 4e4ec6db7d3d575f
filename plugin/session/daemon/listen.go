package daemon

import (
	"errors"
	"fmt"
	"net"
	"os"
)

// listen opens the socket. The caller must hold the lock: then a socket that exists
// was left by a process that crashed.
func listen(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("open the session's socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("open the session's socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, fmt.Errorf("open the session's socket: %w", err)
	}
	return ownListener{l}, nil
}

// ownListener accepts connections of this user only.
type ownListener struct{ net.Listener }

// Accept implements net.Listener.
func (l ownListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if u, ok := c.(*net.UnixConn); ok {
			if uid, err := peerUID(u); err == nil && uid == os.Getuid() {
				return c, nil
			}
		}
		c.Close()
	}
}
