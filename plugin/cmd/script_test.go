package cmd

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/cmd/connect"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/cmd/quit"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/intercept"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/device"
	sessionlocal "github.com/kubectl-intercept/kubectl-intercept/plugin/session/local"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/socket"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
)

var update = flag.Bool("update", false, "rewrite what the scripts expect")

// world is what one script acts in.
type world struct {
	api     *fakeAPI
	user    string
	home    string // of the folders of sessions
	running bool
	online  *session.Network
	others  []session.Known // further sessions on the machine
	denied  []session.Denial
	never   bool  // no session connects
	lost    error // what the session says when it is told of an intercept
}

// TestScripts runs ../testdata/script/*.txtar: the whole command line, in this
// process, against a fake API server that holds ../testdata/cluster.yaml.
// Scripts have these commands:
//
//	kubectl intercept …          the command line
//	as USER                      whose kubeconfig it is (alice at first)
//	apply FILE                   puts objects into the cluster
//	manager [STEP…]              what the traffic-manager does to an Intercept
//	manager hold                 it never confirms a leave
//	refuse USER VERB RES NS      no permission; NS may be *
//	absent RESOURCE              the cluster does not know it
//	session running              `status` finds a session
//	session other                another one runs, of a context "old" that is gone
//	session never                it does not connect
//	session lost                 it ends while an intercept is made
//	freeport VAR, listen VAR     a local port, without or with a listener
func TestScripts(t *testing.T) {
	for _, name := range []string{"NO_PROXY", "no_proxy"} { // connect repeats them
		if err := os.Unsetenv(name); err != nil {
			t.Fatal(err)
		}
	}
	testscript.Run(t, testscript.Params{
		Dir:           filepath.Join("..", "testdata", "script"),
		UpdateScripts: *update,
		Setup: func(env *testscript.Env) error {
			w := &world{api: newFakeAPI(), user: "alice", home: filepath.Join(env.WorkDir, "sessions")}
			w.api.manager.plan = []string{"resolve", "attach", "activate"}
			env.Defer(w.api.CloseClientConnections)
			env.Defer(w.api.Close)
			env.Values["world"] = w
			b, err := os.ReadFile(filepath.Join("..", "testdata", "cluster.yaml"))
			if err != nil {
				return err
			}
			env.Setenv("SERVER", w.api.URL)
			return w.apply(b)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"kubectl": func(ts *testscript.TestScript, neg bool, args []string) { in(ts).kubectl(ts, neg, args) },
			"as":      func(ts *testscript.TestScript, _ bool, args []string) { in(ts).user = args[0] },
			"apply": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Check(in(ts).apply([]byte(ts.ReadFile(args[0]))))
			},
			"manager": func(ts *testscript.TestScript, _ bool, args []string) {
				in(ts).edit(func(s *fakeAPI) {
					s.manager = manager{idle: true, plan: args, hold: len(args) == 1 && args[0] == "hold"}
				})
			},
			"refuse": func(ts *testscript.TestScript, _ bool, args []string) {
				in(ts).edit(func(s *fakeAPI) { s.refuse = append(s.refuse, refusal{args[0], args[1], args[2], args[3]}) })
			},
			"absent": func(ts *testscript.TestScript, _ bool, args []string) {
				in(ts).edit(func(s *fakeAPI) { s.absent = append(s.absent, args...) })
			},
			"session": func(ts *testscript.TestScript, _ bool, args []string) {
				switch args[0] {
				case "running":
					in(ts).running = true
				case "other":
					in(ts).others = []session.Known{fakeOther()}
				case "never":
					in(ts).never = true
				case "lost":
					in(ts).lost = errors.New("the session is ending")
				}
			},
			"freeport": func(ts *testscript.TestScript, _ bool, args []string) {
				// A connection holds the port, so that no other process listens there.
				d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}}
				port(ts, args[0], func() (net.Addr, io.Closer) {
					c, err := d.DialContext(context.Background(), "tcp", in(ts).api.Listener.Addr().String())
					ts.Check(err)
					return c.LocalAddr(), c
				})
			},
			"listen": func(ts *testscript.TestScript, _ bool, args []string) {
				port(ts, args[0], func() (net.Addr, io.Closer) {
					l, err := net.Listen("tcp", "127.0.0.1:0")
					ts.Check(err)
					return l.Addr(), l
				})
			},
		},
	})
}

