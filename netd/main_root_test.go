//go:build rootful

package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/netd/handover"
)

// program is the intercept-netd that the tests run.
var program string

// TestMain builds the program, or is what a test runs on its laptop.
func TestMain(m *testing.M) {
	os.Exit(func() int {
		if len(os.Args) == 3 && os.Args[1] == "session" {
			return report(serveOrders(os.Args[2]))
		}
		if len(os.Args) == 3 && os.Args[1] == "dial" {
			c, err := dialHandover(os.Args[2])
			if err == nil {
				fmt.Println(c.Release())
				c.Close()
			}
			return report(err)
		}
		if len(os.Args) == 3 && os.Args[1] == "udp" {
			return report(exchange(os.Args[2], []byte("ping")))
		}
		if len(os.Args) > 3 && os.Args[1] == "activate" {
			return report(activate(os.Args[2], os.Args[3:]))
		}
		if len(os.Args) == 4 && os.Args[1] == "udp" {
			return report(exchange(os.Args[2], question(os.Args[3])))
		}
		dir, err := os.MkdirTemp("", "netd")
		if err != nil {
			return report(err)
		}
		defer os.RemoveAll(dir)
		if err := os.Chmod(dir, 0o755); err != nil {
			return report(err)
		}
		if program, err = build(dir); err != nil {
			return report(err)
		}
		return m.Run()
	}())
}

func report(err error) int {
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// exchange sends a datagram and waits for the answer.
func exchange(addr string, message []byte) error {
	c, err := net.Dial("udp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if _, err := c.Write(message); err != nil {
		return err
	}
	b := make([]byte, 10)
	if n, err := c.Read(b); err != nil || string(b[:n]) != "pong" {
		return fmt.Errorf("read %q: %v", b[:n], err)
	}
	return nil
}

// question asks for the address of a name (RFC 1035, 4.1).
func question(name string) []byte {
	b := []byte{0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0}
	for label := range strings.SplitSeq(name, ".") {
		b = append(append(b, byte(len(label))), label...)
	}
	return append(b, 0, 0, 1, 0, 1)
}

func ctx() context.Context { return context.Background() }

func dialHandover(path string) (*handover.Client, error) { return handover.Dial(ctx(), path) }

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
