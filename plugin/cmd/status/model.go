package status

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/license"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

// Status is what -o json prints.
type Status struct {
	Running   bool            `json:"running"`
	Session   *session.Status `json:"session,omitempty"`
	User      string          `json:"user,omitempty"`
	Context   string          `json:"context"`
	Server    string          `json:"server"`
	Namespace string          `json:"namespace"`
	Manager   Manager         `json:"manager"`
	// License is nil where the traffic-manager does not tell.
	License *license.Report `json:"license,omitempty"`
	// Network says how the cluster's network is reached from this machine, or
	// "off".
	Network    string      `json:"network"`
	Intercepts []Intercept `json:"intercepts"`
	// Others are the user's other sessions on this machine.
	Others []session.Known `json:"others,omitempty"`
	// Error is why the cluster, or the kubeconfig, did not tell everything.
	Error string `json:"error,omitempty"`

	unread bool // Intercepts could not be listed
}

// Manager is the traffic-manager.
type Manager struct {
	Installed bool   `json:"installed"`
	Version   string `json:"version,omitempty"`
	Namespace string `json:"namespace"`
}

// Intercept is one that is the user's or in the current namespace.
type Intercept struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Workload  string `json:"workload,omitempty"`
	Owner     string `json:"owner"`
	State     string `json:"state"`
	Message   string `json:"message,omitempty"`
	Ports     []Port `json:"ports"`
	Mode      string `json:"mode,omitempty"`
	// Stopped is the container that the intercept stops, and in how many pods.
	Stopped string `json:"stopped,omitempty"`
	// Ingesting says in words what an intercept takes that takes nothing.
	Ingesting string `json:"-"`
	// Match are the conditions of a personal intercept, each in words.
	Match       []string `json:"match,omitempty"`
	Connections int64    `json:"connections"`
	// Requests that a personal intercept took.
	Requests int64 `json:"requests,omitempty"`
	// Matching is how requests compared with the conditions. If none met them, DidYouMean
	// are names of headers like those of the conditions, and TryIt is a command that sends
	// a request which meets them.
	Matching   *v1alpha1.Matching `json:"matching,omitempty"`
	DidYouMean []string           `json:"didYouMean,omitempty"`
	TryIt      string             `json:"tryIt,omitempty"`
	// Values are there with --show-values.
	Values *Values `json:"values,omitempty"`

	// Opaque is how many connections passed to the application unread.
	Opaque    int64 `json:"opaque,omitempty"`
	Fallbacks int64 `json:"fallbacks"`
	// Mirroring says what a mirror copies, in words, and BytesCopied how much that was.
	// Connections are its copies then, and Fallbacks those that were dropped.
	Mirroring   string `json:"mirroring,omitempty"`
	BytesCopied int64  `json:"bytesCopied,omitempty"`
	NoFallback  bool   `json:"noFallback,omitempty"`
	// VolumeMountPoint says where this machine has the container's volumes.
	VolumeMountPoint string `json:"volumeMountPoint,omitempty"`
	// Overlap says which other intercepts may take some of the requests, or lose them.
	Overlap string `json:"overlap,omitempty"`
	// Elsewhere says where the traffic of one of the user's goes, if not to this
	// session.
	Elsewhere string `json:"elsewhere,omitempty"`
	// Preview is where the preview is, or why it leads nowhere; nil: there is none.
	Preview *v1alpha1.PreviewStatus `json:"preview,omitempty"`
	// NotDelivered says for what reasons there were fallbacks.
	NotDelivered []v1alpha1.NotDelivered `json:"notDelivered,omitempty"`
	// Probes are those of the kubelet that failed in its pods since it began.
	Probes []FailedProbe `json:"failedProbes,omitempty"`
}

// Port is an intercepted port and where it goes.
type Port struct {
	Port  string `json:"port"`
	Local string `json:"local"`
	// Untyped says that nobody typed the address on this machine, and that it is not loopback.
	Untyped bool `json:"untyped,omitempty"`
}

