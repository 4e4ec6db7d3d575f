package daemon

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/session"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/access"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/socket"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
)

// relogin is a laptop with a session that serves an intercept.
func relogin(t *testing.T) (*cluster, *machine, *session.Client, *socket.Status) {
	c := newCluster(t)
	m := newMachine(t, c.factory())
	client, s := m.mustEnsure()
	c.put(intercept(s.Session, 80, 8080))
	if _, err := client.Track(context.Background(), "shop", "quote", state.Program{}); err != nil {
		t.Fatal(err)
	}
	return c, m, client, s
}

func (m *machine) status(c *session.Client) *socket.Status {
	m.t.Helper()
	s, err := c.Status(context.Background())
	if err != nil {
		m.t.Fatal(err)
	}
	return s
}

// The session notices by itself that the kubeconfig has a new token: at its requests
// to the API server, and when its carriers break.
func TestTokenReplaced(t *testing.T) {
	c, m, client, before := relogin(t)
	other := intercept(before.Session, 80, 8080)
	other.Name = "other"
	c.put(other)
	c.write(*m.f.KubeConfig, map[string]any{"token": "fresh"})
	wait(t, "all carriers", func() bool { return m.status(client).Carriers == carriers })
	c.login(map[string]string{"fresh": "jane"})
	carried := c.carriers()
	if _, err := client.Track(context.Background(), "shop", "other", state.Program{}); err != nil {
		t.Fatalf("the session asks with the former token: %v", err)
	}
	if n := c.carriers(); n != carried {
		t.Errorf("%d carriers were made anew for a token", n-carried)
	}
	c.login(map[string]string{"fresher": "jane"})
	c.cut()
	wait(t, "the rejection", func() bool { return m.status(client).Rejected })
	if s := m.status(client); !strings.Contains(s.LastError, "log in to the cluster again") {
		t.Errorf("last error %q", s.LastError)
	}
	c.write(*m.f.KubeConfig, map[string]any{"token": "fresher"})
	wait(t, "carriers", func() bool { s := m.status(client); return s.Connected && !s.Rejected && s.LastError == "" })
	if s := m.status(client); s.PID != before.PID || s.Session != before.Session || len(s.Intercepts) != 2 {
		t.Errorf("status %+v", s)
	}
}

// The new credentials may be another user's, from the kubeconfig or from a command.
// Then the session ends, and the next session is that user's.
func TestAnotherUserIsAnotherSession(t *testing.T) {
	for _, valid := range []bool{true, false} {
		c, m, _, before := relogin(t)
		c.write(*m.f.KubeConfig, map[string]any{"token": "joe"})
		if c.login(map[string]string{"joe": "joe"}); valid {
			c.login(map[string]string{"joe": "joe", "jane": "jane"})
		}
		client, after := m.mustEnsure()
		if after.User != "joe" || after.Session == before.Session || len(after.Intercepts) != 0 {
			t.Errorf("after a command of joe: %+v", after)
		}
		if n := len(c.sessions()); valid && n != 1 {
			t.Errorf("%d sessions, jane's ought to be gone", n)
		}
		c.write(*m.f.KubeConfig, map[string]any{"token": "jim"})
		c.login(map[string]string{"jim": "jim"})
		c.cut()
		wait(t, "the end", func() bool {
			_, err := client.Status(context.Background())
			return errors.Is(err, session.ErrNotRunning)
		})
	}
}

// moved serves the cluster at an address, with another certificate.
func (c *cluster) moved(to string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		c.t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		c.t.Fatal(err)
	}
	c.stop()
	l, err := net.Listen("tcp", to)
	if err != nil {
		c.t.Fatal(err)
	}
	c.server = httptest.NewUnstartedServer(c)
	c.server.Listener.Close()
	c.server.Listener = l
	c.server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	c.server.StartTLS()
	c.t.Cleanup(func() { c.server.CloseClientConnections(); c.server.Close() })
}

// The API server comes back elsewhere with another certificate, as one on this
// machine may, and it is the same cluster.
func TestServerMoves(t *testing.T) {
	c, m, client, before := relogin(t)
	c.moved("127.0.0.1:0")
	c.write(*m.f.KubeConfig, map[string]any{"token": "jane"})
	wait(t, "carriers", func() bool { s := m.status(client); return s.Connected && s.Server == c.server.URL })
	if s := m.status(client); s.Session != before.Session || s.PID != before.PID {
		t.Errorf("status %+v", s)
	}
	if _, s := m.mustEnsure(); s.Session != before.Session {
		t.Errorf("a command makes another session: %+v", s)
	}
}

// A cluster that was made anew has the same name, and knows nothing of the
// session.
func TestClusterMadeAnew(t *testing.T) {
	former, m, client, before := relogin(t)
	c := newCluster(t)
	former.stop()
	c.moved(former.server.Listener.Addr().String())
	c.write(*m.f.KubeConfig, map[string]any{"token": "jane"})
	wait(t, "the end", func() bool {
		_, err := client.Status(context.Background())
		return errors.Is(err, session.ErrNotRunning)
	})
	if _, s := m.mustEnsure(); s.Session == before.Session || s.Server != before.Server || len(s.Intercepts) != 0 {
		t.Errorf("status %+v", s)
	}
}

