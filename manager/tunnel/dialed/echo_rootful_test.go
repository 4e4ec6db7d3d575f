//go:build rootful && linux

package dialed

import (
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/datagram"
)

// TestPing sends real echoes in a network namespace of its own, where groups
// may have ping sockets as the chart lets them.
func TestPing(t *testing.T) {
	runtime.LockOSThread() // and the thread ends with the test
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if _, err := dialEcho(netip.MustParseAddr("127.0.0.1")); err == nil {
		t.Error("a ping socket without the sysctl")
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ping_group_range", []byte("0 2147483647"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"127.0.0.1", "::1"} {
		c, err := dialEcho(netip.MustParseAddr(host))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(20 * time.Second))
		for seq := range uint16(3) {
			if _, err := c.Write(datagram.AppendEcho(nil, seq, []byte("payload"))); err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 100)
			n, err := c.Read(buf)
			if err != nil {
				t.Fatalf("%s: %v", host, err)
			}
			if got, payload, err := datagram.ParseEcho(buf[:n]); err != nil || got != seq || string(payload) != "payload" {
				t.Errorf("%s: %d %q, %v", host, got, payload, err)
			}
		}
	}
}
