package relay

import (
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/traffic"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/line"
)

// asked is the answer when alice's session asks about traffic on an outbound line. The caller
// must close the stream.
func (l *lineLab) asked() (s tunnel.Stream, v frame.Verdict, reason string) {
	l.t.Helper()
	s = l.outboundLine()
	v, reason, err := line.Ask(l.t.Context(), s, &frame.Open{Kind: frame.Dialed, Target: frame.TargetTraffic, Session: "alice"})
	if err != nil {
		l.t.Fatal(err)
	}
	return s, v, reason
}

// ask is what alice's session is told about traffic.
func (l *lineLab) ask() *traffic.Report {
	l.t.Helper()
	s, v, reason := l.asked()
	defer s.Close()
	if v != frame.Accepted {
		l.t.Fatal(v, reason)
	}
	text, err := io.ReadAll(s)
	var r traffic.Report
	if err != nil || json.Unmarshal(text, &r) != nil {
		l.t.Fatalf("%q, %v", text, err)
	}
	return &r
}

// who are the users and intercepts of a report.
func who(r *traffic.Report) (all []string) {
	for _, e := range r.Entries {
		all = append(all, e.User+" "+e.Intercept)
	}
	return all
}

// A user sees his own sessions at all replicas, and those of others if he may list Sessions. A
// replica that does not answer is told of.
func TestTrafficOfAllReplicas(t *testing.T) {
	l := newLineLab(t)
	other := newLineLab(t)
	bob, err := other.relay.addCarrier(&handshake.Hello{Session: "bob", Generation: 1}, key, userOf("bob"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(bob.cancel)
	for _, s := range []*session{bob, other.session, l.session} {
		c := s.traffic.of(wayCarrier, handshake.Inbound, "shop/"+s.name)
		t.Cleanup(c.begin())
		c.moved(7, 1000)
	}
	replicas := &Replicas{Authority: l.authority, ServerName: "relay"}
	web := httptest.NewUnstartedServer(replicas.Handler(other.relay))
	cert, err := l.authority.Serving([]string{"relay"}, nil, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	web.TLS = &tls.Config{Certificates: []tls.Certificate{*cert}}
	web.StartTLS()
	t.Cleanup(web.Close)
	_, replicas.Port, _ = net.SplitHostPort(web.Listener.Addr().String())
	l.relay.cfg.Replicas = replicas
	var s v1alpha1.Session
	if err := l.objects.Get(t.Context(), client.ObjectKey{Namespace: system, Name: "alice"}, &s); err != nil {
		t.Fatal(err)
	}
	s.Status.Relays = []v1alpha1.Relay{{Pod: "traffic-manager-1", Address: "127.0.0.9:1"}, {Pod: "traffic-manager-2", Address: "127.0.0.1:17843"}, {Pod: "traffic-manager-3", Address: "127.0.0.3:17843"}}
	if err := l.objects.Update(t.Context(), &s); err != nil {
		t.Fatal(err)
	}
	r := l.ask()
	if got := who(r); r.Everybody || !slices.Equal(got, []string{"alice shop/alice"}) {
		t.Errorf("alice sees %q", got)
	}
	if e := r.Entries[0]; e.Down != 2000 || e.Up != 14 || *e.Flows != 2 || e.DownRate != 0 {
		t.Errorf("she moves %+v", e)
	}
	if len(r.Missing) != 1 || !strings.HasPrefix(r.Missing[0], "traffic-manager-3: ") {
		t.Errorf("missing are %q", r.Missing)
	}
	l.mayList = true
	if r = l.ask(); !r.Everybody || !slices.Equal(who(r), []string{"alice shop/alice", "bob shop/bob"}) {
		t.Errorf("a user who may list sessions sees %q", who(r))
	}
}

// A session that asks all the time is refused, and told so.
func TestTopIsBounded(t *testing.T) {
	l := newLineLab(t)
	for l.relay.cfg.Budget.Questions.Allow("alice") == nil {
	}
	s, v, reason := l.asked()
	defer s.Close()
	if v != frame.Denied || !strings.Contains(reason, "questions about traffic") {
		t.Errorf("the answer is %s, %q", v, reason)
	}
}

// Rates are those of the second in which they are asked for.
func TestRate(t *testing.T) {
	l := newLineLab(t)
	c := l.session.traffic.of(wayLine, handshake.Outbound, "")
	c.moved(1<<20, 1<<20)
	done := make(chan []traffic.Entry)
	go func() { done <- l.relay.Traffic(t.Context()) }()
	var list []traffic.Entry
	for list == nil {
		select {
		case list = <-done:
		case <-time.After(time.Millisecond):
			c.moved(0, 10)
		}
	}
	if len(list) != 1 || list[0].Up != 1<<20 || list[0].UpRate != 0 || list[0].DownRate == 0 || list[0].DownRate > 20000 {
		t.Errorf("%+v", list)
	}
}

// Nobody but a replica is answered.
func TestReplicasProve(t *testing.T) {
	l, stranger := newLineLab(t), newLineLab(t)
	own, foreign := &Replicas{Authority: l.authority}, &Replicas{Authority: stranger.authority}
	now := time.Now()
	proof := func(p *Replicas, at time.Time) string {
		text, err := p.prove(at)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	good := proof(own, now)
	expiry, mac, _ := strings.Cut(good, ".")
	later := "9" + expiry + "." + mac
	for _, c := range []struct {
		what, proof string
		good        bool
	}{
		{"another replica's", good, true}, {"a minute old", proof(own, now.Add(-time.Minute)), true},
		{"three minutes old", proof(own, now.Add(-3*time.Minute)), false}, {"of another authority", proof(foreign, now), false},
		{"with a later end", later, false}, {"none", "", false}, {"no MAC", expiry + ".", false}, {"nonsense", "x.=", false},
	} {
		if err := own.check(c.proof, now); (err == nil) != c.good {
			t.Errorf("%s: %v", c.what, err)
		}
	}
	w := httptest.NewRecorder()
	own.Handler(l.relay).ServeHTTP(w, httptest.NewRequest("GET", TrafficPath, nil))
	if w.Code != 403 || strings.Contains(w.Body.String(), "alice") {
		t.Errorf("a stranger is told %d, %q", w.Code, w.Body)
	}
}