// Nobody answers for long: the session ends, and a successor goes on where it
// stopped.
func TestEndsWhenTheClusterIsGone(t *testing.T) {
	c, m, client, before := relogin(t)
	if err := client.Replace(context.Background()); err != nil {
		t.Fatal(err)
	}
	m.times.gone = 200 * time.Millisecond
	client, _ = m.mustEnsure()
	c.login(nil)
	c.cut()
	wait(t, "the end", func() bool {
		_, err := client.Status(context.Background())
		return errors.Is(err, session.ErrNotRunning)
	})
	m.times.gone = time.Hour
	c.login(map[string]string{"jane": "jane"})
	client, s := m.mustEnsure()
	wait(t, "the intercept", func() bool { return len(m.status(client).Intercepts) == 1 })
	if s.Session != before.Session {
		t.Errorf("session %s became %s", before.Session, s.Session)
	}
}

// What passes while this machine has no network is not the cluster's silence.
func TestStaysWithoutNetwork(t *testing.T) {
	c, m, client, _ := relogin(t)
	if err := client.Replace(context.Background()); err != nil {
		t.Fatal(err)
	}
	var away atomic.Bool
	away.Store(true)
	m.times.gone = 200 * time.Millisecond
	m.sources = func(to []netip.Addr) []netip.Addr {
		if away.Load() {
			return nil
		}
		return access.Sources(to)
	}
	client, _ = m.mustEnsure()
	wait(t, "the API server's address", func() bool { w, err := m.last.working(); return err == nil && w.access.Offline() })
	c.login(nil)
	c.cut()
	wait(t, "silence", func() bool { return time.Since(m.last.source.Heard()) > 10*m.times.gone })
	m.status(client)
	away.Store(false)
	wait(t, "the end", func() bool {
		_, err := client.Status(context.Background())
		return errors.Is(err, session.ErrNotRunning)
	})
}

// A session that has not come to its work yet ends when it is asked to.
func TestQuitWhileItStarts(t *testing.T) {
	c := newCluster(t)
	m := newMachine(t, c.factory())
	c.mute = make(chan struct{}, 16)
	if err := m.start(); err != nil {
		t.Fatal(err)
	}
	<-c.mute
	if err := session.NewClient(m.dir).Quit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if locked, err := m.dir.Locked(); locked || err != nil || m.dir.PID() != 0 {
		t.Errorf("locked %v, %v, process %d", locked, err, m.dir.PID())
	}
}

// plugin is a credential plugin. It prints the token in a file of its working folder,
// and records each run.
const plugin = `#!/bin/sh
echo run >> runs
echo "go to https://login.example" >&2
token=$(cat "$1") || exit 3
echo '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"'"$token$SUFFIX"'"}}'
`

// A session uses the token that the command's plugin gave. It runs the plugin again
// only when that token is rejected, in the command's folder and with the command's
// environment. Errors of the plugin are in the status.
func TestCredentialPlugin(t *testing.T) {
	c := newCluster(t)
	c.login(map[string]string{"one!": "jane"})
	f := c.factory()
	dir := t.TempDir()
	t.Chdir(dir)
	t.Setenv("SUFFIX", "!")
	put := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	runs := func() int {
		b, _ := os.ReadFile(filepath.Join(dir, "runs"))
		return strings.Count(string(b), "run")
	}
	put("plugin", plugin)
	put("token", "one")
	c.write(*f.KubeConfig, map[string]any{"exec": map[string]any{"apiVersion": "client.authentication.k8s.io/v1",
		"command": filepath.Join(dir, "plugin"), "args": []string{"token"}, "interactiveMode": "IfAvailable"}})
	m := newMachine(t, f)
	client, before := m.mustEnsure()
	if n := runs(); n != 1 {
		t.Errorf("the plugin ran %d times", n)
	}
	put("token", "two")
	t.Chdir(t.TempDir())
	c.login(map[string]string{"two!": "jane"})
	c.cut()
	wait(t, "carriers", func() bool { return c.carriers() > 4 && m.status(client).Connected })
	if s := m.status(client); s.Session != before.Session || runs() != 2 {
		t.Errorf("status %+v after %d runs", s, runs())
	}
	if err := os.Remove(filepath.Join(dir, "token")); err != nil {
		t.Fatal(err)
	}
	c.login(nil)
	c.cut()
	wait(t, "the plugin's words", func() bool {
		s := m.status(client)
		return s.Rejected && strings.Contains(s.LastError, "go to https://login.example") && strings.Contains(s.LastError, "exit status 3")
	})
}

// If the time ends before the session connects, the error contains the last error of
// the connection.
func TestNotConnected(t *testing.T) {
	c := newCluster(t)
	c.code = 502
	m := newMachine(t, c.factory())
	var steps []string
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, err := session.Ensure(ctx, m.config(""), func(s string) { steps = append(steps, s) })
	var not *session.NotConnectedError
	if !errors.As(err, &not) || !strings.Contains(err.Error(), "answer 502") || strings.Contains(err.Error(), "not installed") {
		t.Errorf("error %v after %q", err, steps)
	}
}

// A session is ended by hand also while nobody knows its credentials, and does
// not bring back what it was for.
func TestQuitWhileRejected(t *testing.T) {
	c, m, client, before := relogin(t)
	c.login(nil)
	c.cut()
	wait(t, "the rejection", func() bool { return m.status(client).Rejected })
	if err := client.Quit(context.Background()); err != nil {
		t.Fatal(err)
	}
	c.login(map[string]string{"jane": "jane"})
	client, s := m.mustEnsure()
	if s.Session != before.Session || len(m.status(client).Intercepts) != 0 {
		t.Errorf("status %+v", s)
	}
	if left, err := m.dir.Load(); err != nil || len(left.Intercepts) != 0 {
		t.Errorf("state %+v, %v", left, err)
	}
}
