package version

import (
	"cmp"
	"context"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/version"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/socket"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

// Versions is what -o json prints.
type Versions struct {
	Client  Client   `json:"clientVersion"`
	Session *Session `json:"sessionVersion,omitempty"`
	Netd    *Netd    `json:"netdVersion,omitempty"`
	Manager *Manager `json:"managerVersion,omitempty"`
	Agents  []Agents `json:"agentVersions,omitempty"`
	// Skew says in sentences which parts do not fit, and what to type.
	Skew []string `json:"skew,omitempty"`
}

// Client is the plugin.
type Client struct {
	Version   string `json:"version"`
	Commit    string `json:"commit,omitempty"`
	GoVersion string `json:"goVersion"`
	Platform  string `json:"platform"`

	build string
}

// Session is the session process of the kube context.
type Session struct {
	Version string `json:"version"`
	PID     int    `json:"pid"`

	build string
}

// Netd is the intercept-netd that runs.
type Netd struct {
	Version string `json:"version"`
}

// Manager is the traffic-manager.
type Manager struct {
	Version   string `json:"version"`
	Namespace string `json:"namespace"`
}

// Agents are the pods, as NAMESPACE/NAME, whose agents are of one version.
type Agents struct {
	Version string   `json:"version"`
	Pods    []string `json:"pods"`
}

// collect asks all parts at once. The error is about the traffic-manager. What else cannot
// be asked is left out: it may not be there, or not be the user's to see.
func (o *Options) collect(ctx context.Context) (*Versions, error) {
	v := &Versions{Client: Client{Version: version.Version, Commit: version.Commit(), build: socket.Build(),
		GoVersion: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}}
	if o.ClientOnly {
		return v, nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var g errgroup.Group
	g.Go(func() error {
		if s, err := o.sessions.Find(ctx, o.factory); err == nil && s != nil {
			v.Session = &Session{Version: s.Version, PID: s.PID, build: s.Build}
		}
		return nil
	})
	g.Go(func() error {
		if release, err := o.sessions.Netd(ctx); err == nil && release != "" {
			v.Netd = &Netd{Version: release}
		}
		return nil
	})
	g.Go(func() error {
		c, err := o.factory.Client()
		if err != nil {
			return err
		}
		manager, err := target.Manager(ctx, c, o.factory.ManagerNamespace)
		if err != nil {
			return err
		}
		v.Manager = &Manager{Version: manager, Namespace: o.factory.ManagerNamespace}
		namespace, err := o.factory.Namespace()
		if err != nil {
			return err
		}
		if intercepts, err := target.VisibleIntercepts(ctx, c, namespace, o.factory.ManagerNamespace); err == nil {
			v.Agents = agents(intercepts)
		}
		return nil
	})
	return v, g.Wait()
}

// agents are those of intercepts, each pod once, by version.
func agents(intercepts []v1alpha1.Intercept) []Agents {
	pods := map[string][]string{}
	for _, i := range intercepts {
		for _, p := range i.Status.Pods {
			for _, port := range p.Ports {
				name := i.Namespace + "/" + p.Name
				if port.AgentVersion != "" && !slices.Contains(pods[port.AgentVersion], name) {
					pods[port.AgentVersion] = append(pods[port.AgentVersion], name)
				}
			}
		}
	}
	var all []Agents
	for release, names := range pods {
		slices.Sort(names)
		all = append(all, Agents{Version: release, Pods: names})
	}
	slices.SortFunc(all, func(a, b Agents) int { return cmp.Compare(a.Version, b.Version) })
	return all
}
