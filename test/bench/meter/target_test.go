package meter

import (
	"context"
	"io"
	"net"
	"testing"
)

// socks is a SOCKS5 proxy that leads to to, whatever it is asked for.
func socks(t *testing.T, to string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				var greeting [3]byte
				var request [10]byte
				_, _ = io.ReadFull(c, greeting[:])
				_, _ = c.Write([]byte{5, 0})
				_, _ = io.ReadFull(c, request[:])
				_, _ = c.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
				far, err := net.Dial("tcp", to)
				if err != nil {
					return
				}
				defer far.Close()
				go func() { _, _ = io.Copy(far, c) }()
				_, _ = io.Copy(c, far)
			}()
		}
	}()
	return l.Addr().String()
}

func TestSocks(t *testing.T) {
	to := serve(t, "me")
	through := Target{Addr: "192.0.2.1:7000", Socks: socks(t, to.Addr)}
	if name, err := Who(t.Context(), through); name != "me" || err != nil {
		t.Errorf("through a proxy: %q, %v", name, err)
	}
	if _, err := Who(t.Context(), Target{Addr: to.Addr, Socks: "127.0.0.1:1"}); err == nil {
		t.Error("through a proxy that is not there")
	}
}

func TestIdle(t *testing.T) {
	to := serve(t, "me")
	ctx, cancel := context.WithCancel(t.Context())
	ready := false
	if err := Idle(ctx, to, 3, func() { ready = true; cancel() }); err != nil || !ready {
		t.Errorf("Idle: ready %t, %v", ready, err)
	}
}
