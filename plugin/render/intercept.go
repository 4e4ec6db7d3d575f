package render

import (
	"cmp"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// Intercept prints what `add` says about an intercept, whose container's volumes this machine
// has as mountPoint tells; "" is none.
func Intercept(w io.Writer, i *v1alpha1.Intercept, mountPoint string) error {
	var destinations, identifiers []string
	for _, p := range i.Status.Ports {
		destinations = append(destinations, Local(p.LocalHost, p.LocalPort, p.Protocol))
		id := resolve.Identifier(p)
		if p.Service == "" {
			id += " (container port)"
		}
		identifiers = append(identifiers, id)
	}
	rows := []Row{
		{"Intercept name", i.Name},
		{"State", strings.ToUpper(string(State(i)))},
		{"Workload kind", i.Spec.Workload.Kind},
		{"Destination", strings.Join(destinations, ", ")},
		{"Service Port Identifier", strings.Join(identifiers, ", ")},
		{"In place of", standsIn(i)},
		{"Stopped", Stopped(i)},
		{"Volume Mount Point", mountPoint},
		{Taking(&i.Spec), Taken(&i.Spec)},
	}
	if i.Status.Injection != "" {
		rows = append(rows, Row{"Agent", fmt.Sprintf("%s (%s)", i.Status.Injection, i.Status.InjectionReason)})
	}
	return Block(w, "    ", append(rows, Row{"Try it", Curl(i)}))
}

// standsIn is the container in whose place this machine is without taking traffic; "" if
// there is none.
func standsIn(i *v1alpha1.Intercept) string {
	s := i.Status.StandIn
	if i.Spec.Mode != v1alpha1.ModeIngest || s == nil || s.Reason != "" {
		return ""
	}
	return fmt.Sprintf("container %s of pod %s", s.Container, s.Pod)
}

// Stopped is the container that an intercept stops, and in how many pods it has; "" if it stops
// none.
func Stopped(i *v1alpha1.Intercept) string {
	name, pods := "", int64(0)
	for _, p := range i.Status.Pods {
		if c := p.Container; i.Spec.Mode == v1alpha1.ModeReplace && c != nil && c.State == v1alpha1.PodActive {
			name = c.Name
			pods++
		}
	}
	if pods == 0 {
		return ""
	}
	return fmt.Sprintf("container %s in %s", name, Count(pods, "pod"))
}

// PreviewURL is the URL of an intercept's preview; "" if it has none that leads somewhere.
func PreviewURL(i *v1alpha1.Intercept) string {
	if p := i.Status.Preview; i.Spec.Preview != nil && p != nil && p.Message == "" {
		return p.URL
	}
	return ""
}

// State is the state in one word; Waiting before the traffic-manager has
// spoken of this generation.
func State(i *v1alpha1.Intercept) v1alpha1.InterceptState {
	if i.Status.ObservedGeneration != i.Generation {
		return v1alpha1.StateWaiting
	}
	return cmp.Or(i.Status.State, v1alpha1.StateWaiting)
}

// Local is an address on the laptop: "127.0.0.1:8080", "127.0.0.1:53/UDP".
func Local(host string, port int32, protocol corev1.Protocol) string {
	s := net.JoinHostPort(cmp.Or(host, "127.0.0.1"), strconv.Itoa(int(port)))
	if protocol == corev1.ProtocolUDP {
		s += "/UDP"
	}
	return s
}

// Count is "1 connection", "3 connections".
func Count(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func traffic(ports []v1alpha1.InterceptPort) string {
	has := func(protocol corev1.Protocol) bool {
		return slices.ContainsFunc(ports, func(p v1alpha1.InterceptPort) bool {
			return cmp.Or(p.Protocol, corev1.ProtocolTCP) == protocol
		})
	}
	switch {
	case has(corev1.ProtocolTCP) && has(corev1.ProtocolUDP):
		return "TCP connections and UDP packets"
	case has(corev1.ProtocolUDP):
		return "UDP packets"
	}
	return "TCP connections"
}