func describe(i *v1alpha1.Intercept) Intercept {
	d := Intercept{Namespace: i.Namespace, Name: i.Name, Workload: resolve.RefString(i.Spec.Workload), Owner: i.Spec.User,
		State: string(render.State(i)), Message: i.Status.Message, Connections: i.Status.Connections, Requests: i.Status.Requests,
		NoFallback: i.Spec.NoFallback, Ports: []Port{}, Mode: string(cmp.Or(i.Spec.Mode, v1alpha1.ModeGlobal)), Match: render.Conditions(&i.Spec)}
	if c := meta.FindStatusCondition(i.Status.Conditions, v1alpha1.ConditionOverlap); c != nil && c.Status == metav1.ConditionTrue {
		d.Overlap = c.Message
	}
	d.addMatching(i)
	d.Stopped = render.Stopped(i)
	if i.Spec.Mode == v1alpha1.ModeIngest || i.Spec.Mode == v1alpha1.ModeReplace && len(i.Spec.Ports) == 0 {
		d.Ingesting = render.Taken(&i.Spec)
	}
	if i.Spec.Mode == v1alpha1.ModeMirror {
		d.Mirroring = render.Taken(&i.Spec)
	}
	for _, p := range i.Status.Pods {
		if d.Mirroring != "" {
			d.BytesCopied += p.BytesIn
		}
		d.Fallbacks += p.Fallbacks
		d.Opaque += p.Opaque
		d.NotDelivered = addMissed(d.NotDelivered, p)
	}
	if i.Spec.Preview != nil {
		d.Preview = i.Status.Preview
	}
	for _, p := range i.Status.Ports {
		d.Ports = append(d.Ports, Port{Port: resolve.Identifier(p), Local: render.Local(p.LocalHost, p.LocalPort, p.Protocol)})
	}
	if len(d.Ports) == 0 {
		for _, p := range i.Spec.Ports {
			d.Ports = append(d.Ports, Port{Port: p.Port, Local: render.Local(p.LocalHost, p.LocalPort, p.Protocol)})
		}
	}
	return d
}

// leftBehind says of an intercept without a traffic-manager, whose status is of
// before, what holds now.
func (i *Intercept) leftBehind(absent error) {
	var no *target.NotInstalledError
	if errors.As(absent, &no) {
		i.State = string(v1alpha1.StateWaiting)
		i.Message = fmt.Sprintf("there is no traffic-manager, so the application answers; kubectl intercept leave %s -n %s ends the intercept", i.Name, i.Namespace)
	}
}

// addVolumes adds where this machine has the volumes of intercepts' containers.
func (s *Status) addVolumes(p *session.Status) {
	for n := range s.Intercepts {
		i := &s.Intercepts[n]
		if v, ok := p.Volumes[i.Namespace+"/"+i.Name]; ok {
			i.VolumeMountPoint = v.Line()
		}
	}
}

// addOffline adds what only the session knows: to which ports it does not connect, and its
// intercepts in namespaces that could not be read.
func (s *Status) addOffline(p *session.Status) {
	for _, i := range p.Intercepts {
		if k := slices.IndexFunc(s.Intercepts, func(have Intercept) bool { return have.Namespace == i.Namespace && have.Name == i.Name }); k >= 0 {
			s.Intercepts[k].addUntyped(i.Ports)
			continue
		}
		d := Intercept{Namespace: i.Namespace, Name: i.Name, Owner: p.User, State: i.State, Ports: []Port{}}
		for _, p := range i.Ports {
			d.Connections += p.Connections
			d.Ports = append(d.Ports, Port{Local: p.Local, Untyped: p.Untyped})
		}
		s.Intercepts = append(s.Intercepts, d)
	}
	slices.SortFunc(s.Intercepts, func(a, b Intercept) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
}

// addUntyped notes the ports to which the session does not connect.
func (i *Intercept) addUntyped(ports []session.StatusPort) {
	for n := range i.Ports {
		p := &i.Ports[n]
		p.Untyped = slices.ContainsFunc(ports, func(o session.StatusPort) bool { return o.Untyped && o.Local == strings.TrimSuffix(p.Local, "/UDP") })
	}
}

// locals are the addresses on the laptop, for a sentence.
func (i *Intercept) locals() string {
	var all []string
	for _, p := range i.Ports {
		all = append(all, p.Local)
	}
	return strings.Join(all, ", ")
}

// soFar never says a bare nought.
func soFar(n int64) string {
	if n == 0 {
		return "0 so far"
	}
	return fmt.Sprint(n)
}
