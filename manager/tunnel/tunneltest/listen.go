package tunneltest

import (
	"bufio"
	"fmt"
	"net"
	"testing"
)

// Listen accepts connections on the loopback interface until the test ends or the
// listener is closed, and serves each in a goroutine of its own.
func Listen(t testing.TB, serve func(net.Conn)) net.Listener {
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
			go serve(c)
		}
	}()
	return l
}

// Named starts a program that answers every line with its name in front. It returns
// the program's address.
func Named(t testing.TB, name string) *net.TCPAddr {
	t.Helper()
	l := Listen(t, func(c net.Conn) {
		defer c.Close()
		for in := bufio.NewScanner(c); in.Scan(); {
			fmt.Fprintln(c, name, in.Text())
		}
	})
	return l.Addr().(*net.TCPAddr)
}
