package daemon

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/line"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/mux"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/record"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/tunneltest"
)

// intercept is shop/quote: a pod's port to a local one.
func intercept(session string, port, localPort int) *v1alpha1.Intercept {
	return &v1alpha1.Intercept{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "quote"},
		Spec: v1alpha1.InterceptSpec{User: "jane", Session: session},
		Status: v1alpha1.InterceptStatus{State: v1alpha1.StateActive, Ports: []v1alpha1.ResolvedPort{
			{ContainerPort: int32(port), Protocol: "TCP", LocalHost: "127.0.0.1", LocalPort: int32(localPort)}}}}
}

func TestFlows(t *testing.T) {
	c := newCluster(t)
	m := newMachine(t, c.factory())
	client, s := m.mustEnsure()
	l := tunneltest.Listen(t, func(conn net.Conn) { // an echo that answers only after the caller's end
		b, _ := io.ReadAll(conn)
		conn.Write(b)
		conn.Close()
	})
	c.put(intercept(s.Session, 80, l.Addr().(*net.TCPAddr).Port))

	sent := bytes.Repeat([]byte("0123456789"), 200<<10)
	wait(t, "a carrier at the cluster's end", func() bool { return c.group.Len() > 0 })
	caller := openFlow(t, c, "shop/quote", 80, []byte("first "))
	go func() { caller.Write(sent); caller.CloseWrite() }()
	got, err := io.ReadAll(caller)
	if err != nil || !bytes.Equal(got, append([]byte("first "), sent...)) {
		t.Fatalf("echo of %d bytes: %v", len(got), err)
	}
	wait(t, "the counters", func() bool {
		s, _ := client.Status(context.Background())
		return len(s.Intercepts) == 1 && s.Intercepts[0].State == "Active" && s.Intercepts[0].Ports[0].Connections == 1 &&
			s.Intercepts[0].Ports[0].BytesIn == int64(len(got)) && s.Intercepts[0].Ports[0].BytesOut == int64(len(got))
	})

	l.Close()
	if err := flowError(t, c, "shop/quote", 80); !errors.Is(err, frame.ErrRefused) {
		t.Fatalf("closed local port: %v", err)
	}
	if s, _ := client.Status(context.Background()); s.Intercepts[0].Ports[0].Refused != 1 {
		t.Fatalf("status %+v", s.Intercepts)
	}
	c.put(intercept("someone-elses", 80, 8080))
	wait(t, "the other session's intercept to go", func() bool { s, _ := client.Status(context.Background()); return len(s.Intercepts) == 0 })
	for _, name := range []string{"shop/quote", "shop/unknown", "malformed"} {
		if err := flowError(t, c, name, 80); !errors.Is(err, frame.ErrDenied) {
			t.Fatalf("flow of %s: %v", name, err)
		}
	}
}

func open(c *cluster, name string, port uint16, first []byte) (*mux.OutFlow, error) {
	f, err := c.group.Open(context.Background(), &frame.Open{Intercept: name, Session: "s", Port: port, First: first})
	if err != nil {
		return nil, err
	}
	return f, f.Confirm()
}

func flowError(t *testing.T, c *cluster, name string, port uint16) error {
	t.Helper()
	f, err := open(c, name, port, nil)
	if f != nil {
		f.Abort()
	}
	return err
}

// openFlow returns the caller's end of a flow.
func openFlow(t *testing.T, c *cluster, name string, port uint16, first []byte) *net.TCPConn {
	t.Helper()
	f, err := open(c, name, port, first)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	near, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { f.Join(tunnel.NewTCP(far.(*net.TCPConn)), nil); close(done) }()
	t.Cleanup(func() { near.Close(); f.Abort(); <-done })
	return near.(*net.TCPConn)
}

// takeLine is what relay and agent do with a line that the session offers.
func takeLine(t *testing.T, c *cluster, j *handshake.LineAssigned) *line.Conn {
	t.Helper()
	agent := tunneltest.Certificate(t, "agent")
	j.Agent = handshake.PinOf(agent.Leaf)
	o := <-c.offers
	t.Cleanup(func() { o.conn.Close() })
	c.mu.Lock() // a carrier that comes anew sets the secret
	secret := c.secret
	c.mu.Unlock()
	if err := handshake.WriteLineAssigned(o.conn, &secret, o.hello, j); err != nil {
		t.Fatal(err)
	}
	a := tls.Client(record.NewConn(o.conn), &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13,
		Certificates: []tls.Certificate{agent}})
	if err := a.Handshake(); err != nil {
		t.Fatal(err)
	}
	f, err := line.NewConn(a)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFlowsOnLines(t *testing.T) {
	c := newCluster(t)
	m := newMachine(t, c.factory())
	client, s := m.mustEnsure()
	l := tunneltest.Listen(t, func(conn net.Conn) { io.Copy(conn, conn); conn.Close() })
	i := intercept(s.Session, 80, l.Addr().(*net.TCPAddr).Port)
	c.put(i)
	open := frame.Open{Intercept: "shop/quote", InterceptUID: string(i.UID), Session: s.Session, Port: 80, First: []byte("first ")}
	for range 6 { // more than are offered at once
		line := takeLine(t, c, &handshake.LineAssigned{Pod: "shop/quote-1", Intercept: "shop/quote", InterceptUID: string(i.UID)})
		if err := frame.WriteOpen(line, &open); err != nil {
			t.Fatal(err)
		}
		if v, _, err := frame.ReadAnswer(line); err != nil || v != frame.Accepted {
			t.Fatalf("verdict %v, %v", v, err)
		}
		if _, err := line.Write([]byte("second")); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 12)
		if _, err := io.ReadFull(line, got); err != nil || string(got) != "first second" {
			t.Fatalf("echo %q, %v", got, err)
		}
	}
	wait(t, "six lines in the status", func() bool { s, _ := client.Status(context.Background()); return s.Lines == 6 })
	// A pod whose line is for one intercept cannot reach another.
	foreign := takeLine(t, c, &handshake.LineAssigned{Pod: "shop/other-1", Intercept: "shop/other", InterceptUID: "o"})
	if err := frame.WriteOpen(foreign, &open); err != nil {
		t.Fatal(err)
	}
	if v, _, err := frame.ReadAnswer(foreign); err != nil || v != frame.Denied {
		t.Fatalf("verdict %v, %v", v, err)
	}
}
