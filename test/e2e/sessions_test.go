//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// contexts gives the laptop a kubeconfig with contexts "one", alice's, and "two",
// bob's, and returns a function that writes it with some of them, the first of
// which is the current one; none: the file is away.
func (c *inside) contexts() (write func(names ...string)) {
	c.Lab.Helper()
	c.Allow("bob", "edit", c.Namespace)
	path := filepath.Join(c.Home, "config")
	all := map[string]*clientcmdapi.Config{}
	for name, from := range map[string]string{"one": c.Kubeconfig, "two": c.Stranger("bob").Kubeconfig} {
		config, err := clientcmd.LoadFromFile(from)
		c.Must(err)
		all[name] = config
	}
	c.Kubeconfig = path
	return func(names ...string) {
		c.Lab.Helper()
		if len(names) == 0 {
			c.Must(os.Remove(path))
			return
		}
		merged := clientcmdapi.NewConfig()
		merged.CurrentContext = names[0]
		for _, name := range names {
			from := all[name]
			context := from.Contexts[from.CurrentContext]
			merged.Clusters[name] = from.Clusters[context.Cluster]
			merged.AuthInfos[name] = from.AuthInfos[context.AuthInfo]
			merged.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
		}
		c.Must(clientcmd.WriteToFile(*merged, path))
	}
}

// says fails unless a text, of a command's standard error output say, contains
// every one of the parts.
func (c *inside) says(text string, parts ...string) {
	c.Lab.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			c.Errorf("%q is not in %s", part, text)
		}
	}
}

// TestContextGone: what a session does is seen and ended also when the kubeconfig
// has its context no more.
func TestContextGone(t *testing.T) {
	c := able(t)
	write := c.contexts()
	write("one", "two")
	c.Intercept("connect")
	c.Intercept("add", "quote", "--port", c.Serve("alice").To(""))
	c.Refused([]string{"connect", "--context", "two"}, "another session has this machine's DNS",
		`context "one", user alice at https://`, "kubectl intercept disconnect --context one")
	c.Intercept("quit", "--context", "two")

	// kubectl config use-context two; kubectl config delete-context one
	write("two")
	c.says(c.Intercept("status").Out, "Session: not running\n", `context "one": network interface intercept0, names of namespace `+c.Namespace+", 1 intercept; kubectl intercept quit --context one ends it")
	c.says(c.Intercept("status", "--all").Out, `Session of context "one": running`, "/quote, Active, to 127.0.0.1:")
	c.says(c.Intercept("status", "--context", "one").Out, "Session: running\n", "Network: interface intercept0")
	c.says(c.Intercept("disconnect").Err, "not connected\n", "kubectl intercept disconnect --context one ends that")
	c.says(c.Intercept("netd", "undo").Err, `the session of context "one" has interface intercept0: kubectl intercept disconnect --all ends that`)
	if c.asBefore() == nil {
		t.Error("the network of the other context is gone")
	}
	c.Answers(c.quote, "alice")
	c.says(c.Intercept("leave", "--all").Err, "kubectl intercept leave quote -n "+c.Namespace+" --context one")
	c.says(c.Intercept("leave", "quote", "--context", "one", "--wait=false", "-o", "yaml").Out, "kind: Intercept\n", "  name: quote\n")
	c.Eventually(c.quote, lab.Application)
	write("one", "two")
	c.Gone("quote")
	c.Intercept("add", "quote", "--port", c.Serve("alice").To(""), "--context", "one")
	write("two")
	c.says(c.Intercept("leave", "quote", "--context", "one").Out, "deployment.apps/quote left\n")
	c.Answers(c.quote, lab.Application)
	c.says(c.Intercept("disconnect", "--context", "one").Err, "disconnected\n")
	c.Must(c.asBefore())
	c.says(c.Intercept("quit", "--context", "one").Err, `the session of context "one" has ended`)
	if left := c.Sessions(); len(left) > 0 {
		t.Errorf("sessions %v are left", left)
	}

	// The file is away.
	write("one")
	c.Intercept("connect")
	c.Intercept("add", "quote", "--port", c.Serve("alice").To(""))
	write()
	c.says(c.Intercept("status").Out, `context "one": network interface intercept0`)
	c.says(c.Intercept("disconnect", "--all").Err, `disconnected the session of context "one"`)
	c.Must(c.asBefore())
	c.says(c.Intercept("quit", "--all").Err, `the session of context "one" has ended, and with it the intercepts `+c.Namespace+"/quote")
	c.Eventually(c.quote, lab.Application)
	if left := c.Sessions(); len(left) > 0 {
		t.Errorf("sessions %v are left", left)
	}
}

// TestContextRenamed: the session of a context that has another name now is seen and
// ended by its former one, and does not keep what the new one asks for.
func TestContextRenamed(t *testing.T) {
	c := able(t)
	c.contexts()("one")
	c.Intercept("connect")
	c.Intercept("add", "quote", "--port", c.Serve("alice").To(""))
	if o := c.Try("kubectl", "config", "rename-context", "one", "three"); o.Failed {
		t.Fatal(o.Err)
	}
	c.says(c.Intercept("status").Out, "Session: not running\n", `context "one": network interface intercept0`, "kubectl intercept quit --context one ends it")
	c.Answers(c.quote, "alice")
	c.says(c.Intercept("leave", "quote").Out, "deployment.apps/quote left\n")
	c.Answers(c.quote, lab.Application)
	c.says(c.Intercept("disconnect", "--context", "one").Err, "disconnected\n")
	c.Must(c.asBefore())
	c.says(c.Intercept("quit", "--context", "one").Err, `the session of context "one" has ended`)
	c.Intercept("connect")
	c.Intercept("add", "quote", "--port", c.Serve("three").To(""))
	c.Answers(c.quote, "three")
	c.says(c.Intercept("quit").Err, `the session of context "three" has ended`)
	c.Must(c.asBefore())
	c.Eventually(c.quote, lab.Application)
	if left := c.Sessions(); len(left) > 0 {
		t.Errorf("sessions %v are left", left)
	}
}

