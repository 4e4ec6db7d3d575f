package gather

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/check"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/logs"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/netd"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/redact"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
)

const (
	// partTime is how long one part may take.
	partTime = 30 * time.Second
	// maxLines is how much is read of each log.
	maxLines = 50_000
)

// Gatherer reads the parts.
type Gatherer struct {
	// Config reaches the cluster; nil with ConfigErr, which says why not.
	Config    *rest.Config
	ConfigErr error
	Client    client.Client
	Kube      kubernetes.Interface
	// Namespace is that of the command line, ManagerNamespace that of the traffic-manager.
	Namespace, ManagerNamespace string
	// Folder is that of the session, and Status what its process says; nil without one.
	Folder func() (*state.Dir, error)
	Status func(context.Context) (*session.Status, error)
	Netd   *netd.Finder
	Check  func(context.Context) (*check.Report, error)
	// Host and User are this machine's.
	Host, User string
	// Anonymize replaces names.
	Anonymize bool
	// Progress hears what is read.
	Progress func(string)

	b          Bundle
	session    string // the name of this machine's Session; empty without one
	intercepts []v1alpha1.Intercept
	pods       []corev1.Pod    // of intercepted workloads
	about      map[string]bool // "namespace/name" of what Events may be about
}

// part is something to read. Its error keeps nothing else from being read.
type part struct {
	name    string
	cluster bool // it is in the cluster
	read    func(context.Context) error
}

// Run reads everything that can be read.
func (g *Gatherer) Run(ctx context.Context) (*Bundle, error) {
	g.b.nameless, g.about = g.Anonymize, map[string]bool{}
	g.know()
	for _, p := range []part{
		{"the versions", false, g.versions},
		{"the state of the session", false, g.status},
		{"the log of the session", false, g.sessionLog},
		{"the log of intercept-netd", false, g.netdLog},
		{"Intercepts", true, g.readIntercepts},
		{"Sessions", true, g.readSessions},
		{"the traffic-manager", true, g.manager},
		{"the intercepted workloads", true, g.workloads},
		{"Events", true, g.events},
		{"the checks", false, g.checks},
	} {
		if p.cluster && g.ConfigErr != nil {
			continue
		}
		g.Progress("reading " + p.name)
		within, cancel := context.WithTimeout(ctx, partTime)
		err := p.read(within)
		cancel()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			g.b.fail(p.name, err)
		}
	}
	if g.ConfigErr != nil {
		g.b.fail("everything in the cluster", g.ConfigErr)
	}
	g.b.finish()
	return &g.b, nil
}

// know tells the bundle the names and secrets of this machine and its kubeconfig.
func (g *Gatherer) know() {
	g.host(g.Host)
	g.user(g.User)
	g.namespace(g.Namespace)
	g.namespace(g.ManagerNamespace)
	if g.Config == nil {
		return
	}
	if u, err := url.Parse(g.Config.Host); err == nil {
		g.b.names.Add("host", u.Hostname())
	}
	g.b.secrets.Add(g.Config.BearerToken, g.Config.Password)
}

func (g *Gatherer) namespace(name string) { g.b.names.Add("namespace", name) }

// host is a machine, which is known by its first label, too.
func (g *Gatherer) host(name string) {
	first, _, dotted := strings.Cut(name, ".")
	if dotted && strings.Trim(first, "0123456789") != "" { // no address
		g.b.names.Add("host", name, first)
		return
	}
	g.b.names.Add("host", name)
}

// user is also part of names that the product makes, without what a DNS label cannot have;
// and an address of e-mail begins with one.
func (g *Gatherer) user(name string) {
	others := []string{kube.LabelPart(name, len(name), "")}
	if account, _, is := strings.Cut(name, "@"); is {
		others = append(others, account)
	}
	g.b.names.Add("user", name, others...)
}

// log adds a log. One that breaks off is there as far as it was read.
func (g *Gatherer) log(ctx context.Context, name string, s logs.Source, previous bool) {
	var text strings.Builder
	err := s.Write(ctx, &text, logs.Options{Tail: maxLines, Previous: previous})
	if err != nil {
		g.b.fail(name, err)
	}
	g.b.text(name, text.String())
}

func (g *Gatherer) sessionLog(ctx context.Context) error {
	dir, err := g.Folder()
	if err != nil {
		return err
	}
	g.log(ctx, "session/session.log", logs.File("session", dir.Log(), "no session of this kube context has run on this machine"), false)
	var before strings.Builder
	if logs.File("session", dir.Log()+".1", "").Write(ctx, &before, logs.Options{Tail: maxLines}) == nil {
		g.b.text("session/session.log.1", before.String())
	}
	return nil
}

// status is what the process says, and what it has on disk.
func (g *Gatherer) status(ctx context.Context) error {
	s, err := g.Status(ctx)
	if err == nil && s != nil {
		g.user(s.User)
		g.b.names.Add("context", s.Context)
		err = g.b.object("session/status.yaml", s)
	}
	dir, derr := g.Folder()
	if derr != nil {
		return errors.Join(err, derr)
	}
	saved, serr := dir.Load()
	if serr == nil {
		g.secretsOf(&saved)
		g.user(saved.User)
		g.b.names.Add("context", saved.Context)
		g.session, saved.Key = saved.Session, nil
		serr = g.b.object("session/state.yaml", saved)
	}
	return errors.Join(err, serr)
}

func (g *Gatherer) netdLog(ctx context.Context) error {
	g.log(ctx, "netd/netd.log", logs.Netd(g.Netd), false)
	return nil
}

func (g *Gatherer) checks(ctx context.Context) error {
	report, err := g.Check(ctx)
	if err != nil {
		return err
	}
	return g.b.object("check.yaml", report)
}

// secretsOf are the forms in which a session's key may be written.
func (g *Gatherer) secretsOf(s *state.State) {
	g.b.secrets.Add(encoded(s.Key)...)
	g.b.secrets.Add(fmt.Sprintf("%x", s.Key), fmt.Sprintf("%X", s.Key))
}

// secretsIn are literal values of a pod's environment that would be secrets in a log, too.
func (g *Gatherer) secretsIn(p *corev1.Pod) {
	for _, list := range environments(p) {
		for _, e := range list {
			if redact.Secret(e.Name) || len(e.Value) >= 20 && strings.ContainsAny(e.Value, "0123456789") {
				g.b.secrets.Add(e.Value)
			}
		}
	}
}
