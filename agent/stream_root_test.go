//go:build rootful

package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/line"
)

func TestHalfClose(t *testing.T) {
	l, m, r, _ := setup(t)
	l.application(":80")
	check := func(who string) {
		t.Helper()
		c := l.caller.dial("tcp", podIP+":80").(*net.TCPConn)
		fmt.Fprintln(c, "hello")
		c.CloseWrite()
		got, err := io.ReadAll(c)
		if want := who + " hello\n" + who + " heard 6\n"; string(got) != want || err != nil {
			t.Errorf("caller ends first: %q, %v, want %q", got, err, want)
		}
	}
	m.capture(tcpPort(80))
	check("laptop")
	r.say(frame.Refused)
	check("app")

	// The laptop ends first and still hears the caller.
	heard := make(chan string, 1)
	r.say(frame.Accepted)
	r.set(nil, func(c *line.Conn, _ *frame.Open) {
		c.CloseWrite()
		b, err := io.ReadAll(c)
		heard <- fmt.Sprint(string(b), err)
	})
	c := l.caller.dial("tcp", podIP+":80").(*net.TCPConn)
	if got, err := io.ReadAll(c); len(got) > 0 || err != nil {
		t.Errorf("laptop ends first: %q, %v", got, err)
	}
	fmt.Fprint(c, "late")
	c.CloseWrite()
	if got := <-heard; got != "late<nil>" {
		t.Errorf("the laptop heard %q after its own end", got)
	}
}

func TestReset(t *testing.T) {
	l, m, r, _ := setup(t)
	ended := make(chan error, 1)
	r.set(nil, func(c *line.Conn, o *frame.Open) {
		if bytes.Contains(o.First, []byte("reset")) {
			c.Reset()
			return
		}
		io.WriteString(c, "ready\n")
		_, err := io.Copy(io.Discard, c)
		ended <- err
	})
	m.capture(tcpPort(80))
	// From the laptop to the caller. The word may come too late for the Open frame:
	// repeat it until it does not.
	eventually(t, "the laptop resets", func() bool {
		c := l.caller.dial("tcp", podIP+":80")
		got := ask(c, "reset")
		if got == "ready" {
			c.Close()
			<-ended
			return false
		}
		if !strings.Contains(got, "reset by peer") {
			t.Fatalf("the laptop reset, the caller saw %q", got)
		}
		return true
	})
	// From the caller to the laptop.
	c := l.caller.dial("tcp", podIP+":80").(*net.TCPConn)
	if got := ask(c, "hello"); got != "ready" {
		t.Fatal(got)
	}
	c.SetLinger(0)
	c.Close()
	if err := <-ended; !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the caller reset, the laptop saw %v", err)
	}
}

func TestLeaveResetsTheLaptopsAndKeepsTheApplications(t *testing.T) {
	l, m, r, _ := setup(t)
	l.application(":80")
	m.capture(tcpPort(80))
	laptops := l.caller.dial("tcp", podIP+":80")
	if got := ask(laptops, "x"); got != "laptop x" {
		t.Fatal(got)
	}
	r.say(frame.Refused)
	applications := l.caller.dial("tcp", podIP+":80")
	if got := ask(applications, "x"); got != "app x" {
		t.Fatal(got)
	}
	m.leave()
	if _, err := laptops.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the laptop's connection ends with %v", err)
	}
	l.caller.expect(podIP+":80", "app")
	if got := ask(applications, "y"); got != "app y" {
		t.Errorf("the application's connection: %q", got)
	}
	if _, rules := l.pod.rules(); rules != 0 {
		t.Errorf("%d rules after leave", rules)
	}
	applications.Close()
	eventually(t, "no table once the last connection has ended", func() bool { tables, _ := l.pod.rules(); return tables == 0 })
}

// Hundreds of connections at once: the laptop gets every one, and few of them
// cost a full handshake.
func TestLoad(t *testing.T) {
	l, m, r, _ := setup(t)
	l.application(":80")
	m.capture(tcpPort(80))
	var wg sync.WaitGroup
	results := make(chan string, 300)
	for range cap(results) {
		wg.Go(func() { results <- ask(l.caller.dial("tcp", podIP+":80"), "x") })
	}
	wg.Wait()
	for range cap(results) {
		if got := <-results; got != "laptop x" {
			t.Fatalf("one of the connections: %q", got)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.resumed < r.accepted/2 {
		t.Errorf("%d of %d handshakes were resumed", r.resumed, r.accepted)
	}
}

func TestBulk(t *testing.T) {
	l, m, r, _ := setup(t)
	const size = 32 << 20
	sum := func(seed uint64) ([32]byte, io.Reader) {
		data := make([]byte, size)
		rand.NewChaCha8([32]byte{byte(seed)}).Read(data)
		return sha256.Sum256(data), bytes.NewReader(data)
	}
	up, upload := sum(1)
	down, download := sum(2)
	heard := make(chan [32]byte, 1)
	r.set(nil, func(c *line.Conn, o *frame.Open) {
		var wg sync.WaitGroup
		wg.Go(func() { io.Copy(c, download); c.CloseWrite() })
		defer wg.Wait()
		h := sha256.New()
		io.Copy(h, io.MultiReader(bytes.NewReader(o.First), c))
		heard <- [32]byte(h.Sum(nil))
	})
	m.capture(tcpPort(80))
	c := l.caller.dial("tcp", podIP+":80").(*net.TCPConn)
	go func() { io.Copy(c, upload); c.CloseWrite() }()
	h := sha256.New()
	if _, err := io.Copy(h, c); err != nil {
		t.Error(err)
	}
	if [32]byte(h.Sum(nil)) != down || <-heard != up {
		t.Error("bytes changed on the way")
	}
}

// listeningPorts are the TCP ports that sockets in the process's network
// namespace listen on.
func listeningPorts(t *testing.T, pid int) []int {
	t.Helper()
	var ports []int
	for _, file := range []string{"tcp", "tcp6"} {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, file))
		must(t, err)
		for line := range strings.Lines(string(b)) {
			f := strings.Fields(line)
			if len(f) > 3 && f[3] == "0A" {
				p, err := strconv.ParseInt(f[1][strings.LastIndex(f[1], ":")+1:], 16, 32)
				must(t, err)
				ports = append(ports, int(p))
			}
		}
	}
	return ports
}
