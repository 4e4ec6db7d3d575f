package daemon

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/access"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/carrier"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/credentials"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/socket"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
)

func wait(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("timed out waiting for %s", what)
		}
		runtime.Gosched()
	}
}

// machine is a laptop: one directory and the processes that use it.
type machine struct {
	t   *testing.T
	f   *kube.Factory
	id  *socket.Identity
	dir *state.Dir
	// times of the processes; they stay unless a test says otherwise.
	times times
	// leads replaces the check whether resolv.conf names the session; nil: it does.
	leads func() bool
	// sources replaces the source addresses of the route to the cluster; nil: there
	// is one.
	sources func([]netip.Addr) []netip.Addr
	last    *process // the process that was started last
}

// short is a time that tests do not notice.
const short = 5 * time.Millisecond

func newMachine(t *testing.T, f *kube.Factory) *machine {
	id, err := session.Identify(f)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := state.OpenIn(t.TempDir(), id.Key)
	if err != nil {
		t.Fatal(err)
	}
	return &machine{t: t, f: f, id: id, dir: dir, times: times{idle: time.Hour, hold: time.Hour, check: short, gone: time.Hour,
		access: access.Times{Renew: short, Reopen: short, Glance: time.Second, Undo: time.Minute}}}
}

// config is a command that is typed now.
func (m *machine) config(transport string) session.Config {
	f := kube.NewFactory()
	f.KubeConfig = m.f.KubeConfig
	return session.Config{Factory: f, Transport: transport, Dir: m.dir,
		Start: func(caller *socket.Caller, _ *state.Dir) (*session.Child, error) {
			return m.run(caller, cmp.Or(transport, carrier.Auto))
		}}
}

// start runs a process without a command that waits for it.
func (m *machine) start() error {
	caller, err := session.NewCaller(context.Background(), m.config("").Factory, m.id)
	if err == nil {
		_, err = m.run(caller, carrier.Auto)
	}
	return err
}

// run runs a process in this program. The end of the test ends it without any clean-up
// but that of its goroutines.
func (m *machine) run(caller *socket.Caller, transport string) (*session.Child, error) {
	ctx, cancel := context.WithCancel(context.Background())
	log := slog.New(slog.DiscardHandler)
	source, err := credentials.NewSource(ctx, caller.Credentials, caller.Origin(), log)
	if err != nil {
		cancel()
		return nil, err
	}
	p := newProcess(m.id, m.dir, source, transport, log, new(slog.LevelVar))
	p.times, m.last = m.times, p
	if p.machine.ResolvConfIsOurs = m.leads; m.leads == nil {
		p.machine.ResolvConfIsOurs = func() bool { return true }
	}
	if m.sources != nil {
		p.machine.Sources = m.sources
	}
	done, over := make(chan error, 1), make(chan struct{})
	go func() {
		done <- p.run(ctx)
		close(over)
	}()
	m.t.Cleanup(func() { cancel(); <-over })
	return &session.Child{Dir: m.dir, PID: os.Getpid(), Done: done}, nil
}

func (m *machine) ensure(transport string) (*session.Client, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return session.Ensure(ctx, m.config(transport), nil)
}

func (m *machine) mustEnsure() (*session.Client, *socket.Status) {
	m.t.Helper()
	c, err := m.ensure(carrier.Auto)
	if err != nil {
		m.t.Fatal(err)
	}
	s, err := c.Status(context.Background())
	if err != nil {
		m.t.Fatal(err)
	}
	return c, s
}

// restart changes the settings of the machine, and has a successor begin with them.
func (m *machine) restart(former *session.Client, change func()) *session.Client {
	m.t.Helper()
	if err := former.Replace(context.Background()); err != nil {
		m.t.Fatal(err)
	}
	change()
	client, _ := m.mustEnsure()
	return client
}

// lives gives signs of life of commands until the test ends, or kill does.
func lives(t *testing.T, m *machine, commands ...string) (kill func(command string)) {
	t.Helper()
	signs := map[string]*state.Command{}
	kill = func(command string) {
		if s := signs[command]; s != nil {
			s.Close()
			delete(signs, command)
		}
	}
	for _, name := range commands {
		s, err := m.dir.Command(name)
		if err != nil {
			t.Fatal(err)
		}
		signs[name] = s
		t.Cleanup(func() { kill(name) })
	}
	return kill
}

