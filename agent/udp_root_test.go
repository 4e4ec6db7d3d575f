//go:build rootful

package main

import (
	"bytes"
	"net"
	"strings"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/datagram"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/line"
)

// datagramApp answers datagrams with a name in front.
func (l *lab) datagramApp(addr string) {
	c := l.pod.listenUDP(addr)
	go func() {
		buf := make([]byte, datagram.Max)
		for {
			n, from, err := c.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			c.WriteToUDPAddrPort(append([]byte("app "), buf[:n]...), from)
		}
	}()
}

func serveDatagrams(c *line.Conn, o *frame.Open) {
	buf := make([]byte, datagram.Max)
	p := o.First
	for {
		if datagram.Write(c, append([]byte("laptop "), p...)) != nil {
			return
		}
		n, err := datagram.Read(c, buf)
		if err != nil {
			return
		}
		p = buf[:n]
	}
}

func askUDP(c net.Conn, p string) string {
	if _, err := c.Write([]byte(p)); err != nil {
		return err.Error()
	}
	buf := make([]byte, datagram.Max)
	n, err := c.Read(buf)
	if err != nil {
		return err.Error()
	}
	return string(buf[:n])
}

func TestUDP(t *testing.T) {
	l, m, r, _ := setup(t)
	r.set(nil, serveDatagrams)
	l.datagramApp(podIP + ":53")
	l.datagramApp("[" + podIP6 + "]:53")
	hosts := []string{podIP, "[" + podIP6 + "]"}
	spaces := []*space{l.caller, l.pod}
	var conns []net.Conn
	for _, s := range spaces {
		for _, h := range hosts {
			conns = append(conns, s.dial("udp", h+":53"))
		}
	}
	all := func(want string) {
		t.Helper()
		for _, c := range conns {
			for _, word := range []string{"one", "two"} {
				if got := askUDP(c, word); got != want+" "+word {
					t.Errorf("%s → %s: %q, want from %s", c.LocalAddr(), c.RemoteAddr(), got, want)
				}
			}
		}
	}
	all("app")
	m.capture(tcpPort(80), udpPort(53)) // conntrack knows them from here on
	all("laptop")
	m.capture(tcpPort(80))
	all("app") // the same sockets go back
	m.capture(tcpPort(80), udpPort(53))
	all("laptop")
	big := strings.Repeat("x", 40000)
	if got := askUDP(conns[0], big); got != "laptop "+big {
		t.Errorf("large datagram: %d bytes", len(got))
	}
	m.reported("counters", func(r *rpc.AgentReport) bool {
		p := r.Routes[0] // the lower number
		return p.Protocol == rpc.Protocol_UDP && p.Connections == 4 && p.BytesIn == 8*3+40000
	})
	o := r.seen()[0]
	if o.Protocol != frame.UDP || o.Port != 53 || !bytes.Equal(o.First, []byte("one")) ||
		o.Source != conns[0].LocalAddr().(*net.UDPAddr).AddrPort() {
		t.Errorf("open frame: %+v", o)
	}
}

func TestUDPFallback(t *testing.T) {
	l, m, r, _ := setup(t)
	r.set(nil, serveDatagrams)
	l.datagramApp(podIP + ":53")
	r.say(frame.Refused)
	m.capture(udpPort(53))
	c := l.caller.dial("udp", podIP+":53")
	for _, word := range []string{"one", "two"} {
		if got := askUDP(c, word); got != "app "+word {
			t.Errorf("refused: %q", got)
		}
	}
	// The laptop hears that its port is closed after it has taken the flow.
	r.set(func(*frame.Open) (frame.Verdict, bool) { return frame.Accepted, true }, func(c *line.Conn, _ *frame.Open) { c.Reset() })
	if got := askUDP(l.caller.dial("udp", podIP+":53"), "three"); got != "app three" {
		t.Errorf("closed: %q", got)
	}
	r.set(nil, serveDatagrams)
	p := udpPort(53)
	p.Routes[0].Relays = nil
	m.capture(p)
	if got := askUDP(l.caller.dial("udp", podIP+":53"), "x"); got != "app x" {
		t.Errorf("laptop is away: %q", got)
	}
	// When the laptop is back, flows that the application has go there.
	r.say(frame.Accepted)
	m.capture(udpPort(53))
	if got := askUDP(c, "y"); got != "laptop y" {
		t.Errorf("laptop is back: %q", got)
	}
}
