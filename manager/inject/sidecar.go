package inject

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/sidecar"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/mesh"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

// agentUID is the user of the agent where the pod does not use it already. No
// system gives it out, so the redirect can tell the agent from the application.
const agentUID = 65431

// Request is what the injector knows beside the pod.
type Request struct {
	// Services are those of the pod's namespace.
	Services []corev1.Service
	// Intercepted are the ports that intercepts want in this pod.
	Intercepted []v1alpha1.ResolvedPort
	// Level is the pod security level that the namespace enforces; empty for
	// none. Below privileged there can be no init container with NET_ADMIN.
	Level string
	// Mesh says that the pod is in Istio, whose Sidecar objects lead numbers of
	// TCP ports to the agent instead of an init container.
	Mesh bool
}

// byMesh says whether the mesh can lead to the agent whoever calls t's number.
func (q Request) byMesh(t target) bool { return q.Mesh && t.protocol == corev1.ProtocolTCP }

// admitsNetAdmin says whether pods with that capability are let in.
func (q Request) admitsNetAdmin() bool { return q.Level == "" || q.Level == "privileged" }

// Refusal is why a pod cannot have a sidecar, in half a sentence.
type Refusal string

// Error is the refusal.
func (r Refusal) Error() string { return string(r) }

// ErrNothing says that no port of the pod is to be served.
var ErrNothing = errors.New("no Service leads to the pod")

// Sidecar returns the pod with an agent in front of its ports, or why that
// cannot be: a Refusal or ErrNothing. A pod that has one comes back as it is.
// The pod given is not changed.
func Sidecar(pod *corev1.Pod, q Request, cfg Config) (*corev1.Pod, error) {
	if sidecar.Of(pod) != nil {
		return pod, nil
	}
	w, err := resolve.ReadWishes(pod.Annotations)
	if err != nil {
		return nil, Refusal(err.Error())
	}
	if r := Obstacle(&pod.Spec); r != "" {
		return nil, Refusal(r)
	}
	all, err := targets(pod, w, q)
	if err != nil {
		return nil, Refusal(err.Error())
	}
	if !q.admitsNetAdmin() {
		if all, err = unprivileged(all, q); err != nil {
			return nil, err
		}
	}
	if len(all) == 0 {
		return nil, ErrNothing
	}
	s := &rpc.Sidecar{UID: freeUser(&pod.Spec), Ports: assign(pod, all, q.byMesh), IgnoreMounts: w.IgnoreMounts, OnDemand: w.Inject != resolve.WishEnabled}
	if name := sidecar.FreeName(pod, sidecar.Container); name != sidecar.Container {
		s.Container = name
	}
	if name := sidecar.FreeName(pod, sidecar.InitContainer); name != sidecar.InitContainer {
		s.InitContainer = name
	}
	out := pod.DeepCopy()
	redirected := false
	for _, p := range s.Ports {
		switch {
		case p.TakesName():
			release(&out.Spec, p)
		case p.Redirect:
			redirected = true
		default:
			metav1.SetMetaDataLabel(&out.ObjectMeta, mesh.PodLabel, mesh.PodLabelValue)
		}
	}
	text, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("write annotation: %w", err)
	}
	metav1.SetMetaDataAnnotation(&out.ObjectMeta, sidecar.Annotation, string(text))
	if redirected {
		out.Spec.InitContainers = append(out.Spec.InitContainers, initContainer(s, cfg))
	}
	out.Spec.Containers = append(out.Spec.Containers, agentContainer(s, w, cfg))
	out.Spec.Volumes = append(out.Spec.Volumes, volumes(w, cfg)...)
	for _, name := range cfg.PullSecrets {
		ref := corev1.LocalObjectReference{Name: name}
		if !slices.Contains(out.Spec.ImagePullSecrets, ref) {
			out.Spec.ImagePullSecrets = append(out.Spec.ImagePullSecrets, ref)
		}
	}
	return out, nil
}

// Obstacle says why pods with this spec cannot have a sidecar by their nature,
// in half a sentence; empty when they can.
func Obstacle(spec *corev1.PodSpec) string {
	switch why := resolve.SpecObstacle(spec); {
	case why != "":
		return why
	case spec.OS != nil && spec.OS.Name == corev1.Windows:
		return "its pods run Windows"
	case spec.RestartPolicy != "" && spec.RestartPolicy != corev1.RestartPolicyAlways:
		return "its pods run to an end, which a sidecar would keep them from"
	}
	return ""
}

// unprivileged leaves out the ports that need a redirect. That an intercepted
// one is among them is a refusal: nothing else would be of use.
func unprivileged(all []target, q Request) ([]target, error) {
	var kept []target
	for _, t := range all {
		if !t.byNumber || q.byMesh(t) {
			kept = append(kept, t)
			continue
		}
		if intercepted(q, t) {
			return nil, Refusal(fmt.Sprintf("callers reach port %d/%s by its number, and the redirect for that needs an init container with NET_ADMIN, "+
				"which the pod security level %q of the namespace refuses: name the port in the pod template and use the name as the targetPort of its Service, or set the level to privileged",
				t.number, t.protocol, q.Level))
		}
	}
	return kept, nil
}

// release takes a port's name from the application, for the agent to have, and
// lets the kubelet's calls follow the number that it has in their own container.
func release(spec *corev1.PodSpec, p rpc.SidecarPort) {
	for _, group := range [][]corev1.Container{spec.Containers, spec.InitContainers} {
		for i := range group {
			c := &group[i]
			own := int32(0) // two containers may give one name to different ports
			for k := range c.Ports {
				port := &c.Ports[k]
				if port.Name == p.Name && (port.Protocol == "" && p.Protocol == "TCP" || string(port.Protocol) == p.Protocol) {
					port.Name, own = "", cmp.Or(own, port.ContainerPort)
				}
			}
			if own == 0 || p.Protocol != "TCP" {
				continue
			}
			sidecar.HandlerPorts(c, func(port *intstr.IntOrString) {
				if port.Type == intstr.String && port.StrVal == p.Name {
					*port = intstr.FromInt32(own)
				}
			})
		}
	}
}

// freeUser is a user that no container of the pod says to run as.
func freeUser(spec *corev1.PodSpec) int64 {
	used := map[int64]bool{}
	if sc := spec.SecurityContext; sc != nil && sc.RunAsUser != nil {
		used[*sc.RunAsUser] = true
	}
	for _, c := range slices.Concat(spec.Containers, spec.InitContainers) {
		if sc := c.SecurityContext; sc != nil && sc.RunAsUser != nil {
			used[*sc.RunAsUser] = true
		}
	}
	uid := int64(agentUID)
	for used[uid] {
		uid++
	}
	return uid
}