func TestEnsureConnectsAndQuitCleansUp(t *testing.T) {
	c := newCluster(t)
	m := newMachine(t, c.factory())
	client, s := m.mustEnsure()
	wait(t, "four carriers", func() bool { s, _ = client.Status(context.Background()); return s.Carriers == carriers })
	if s.User != "jane" || s.Context != "demo" || s.Namespace != "shop" || s.Server != c.server.URL || s.ManagerVersion != "9.9.9" ||
		s.Relay != "manager-0" || s.Transport != carrier.ViaService || !strings.HasPrefix(s.Session, "jane-") || s.LastError != "" {
		t.Fatalf("status %+v", s)
	}
	if got := c.sessions(); len(got) != 1 || !strings.HasSuffix(got[0], "/"+s.Session) {
		t.Fatalf("sessions %v", got)
	}
	if again, err := m.ensure(""); err != nil {
		t.Fatal(err)
	} else if s2, _ := again.Status(context.Background()); s2.Session != s.Session {
		t.Fatal("a second Ensure starts a second session")
	}
	if err := client.Quit(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := c.sessions(); len(got) != 0 {
		t.Fatalf("sessions %v after the end", got)
	}
	if _, err := client.Status(context.Background()); !errors.Is(err, session.ErrNotRunning) {
		t.Fatalf("status after the end: %v", err)
	}
	if err := client.Quit(context.Background()); err != nil {
		t.Fatalf("quit twice: %v", err)
	}
}

// TestTrackSaysWhereThePortsWere: a command that takes an intercept over can lead it back.
func TestTrackSaysWhereThePortsWere(t *testing.T) {
	c := newCluster(t)
	m := newMachine(t, c.factory())
	client, before := m.mustEnsure()
	c.put(intercept(before.Session, 80, 8080))
	lives(t, m, "command")
	none, inside, here := state.Program{}, state.Program{Socket: "/program.sock"}, state.Program{Command: "command"}
	there := state.Program{Hosts: []string{"192.0.2.7"}}
	for _, step := range [][2]state.Program{{none, none}, {inside, none}, {inside, inside}, {here, inside}, {there, here}, {there, there}, {none, there}} {
		if former, err := client.Track(context.Background(), "shop", "quote", step[0]); err != nil || !former.Equal(step[1]) {
			t.Errorf("to %v: it was %v before, want %v: %v", step[0], former, step[1], err)
		}
	}
}

func TestSuccessorTakesOver(t *testing.T) {
	c := newCluster(t)
	m := newMachine(t, c.factory())
	client, before := m.mustEnsure()
	c.put(intercept(before.Session, 80, 8080))
	if _, err := client.Track(context.Background(), "shop", "quote", state.Program{}); err != nil {
		t.Fatal(err)
	}
	if err := client.Replace(context.Background()); err != nil {
		t.Fatal(err)
	}
	if n := len(c.sessions()); n != 1 {
		t.Fatalf("%d sessions between two processes", n)
	}
	client, after := m.mustEnsure()
	if after.Session != before.Session || len(c.sessions()) != 1 {
		t.Fatalf("session %s became %s", before.Session, after.Session)
	}
	wait(t, "the intercept", func() bool { s, _ := client.Status(context.Background()); return len(s.Intercepts) == 1 })
}

func TestOtherTransportReplaces(t *testing.T) {
	c := newCluster(t)
	m := newMachine(t, c.factory())
	_, before := m.mustEnsure()
	// Through port-forward there is nothing in this cluster.
	_, err := m.ensure(carrier.ViaPortForward)
	if err == nil {
		t.Fatal("connected by port-forward")
	}
	if _, after := m.mustEnsure(); after.Transport != carrier.ViaService || after.Session == before.Session {
		t.Fatalf("status %+v", after)
	}
}

func TestLostKeyMakesANewSession(t *testing.T) {
	c := newCluster(t)
	m := newMachine(t, c.factory())
	client, before := m.mustEnsure()
	if err := client.Replace(context.Background()); err != nil {
		t.Fatal(err)
	}
	s := state.New()
	s.Session = before.Session
	if err := m.dir.Save(s); err != nil {
		t.Fatal(err)
	}
	if _, after := m.mustEnsure(); after.Session == before.Session {
		t.Fatal("a session is taken over without its key")
	}
}

func TestEndsWithItsObject(t *testing.T) {
	c := newCluster(t)
	m := newMachine(t, c.factory())
	client, _ := m.mustEnsure()
	c.remove(c.sessions()[0])
	wait(t, "the end", func() bool {
		_, err := client.Status(context.Background())
		return errors.Is(err, session.ErrNotRunning)
	})
}

func TestEndsWhenIdle(t *testing.T) {
	c := newCluster(t)
	m := newMachine(t, c.factory())
	m.times.idle, m.times.hold = 50*time.Millisecond, time.Hour
	client, s := m.mustEnsure()
	c.put(intercept(s.Session, 80, 8080))
	if _, err := client.Track(context.Background(), "shop", "quote", state.Program{}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Track(context.Background(), "shop", "other", state.Program{}); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Fatalf("track an unknown intercept: %v", err)
	}
	client.Replace(context.Background())
	m.times.hold = 0
	client, _ = m.mustEnsure() // not idle: it has an intercept
	c.remove(apiPrefix + "/namespaces/shop/intercepts/quote")
	wait(t, "the end", func() bool {
		_, err := client.Status(context.Background())
		return errors.Is(err, session.ErrNotRunning)
	})
	wait(t, "the lock", func() bool { l, err := m.dir.Locked(); return err == nil && !l })
	if n := len(c.sessions()); n != 0 {
		t.Fatalf("%d sessions after the end", n)
	}
}

func TestReadableErrors(t *testing.T) {
	for _, c := range []struct {
		name string
		set  func(*cluster)
		want string
	}{
		{"not installed", func(c *cluster) { c.missing = true },
			`traffic-manager is not installed in namespace "intercept-system": run kubectl intercept install`},
		{"forbidden", func(c *cluster) { c.refuse = "POST" },
			`no permission: user "jane" cannot create sessions.kubectl-intercept.dev in namespace "intercept-system": the Role "traffic-manager-connect" there allows it (chart value clientRbac.subjects)`},
	} {
		t.Run(c.name, func(t *testing.T) {
			api := newCluster(t)
			c.set(api)
			_, err := newMachine(t, api.factory()).ensure(carrier.Auto)
			if err == nil || err.Error() != c.want {
				t.Fatalf("error %v\nwant  %s", err, c.want)
			}
		})
	}
}