// TestQuitUnreachable: a session whose cluster does not answer ends by hand, and
// so does one that hangs; the machine's network is its own again.
func TestQuitUnreachable(t *testing.T) {
	c := connected(t)
	c.shell(`nft 'table inet cable { chain out { type filter hook output priority 0; oifname "eth0" drop; }; }'`)
	t.Cleanup(func() { _, _ = c.Nft("delete table inet cable") }) // if not done below
	c.says(c.Intercept("quit", "--all").Err, "has ended", "did not delete the session's object")
	c.Must(c.asBefore())
	if left := c.Sessions(); len(left) > 0 {
		t.Errorf("sessions %v are left", left)
	}
	c.shell("nft delete table inet cable")
	c.Intercept("add", "quote", "--port", c.Serve("alice").To(""))
	if _, text, err := c.device(); err != nil || text != "off" {
		t.Errorf("what was quit is back: %q, %v", text, err)
	}

	pids := c.Sessions()
	if len(pids) != 1 {
		t.Fatalf("sessions %v, want one", pids)
	}
	c.shell(fmt.Sprintf("kill -STOP %d", pids[0]))
	c.says(c.Intercept("status", "--all", "--context", "none").Out, fmt.Sprintf("process %d does not answer", pids[0]))
	c.Intercept("quit")
	if left := c.Sessions(); len(left) > 0 {
		t.Errorf("sessions %v are left", left)
	}
	c.Intercept("leave", "quote") // by kubectl's credentials: the session is dead
	c.Answers(c.quote, lab.Application)
}

// search is the search list that programs use.
func (c *inside) search() string {
	c.Lab.Helper()
	return c.shell("grep ^search /etc/resolv.conf")
}

// TestConnectKeepsWhatStands: a command that connects takes nothing away from whoever
// is connected already.
func TestConnectKeepsWhatStands(t *testing.T) {
	c := connected(t)
	defer c.end()
	stands := c.search()
	c.Intercept("connect", "--", "true")
	c.Must(c.usable())
	o := c.Intercept("connect", "-n", "default", "--", "cat", "/etc/resolv.conf")
	c.says(o.Out, "search default.svc.cluster.local")
	c.says(o.Err, "until the command ends this replaces what kubectl intercept connect gave: names as in namespace "+c.Namespace)
	c.Must(c.usable())
	if now := c.search(); now != stands {
		t.Errorf("before %s, now %s", stands, now)
	}
	o = c.Intercept("connect", "-n", "default")
	c.says(o.Err, "this replaces what kubectl intercept connect gave before: names as in namespace "+c.Namespace)
	c.Intercept("connect")

	// A shell has exported its proxy.
	first := proxyOf(c.Laptop)
	second := ""
	for line := range strings.Lines(c.Intercept("connect", "--proxy", "-n", "default").Out) {
		if v, ok := strings.CutPrefix(line, "export http_proxy="); ok {
			second = strings.TrimSpace(v)
		}
	}
	c.Intercept("connect", "--proxy", "--", "true")
	c.Intercept("connect", "--proxy", "-n", "kube-system", "--", "true")
	if first == second {
		t.Fatalf("both proxies are at %s", first)
	}
	for proxy, name := range map[string]string{first: "quote", second: "quote." + c.Namespace} {
		if code, body, err := visit(browser(c.Laptop, proxy), "http://"+name); err != nil || code != 200 || !strings.Contains(body, lab.Application) {
			t.Errorf("%s by %s: %d %q, %v", name, proxy, code, body, err)
		}
	}
	c.Must(c.usable())
}

// TestSecondMachine: the same user takes an intercept to another machine, and is
// told so on both.
func TestSecondMachine(t *testing.T) {
	l := lab.New(t, clusters)
	l.Apply("quote.yaml")
	quote := l.Serving("quote", "http")
	first, second := l.Laptop("alice"), l.Stranger("alice")
	host, err := os.Hostname()
	l.Must(err)
	first.Intercept("add", "quote", "--port", first.Serve("first").To(""))
	l.Answers(quote, "first")
	program := second.Serve("second")
	on := func(args string) lab.Output {
		t.Helper()
		o := second.Try("unshare", "--uts", "sh", "-c", fmt.Sprintf("echo tower >/proc/sys/kernel/hostname && exec %s %s -n %s", l.Bin("kubectl-intercept"), args, l.Namespace))
		if o.Failed {
			t.Fatalf("%s failed", args)
		}
		return o
	}
	if o := on("add quote --wait=false --port " + program.To("")); !strings.Contains(o.Err, "intercept quote of yours went to host "+host+" (session "+first.Status().Session.Session+") until now; it comes here instead") {
		t.Errorf("the second machine says %s", o.Err)
	}
	l.Eventually(quote, "second")
	if o := first.Intercept("status"); !strings.Contains(o.Out, ": host tower (session alice-tower-") {
		t.Errorf("the first machine says %s", o.Out)
	}
	if o := on("status"); strings.Contains(o.Out, "Goes to") {
		t.Errorf("the second machine says %s", o.Out)
	}
}