func in(ts *testscript.TestScript) *world { return ts.Value("world").(*world) }

// edit changes the server while it runs.
func (w *world) edit(f func(*fakeAPI)) {
	w.api.mu.Lock()
	defer w.api.mu.Unlock()
	f(w.api)
}

// port gives a script a local port until it ends. All have five digits, since tables are as
// wide as their cells.
func port(ts *testscript.TestScript, name string, open func() (net.Addr, io.Closer)) {
	for {
		addr, c := open()
		ts.Defer(func() { c.Close() })
		if _, text, _ := net.SplitHostPort(addr.String()); len(text) == 5 {
			ts.Setenv(name, text)
			return
		}
	}
}

// kubectl runs the plugin as kubectl would.
func (w *world) kubectl(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) == 0 || args[0] != "intercept" {
		ts.Fatalf("usage: kubectl intercept …")
	}
	file := ts.MkAbs("kubeconfig")
	ts.Check(os.WriteFile(file, []byte(w.kubeconfig()), 0o600))
	args = args[1:]
	at := min(1, len(args))
	if len(args) > 2 && args[0] == cobra.ShellCompRequestCmd {
		at = 2 // after the command whose words are completed
	}
	if at > 0 {
		args = slices.Concat(args[:at], []string{"--kubeconfig", file}, args[at:])
	}
	var in bytes.Buffer
	streams := genericiooptions.IOStreams{In: &in, Out: ts.Stdout(), ErrOut: ts.Stderr()}
	code := execute(context.Background(), streams, args, fakeSessions{w})
	if (code != 0) != neg {
		ts.Fatalf("exit code %d", code)
	}
}

// kubeconfig is the user's.
func (w *world) kubeconfig() string {
	return fmt.Sprintf(`
apiVersion: v1
kind: Config
current-context: demo
contexts: [{name: demo, context: {cluster: demo, user: %[1]s}}]
clusters: [{name: demo, cluster: {server: %[2]q, insecure-skip-tls-verify: true}}]
users: [{name: %[1]s, user: {token: %[1]s}}]
`, w.user, w.api.URL)
}

func (w *world) apply(docs []byte) error {
	d := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(docs), len(docs)+1)
	for {
		o := &unstructured.Unstructured{}
		if err := d.Decode(&o.Object); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if len(o.Object) > 0 {
			w.api.load(o)
		}
	}
}

// fakeSessions is a background process that is always connected.
type fakeSessions struct{ w *world }

// Folder is in the script's own folder.
func (f fakeSessions) Folder(*kube.Factory) (*state.Dir, error) {
	return state.OpenIn(f.w.home, "demo")
}

// Ensure says what the real one does while it starts.
func (f fakeSessions) Ensure(ctx context.Context, _ *kube.Factory, _ string, progress func(string)) (*intercept.Session, error) {
	progress("connecting to the traffic-manager")
	if err := f.connecting(ctx); err != nil {
		return nil, err
	}
	return &intercept.Session{User: f.w.user, Name: f.w.user + "-laptop",
		Process: oneVariable, Mount: oneVolume, Release: func(context.Context, string) error { return nil },
		Track: func(context.Context, string, string, state.Program) (func(context.Context) error, error) {
			return func(context.Context) error { return nil }, f.w.lost
		}}, nil
}

// connecting waits for a session that does not come.
func (f fakeSessions) connecting(ctx context.Context) error {
	if !f.w.never {
		return nil
	}
	<-ctx.Done()
	return &session.NotConnectedError{Phase: "connecting to the traffic-manager", Last: "answer 502 Bad Gateway"}
}

// Helper starts nothing.
func (f fakeSessions) Helper(context.Context, genericiooptions.IOStreams) (string, func() error, error) {
	return "/run/intercept-netd/netd.sock", func() error { return nil }, nil
}

