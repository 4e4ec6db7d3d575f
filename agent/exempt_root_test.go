//go:build rootful

package main

import (
	"net"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/kubectl-intercept/kubectl-intercept/agent/capture"
)

// TestExempt has a mesh that redirects all that the pod connects to. Connections of
// the agent's group, of either family, are exempt from it for as long as the agent
// lives, and no others are.
func TestExempt(t *testing.T) {
	const group = 4711
	l := newLab(t)
	outside := map[string]net.Listener{callerIP: l.caller.listen(callerIP + ":443"), "[" + callerIP6 + "]": l.caller.listen("[" + callerIP6 + "]:443")}
	proxy := l.pod.listen(":15001")
	for who, ln := range outside {
		go greet(ln, "outside "+who)
	}
	go greet(proxy, "proxy")
	var table *capture.Table
	var needed bool
	var err error
	exempt := func() {
		l.pod.do(func() {
			if table, err = capture.Open(); err == nil {
				needed, err = table.Exempt(group)
			}
		})
		must(t, err)
	}
	exempt()
	if tables, _ := l.pod.rules(); needed || tables != 0 {
		t.Errorf("needed %t and %d tables where nobody redirects", needed, tables)
	}
	table.Close()
	l.pod.nft(`table inet mesh {
		chain output { type nat hook output priority -100; oif "lo" accept; meta l4proto tcp redirect to :15001; }
	}`)
	exempt()
	if !needed {
		t.Error("the mesh was not noticed")
	}
	for who := range outside {
		if got := l.greeting(who+":443", group); got != "outside "+who {
			t.Errorf("the agent's group reaches %q at %s", got, who)
		}
		if got := l.greeting(who+":443", 0); got != "proxy" {
			t.Errorf("the application reaches %q at %s", got, who)
		}
	}
	table.Close()
	if got := l.greeting(callerIP+":443", group); got != "proxy" {
		t.Errorf("%q is reached without the agent", got)
	}

	// An agent beside a container has one port exempt, and there may be two such agents.
	for addr, name := range map[string]string{callerIP + ":17843": "manager", "[" + callerIP6 + "]:17843": "manager"} {
		go greet(l.caller.listen(addr), name)
	}
	var tables []*capture.Table
	for _, container := range []string{"web", "db"} {
		l.pod.do(func() {
			if table, err = capture.Open(); err == nil {
				needed, err = table.ExemptPort(container, 17843)
			}
		})
		must(t, err)
		tables = append(tables, table)
	}
	for addr, want := range map[string]string{callerIP + ":17843": "manager", "[" + callerIP6 + "]:17843": "manager", callerIP + ":443": "proxy"} {
		if got := l.greeting(addr, 0); got != want {
			t.Errorf("%q is reached at %s, want %s", got, addr, want)
		}
	}
	tables[0].Close()
	if got := l.greeting(callerIP+":17843", 0); got != "manager" {
		t.Errorf("%q is reached after the other agent's end", got)
	}
	tables[1].Close()
	if got := l.greeting(callerIP+":17843", 0); got != "proxy" {
		t.Errorf("%q is reached after both agents' end", got)
	}
}

func greet(ln net.Listener, name string) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		c.Write([]byte(name))
		c.Close()
	}
}

// greeting is what a process of a group in the pod reads at an address. Groups
// are a thread's own in the kernel, and the thread ends with its goroutine.
func (l *lab) greeting(addr string, gid int) string {
	l.t.Helper()
	var text strings.Builder
	l.pod.do(func() {
		if _, _, errno := syscall.RawSyscall(unix.SYS_SETFSGID, uintptr(gid), 0, 0); int(errno) != 0 {
			l.t.Error(errno)
			return
		}
		c, err := net.Dial("tcp", addr)
		if err != nil {
			l.t.Error(err)
			return
		}
		defer c.Close()
		buf := make([]byte, 100)
		n, _ := c.Read(buf) // none is a wrong answer
		text.Write(buf[:n])
	})
	return text.String()
}
