package resolve

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// Wish is what a pod says about agents in it.
type Wish int

// The wishes.
const (
	WishNone     Wish = iota // the policy decides
	WishEnabled              // inject when the pod is made
	WishDisabled             // no agent, neither sidecar nor ephemeral container
)

// TerminatingTLSKey is the annotation that names a Secret for the callers' TLS.
const TerminatingTLSKey = "kubectl-intercept.dev/terminating-tls-secret"

// Wishes are the annotations of a pod template that speak of the agent.
type Wishes struct {
	Inject Wish
	// DisabledBy is the annotation that keeps agents out, if one does.
	DisabledBy string
	// Service is the only Service that counts; empty for all.
	Service string
	// Ports are names or numbers of the only Service ports that count.
	Ports []string
	// ContainerPorts are served too, with or without a Service: "8080",
	// "http", "5353/udp".
	ContainerPorts []string
	// IgnoreMounts are volume mounts that stay in the pod, by name or path.
	IgnoreMounts []string
	// TerminatingTLS and OriginatingTLS are Secrets of the pod's namespace.
	TerminatingTLS, OriginatingTLS string
}

// annotationKeys are where a wish may stand: ours first, then those that people
// bring along.
func annotationKeys(name string, legacy ...string) []string {
	keys := []string{"kubectl-intercept.dev/" + name}
	for _, prefix := range []string{"telepresence.io/", "telepresence.getambassador.io/"} {
		for _, l := range legacy {
			keys = append(keys, prefix+l)
		}
	}
	return keys
}

// ReadWishes reads a pod's annotations. Of several spellings the first of
// ours, telepresence.io, telepresence.getambassador.io counts.
func ReadWishes(annotations map[string]string) (Wishes, error) {
	find := func(keys []string) (key, value string) {
		for _, k := range keys {
			if v, ok := annotations[k]; ok {
				return k, strings.TrimSpace(v)
			}
		}
		return "", ""
	}
	value := func(keys []string) string { _, v := find(keys); return v }
	w := Wishes{
		Service:        value(annotationKeys("service-name", "inject-service-name")),
		Ports:          list(value(annotationKeys("service-ports", "inject-service-ports", "inject-service-port"))),
		ContainerPorts: list(value(annotationKeys("container-ports", "inject-container-ports"))),
		IgnoreMounts:   list(value(annotationKeys("ignore-volume-mounts", "inject-ignore-volume-mounts"))),
		TerminatingTLS: value(annotationKeys("terminating-tls-secret", "inject-terminating-tls-secret")),
		OriginatingTLS: value(annotationKeys("originating-tls-secret", "inject-originating-tls-secret")),
	}
	key, v := find(annotationKeys("inject", "inject-traffic-agent"))
	switch strings.ToLower(v) {
	case "":
	case "enabled", "true":
		w.Inject = WishEnabled
	case "disabled", "false":
		w.Inject, w.DisabledBy = WishDisabled, key
	default:
		return w, fmt.Errorf("annotation %s is %q: use enabled or disabled", key, v)
	}
	return w, nil
}

// Limited says that not every Service port counts.
func (w *Wishes) Limited() bool { return w.Service != "" || len(w.Ports) > 0 }

// Chooses says whether a Service port counts.
func (w *Wishes) Chooses(s *corev1.Service, sp corev1.ServicePort) bool {
	return (w.Service == "" || w.Service == s.Name) &&
		(len(w.Ports) == 0 || slices.Contains(w.Ports, sp.Name) || slices.Contains(w.Ports, strconv.Itoa(int(sp.Port))))
}

// ContainerPort reads one of ContainerPorts: the port of the application that it
// means in pods with this spec.
func ContainerPort(spec *corev1.PodSpec, text string) (v1alpha1.ResolvedPort, error) {
	name, protocol, _ := strings.Cut(text, "/")
	p := v1alpha1.ResolvedPort{Protocol: corev1.Protocol(strings.ToUpper(cmp.Or(protocol, "TCP")))}
	if n, err := strconv.ParseUint(name, 10, 16); err == nil {
		p.ContainerPort = int32(n)
	} else {
		p.ContainerPortName, p.ContainerPort = name, NamedPort(Containers(spec), name, p.Protocol)
	}
	if p.ContainerPort == 0 || p.Protocol != corev1.ProtocolTCP && p.Protocol != corev1.ProtocolUDP {
		return p, fmt.Errorf("annotation container-ports: the pod has no port %q", text)
	}
	return p, nil
}

func list(text string) []string {
	var out []string
	for s := range strings.SplitSeq(text, ",") {
		if s = strings.TrimSpace(s); s != "" {
			out = append(out, s)
		}
	}
	return out
}