// Connect opens nothing.
func (f fakeSessions) Connect(ctx context.Context, _ *kube.Factory, a *connect.Access, progress func(string)) (*session.Network, error) {
	if err := f.connecting(ctx); err != nil {
		return nil, err
	}
	progress("opening the way into the cluster")
	if a.Proxy != "" {
		p := state.Proxy{Address: strings.Replace(a.Proxy, ":0", ":40000", 1), Namespace: a.Device.Namespace, Via: a.Device.Via}
		f.w.online = &session.Network{Proxy: p.Address, Namespace: p.Namespace, Proxies: []socket.Proxy{{Proxy: p, Pod: fakePod(p.Via)}}}
	} else {
		replaced := ""
		if f.w.online != nil && f.w.online.Device != nil && f.w.online.Device.Namespace != a.Device.Namespace {
			replaced = "names as in namespace " + f.w.online.Device.Namespace
		}
		f.w.online = &session.Network{Device: fakeDevice(a), Replaced: replaced}
	}
	f.w.denied = []session.Denial{
		{Target: "10.96.2.1:5432", Count: 3, Last: time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC),
			Reason: `user "alice" may not dial 10.96.2.1: that needs "create pods/portforward" in namespace "bank"`},
		{Target: "10.96.2.1", Count: 1, Last: time.Date(2026, 12, 1, 11, 0, 0, 0, time.UTC),
			Reason: `user "alice" may not dial 10.96.2.1: that needs "create pods/portforward" in namespace "bank"`},
	}
	return f.w.online, nil
}

// fakeDevice is a TUN on a machine with a VPN.
func fakeDevice(a *connect.Access) *device.Status {
	return &device.Status{Interface: "intercept0", Namespace: a.Device.Namespace,
		Routes:   []netip.Prefix{netip.MustParsePrefix("10.96.0.0/12"), netip.MustParsePrefix("198.18.0.0/16")},
		Clashing: []netip.Prefix{netip.MustParsePrefix("10.244.0.0/16")}, Virtual: netip.MustParsePrefix("198.18.0.0/16"), Never: a.Device.Never,
		DNS: netip.MustParseAddr("198.18.0.2"), DNSMode: "systemd-resolved", Search: []string{"shop.svc.cluster.local", "svc.cluster.local", "cluster.local"},
		Resolvers: []netip.AddrPort{netip.MustParseAddrPort("192.168.1.1:53")}, Leaves: device.Leaves{Via: a.Device.Via, Pod: fakePod(a.Device.Via)}}
}

// OpenIsolated has no network for programs.
func (fakeSessions) OpenIsolated(context.Context, *kube.Factory, string, *state.Device, func(string)) error {
	return errors.New("not in scripts")
}

// Resume has none either.
func (fakeSessions) Resume(context.Context, *kube.Factory, string, *state.Device, string, state.Program, bool) error {
	return errors.New("not in scripts")
}

// EnsureIsolated has none either.
func (fakeSessions) EnsureIsolated(context.Context, *kube.Factory, string, string, func(string)) (*intercept.Session, error) {
	return nil, errors.New("not in scripts")
}

// Release leaves nothing.
func (f fakeSessions) Release(context.Context, *kube.Factory, string) error {
	f.w.online = nil
	return nil
}

// Disconnect forgets it.
func (f fakeSessions) Disconnect(_ context.Context, _ *kube.Factory, all bool) (ended []session.Known, err error) {
	if f.w.online != nil {
		ended = append(ended, session.Known{Context: "demo"})
	}
	f.w.online = nil
	for n, k := range f.w.others {
		if all && k.Online() {
			ended = append(ended, k)
			f.w.others[n].Status.Network = nil
		}
	}
	return ended, nil
}

