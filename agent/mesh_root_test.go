//go:build rootful

package main

import (
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"
)

// nft runs a script in the namespace, as a mesh's init container would.
func (s *space) nft(script string) {
	s.t.Helper()
	cmd := exec.Command("nft", "-f", "-")
	cmd.Stdin = strings.NewReader(script)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	s.do(func() {
		if err := cmd.Run(); err != nil {
			s.t.Fatalf("nft: %v: %s", err, out.String())
		}
	})
}

const meshRules = `table ip mesh {
	chain wire { type nat hook prerouting priority dstnat; tcp dport 80 redirect to :15006; }
}`

// A mesh redirects what comes from the wire, whichever of mesh and agent was there
// first. What its proxy passes on over the loopback is captured.
func TestMesh(t *testing.T) {
	for _, first := range []string{"mesh", "agent"} {
		t.Run(first+" first", func(t *testing.T) {
			l, m, r, _ := setup(t)
			l.application(":80")
			proxy := l.pod.listen(":15006")
			through := make(chan struct{}, 8)
			go func() {
				for {
					c, err := proxy.Accept()
					if err != nil {
						return
					}
					through <- struct{}{}
					up := l.pod.dial("tcp", podIP+":80")
					go func() { io.Copy(up, c); up.(*net.TCPConn).CloseWrite() }()
					go func() { io.Copy(c, up); c.Close() }()
				}
			}()
			if first == "mesh" {
				l.pod.nft(meshRules)
			}
			m.capture(tcpPort(80))
			if first == "agent" {
				l.pod.nft(meshRules)
			}
			l.caller.expect(podIP+":80", "laptop")
			if len(through) != 1 || len(r.seen()) != 1 {
				t.Errorf("%d connections through the proxy, %d at the laptop", len(through), len(r.seen()))
			}
			m.leave()
			l.caller.expect(podIP+":80", "app")
		})
	}
}

// Connections that the pod itself opens from a captured port are not captured.
func TestOwnConnectionsFromTheCapturedPort(t *testing.T) {
	l, m, r, _ := setup(t)
	ln := l.caller.listen(callerIP + ":9999")
	go func() {
		c, err := ln.Accept()
		if err == nil {
			talk(c.(*net.TCPConn), "outside", "")
		}
	}()
	outside := l.caller.listenUDP(callerIP + ":9999")
	go func() {
		buf := make([]byte, 100)
		for {
			n, from, err := outside.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			outside.WriteToUDPAddrPort(append([]byte("outside "), buf[:n]...), from)
		}
	}()
	m.capture(tcpPort(80), udpPort(53))
	l.pod.do(func() {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(podIP), Port: 80}, Timeout: patience}
		c, err := d.Dial("tcp", callerIP+":9999")
		must(t, err)
		defer c.Close()
		if got := ask(c, "x"); got != "outside x" {
			t.Errorf("TCP: %q", got)
		}
		d.LocalAddr = &net.UDPAddr{IP: net.ParseIP(podIP), Port: 53}
		u, err := d.Dial("udp", callerIP+":9999")
		must(t, err)
		defer u.Close()
		if got := askUDP(u, "y"); got != "outside y" {
			t.Errorf("UDP: %q", got)
		}
	})
	if n := len(r.seen()); n != 0 {
		t.Errorf("%d flows reached the laptop", n)
	}
}
