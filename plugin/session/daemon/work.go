package daemon

import (
	"context"
	"maps"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/buffer"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/handshake"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/access"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/local"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/mounts"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/outbound"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/podnet"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/socket"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/standin"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/topod"
)

// work is what a process has once it has a Session object. Its fields do not change, but for
// networks.
type work struct {
	settings

	object  *v1alpha1.Session
	client  client.WithWatch
	table   *local.Table
	pods    *standin.Lines
	mounts  *mounts.Set
	link    *link
	access  *access.Access
	feed    *access.Feed
	denials outbound.Denials
	toPod   *topod.Set
	renewal *renewal

	networksMu sync.Mutex
	networks   map[string]*podnet.Network // by the intercept's "namespace/name"
}

// newWork makes everything that the process needs until ctx ends. It does not connect yet.
func (p *process) newWork(ctx context.Context, c client.WithWatch) (*work, error) {
	w := &work{settings: p.settings, object: p.object, client: c, renewal: p.renewal, feed: access.NewFeed(), networks: map[string]*podnet.Network{}}
	w.pods, w.toPod = standin.New(ctx, w.object.Name), topod.New(ctx, p.log)
	w.mounts = mounts.New(mounts.Config{Dir: p.dir, Record: p.record, Open: w.openFiles, Log: p.log})
	w.table = local.NewTable(ctx, c, w.object.Name, w.object.Spec.User, p.log, func() {
		p.saveIntercepts(w.table)
		w.pods.Keep(w.table.UIDs())
		w.mounts.Keep(w.table.UIDs)
		w.keepNetworks()
	})
	go buffer.ReleaseMemory(ctx)
	s := p.record.State()
	hello := handshake.Hello{Session: w.object.Name, Secret: handshake.NewSecret(), Generation: s.Generation,
		Direction: handshake.Inbound, Version: socket.Build()}
	var err error
	if w.link, err = p.newLink(ctx, c, hello, w.table.Handle, w.pods); err != nil {
		return nil, err
	}
	w.access = access.New(ctx, access.Config{
		Log:      p.log,
		Upstream: access.Upstream{Dial: w.link.dial, Outdated: w.link.outdated, Hello: hello, Lines: w.link.lines, Budget: windowBudget},
		Cluster: access.Cluster{Feed: w.feed, Reader: c, Config: p.source.Config, Domain: func() string { return w.link.pool.State().Domain },
			Intercepts: w.table.Keys},
		Machine: p.machine,
		Record:  p.record,
		Denials: &w.denials,
		Explain: p.explainTaken,
		Redial:  w.link.redial,
		Via:     w.via,
		Pod:     w.pod,
		Times:   p.times.access,
	})
	return w, nil
}

// via is the network of the pod that an intercept stands in for.
func (w *work) via(intercept string) access.PodNetwork {
	w.networksMu.Lock()
	defer w.networksMu.Unlock()
	n := w.networks[intercept]
	if n == nil {
		namespace, name, _ := strings.Cut(intercept, "/")
		n = podnet.New(types.NamespacedName{Namespace: namespace, Name: name}, w.table.Known, w.pods)
		w.networks[intercept] = n
	}
	return n
}

// pod is that of access.Config.
func (w *work) pod(intercept string) string {
	namespace, name, _ := strings.Cut(intercept, "/")
	i := w.table.Served(types.NamespacedName{Namespace: namespace, Name: name})
	if i == nil {
		return ""
	}
	pod := w.pods.Pod(string(i.UID))
	if s := i.Status.StandIn; s != nil && pod != namespace+"/"+s.Pod {
		return "" // its lines are dead, and those of the next pod have not come
	}
	return pod
}

// keepNetworks forgets the networks of intercepts that are gone.
func (w *work) keepNetworks() {
	now := map[string]bool{}
	for _, key := range w.table.Keys() {
		now[key.String()] = true
	}
	w.toPod.Keep(now)
	w.networksMu.Lock()
	defer w.networksMu.Unlock()
	maps.DeleteFunc(w.networks, func(key string, _ *podnet.Network) bool { return !now[key] })
}

// saveIntercepts saves the intercepts that the next process has to serve. It saves nothing
// if the process is ending.
func (p *process) saveIntercepts(table *local.Table) {
	p.life.unlessEnding(func() {
		p.record.Change(func(s *state.State) { s.Intercepts, s.Programs = table.Keys(), table.Programs() })
	})
}

// resume serves the intercepts that an earlier process served.
func (w *work) resume(ctx context.Context, former state.State) {
	for _, key := range former.Intercepts {
		p := former.Programs[key.String()]
		if _, err := w.table.Track(ctx, key, p); err != nil {
			w.log.Info("intercept is not resumed", "intercept", key.String(), "error", err)
			continue
		}
		if err := w.serveToPod(ctx, key, p); err != nil {
			w.log.Warn("ports do not lead into the pod any more", "intercept", key.String(), "error", err)
		}
		if i, err := w.table.Intercept(ctx, key); err == nil {
			w.mounts.Resume(ctx, key.String(), string(i.UID), former.Mounts[key.String()])
		}
	}
}

// woke handles that the machine has slept for the duration gap.
func (w *work) woke(gap time.Duration) {
	w.link.woke(gap)
	w.access.Woke(gap)
}

// retry tries again everything that waits for its next attempt.
func (w *work) retry() {
	w.renewal.wake()
	w.access.Retry()
	w.link.retry()
}