// Quit ends it.
func (f fakeSessions) Quit(_ context.Context, _ *kube.Factory, all bool) (ended []quit.Ended, err error) {
	if s, _ := f.Find(context.Background(), nil); s != nil {
		ended = append(ended, quit.Ended{Known: session.Known{Context: "demo", Status: s}})
	}
	f.w.running, f.w.online = false, nil
	if all {
		for _, k := range f.w.others {
			ended = append(ended, quit.Ended{Known: k, Left: k.Status.Session})
		}
		f.w.others = nil
	}
	return ended, nil
}

// Of is what a command line means that names a context which is gone.
func (f fakeSessions) Of(_ context.Context, factory *kube.Factory) ([]session.Known, error) {
	for _, k := range f.w.others {
		if factory.Context != nil && *factory.Context == k.Context {
			return []session.Known{k}, nil
		}
	}
	return nil, errors.New("no such context")
}

// Others are as the script wants.
func (f fakeSessions) Others(context.Context, *kube.Factory) ([]session.Known, error) {
	return f.w.others, nil
}

// Leave ends one of theirs.
func (f fakeSessions) Leave(_ context.Context, _ *session.Known, namespace, name string, _ bool) (*v1alpha1.Intercept, error) {
	for n := range f.w.others {
		s := f.w.others[n].Status
		s.Intercepts = slices.DeleteFunc(s.Intercepts, func(i session.StatusIntercept) bool { return i.Name == name })
	}
	return &v1alpha1.Intercept{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: v1alpha1.InterceptSpec{Workload: v1alpha1.WorkloadReference{APIVersion: "apps/v1", Kind: "Deployment", Name: name}}}, nil
}

// fakeOther is a session of a context that the kubeconfig does not have.
func fakeOther() session.Known {
	return session.Known{Context: "old", Server: "https://old.example.com:6443", User: "alice", PID: 4711, Flag: "--context old",
		Status: &session.Status{Version: "0.1.0", User: "alice", Context: "old", Server: "https://old.example.com:6443", Namespace: "default",
			Session: "alice-laptop-old", ManagerNamespace: "intercept-system", PID: 4711, Transport: "service-proxy", LastError: "cannot reach the API server old.example.com:6443: no such host",
			LogFile: "/tmp/old.log", Network: &session.Network{Device: &device.Status{Interface: "intercept1", Namespace: "shop"}},
			Intercepts: []session.StatusIntercept{{Namespace: "shop", Name: "hello", State: "Active", Ports: []session.StatusPort{{Local: "127.0.0.1:9001"}}}}}}
}

// Undo has nothing to do.
func (f fakeSessions) Undo(context.Context, genericiooptions.IOStreams) error { return nil }

// Headers are those of an agent.
func (f fakeSessions) Headers(_ context.Context, _ *kube.Factory, namespace, name string) (*session.Headers, error) {
	if f.w.lost != nil {
		return nil, f.w.lost
	}
	return &session.Headers{Agents: 2, Answered: 1, Seen: []sessionlocal.Header{{Name: "accept", Values: []string{"*/*"}},
		{Name: "authorization", Masked: true}, {Name: "x-user", Values: []string{"Alice", "bob\x1b[2J"}}}}, nil
}

// Asked is what was not forgotten.
func (f fakeSessions) Asked(context.Context, *kube.Factory) (bool, error) {
	return f.w.online != nil, nil
}

// Find answers as the script wants.
func (f fakeSessions) Find(context.Context, *kube.Factory) (*session.Status, error) {
	if !f.w.running {
		return nil, nil
	}
	return &session.Status{Version: "0.1.0", User: f.w.user, Context: "demo", Server: f.w.api.URL, Namespace: "default",
		ManagerNamespace: "intercept-system", ManagerVersion: "0.1.0", Session: f.w.user + "-laptop", PID: 4242,
		Transport: "service-proxy", Relay: "traffic-manager-abc", Connected: true, Carriers: 2, LogFile: "/tmp/session.log", Network: f.w.online,
		Intercepts: []session.StatusIntercept{{Namespace: "shop", Name: "cart", State: "Active",
			Ports: []session.StatusPort{{Local: "127.0.0.1:9000", Protocol: "TCP", Connections: 3}}}},
		Denied: f.w.denied}, nil
}
