package resolve

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// PortError says that what was asked does not lead to exactly one port.
type PortError struct {
	// Port is the identifier as given; empty when none was.
	Port string
	// Service is the Service as given, when that is what is wrong.
	Service string
	// Reason is a sentence about the workload.
	Reason string
	// Choices are what would do in its place, for people.
	Choices []string
	// Example are flags of the plugin that would do; empty if none would.
	Example string

	services []string                // which could be chosen
	offers   []v1alpha1.ResolvedPort // which could be meant
}

// Error names what was asked, why it fails and what can be chosen.
func (e *PortError) Error() string {
	if len(e.Choices) == 0 {
		return e.Reason
	}
	return e.Reason + "; choose one of: " + strings.Join(e.Choices, ", ")
}

// advise fills Choices and Example with what leads to a port: each is tried with
// resolve, which returns nothing where it fails.
func (e *PortError) advise(resolve func(service string, asks []v1alpha1.InterceptPort) []v1alpha1.ResolvedPort, service string, asks []v1alpha1.InterceptPort) {
	for _, s := range e.services {
		e.Choices = append(e.Choices, s)
		if e.Example == "" && resolve(s, asks) != nil {
			e.Example = "--service " + s
		}
	}
	at := 0 // the first that does not resolve
	for at < len(asks)-1 && resolve(service, asks[:at+1]) != nil {
		at++
	}
	var said []string
	for _, p := range e.offers {
		leads := func(service string, ask v1alpha1.InterceptPort) bool {
			found := resolve(service, append(slices.Clone(asks[:at]), ask))
			return found != nil && same(found[at], p)
		}
		for _, ask := range waysToAsk(p) {
			ask.LocalPort = asks[at].LocalPort
			alone := leads(service, ask)
			if !alone && (service != "" || !leads(p.Service, ask)) {
				continue
			}
			if name := askName(ask); !alone || !slices.Contains(said, name) {
				e.Choices = append(e.Choices, describe(p, ask))
				said = append(said, name)
			}
			if e.Example == "" {
				e.Example = fmt.Sprintf("--port %d:%s", ask.LocalPort, askName(ask))
				if !alone {
					e.Example += " --service " + p.Service
				}
			}
			break
		}
	}
}

// waysToAsk are the ways to ask for a port, the shortest first.
func waysToAsk(p v1alpha1.ResolvedPort) []v1alpha1.InterceptPort {
	name, number := names(p)
	var all []v1alpha1.InterceptPort
	for _, protocol := range []corev1.Protocol{"", p.Protocol} {
		if name != "" {
			all = append(all, v1alpha1.InterceptPort{Port: name, Protocol: protocol})
		}
		all = append(all, v1alpha1.InterceptPort{Port: strconv.Itoa(int(number)), Protocol: protocol})
	}
	return all
}

// names are name and number of a port: the Service's, else the container's.
func names(p v1alpha1.ResolvedPort) (string, int32) {
	if p.Service != "" {
		return p.ServicePortName, p.ServicePort
	}
	return p.ContainerPortName, p.ContainerPort
}

// named says that an identifier is the name or the number of a port.
func named(p v1alpha1.ResolvedPort, identifier string) bool {
	name, number := names(p)
	return identifier != "" && (name == identifier || strconv.Itoa(int(number)) == identifier)
}

// same says that two resolved ports are one port of the application.
func same(a, b v1alpha1.ResolvedPort) bool {
	return a.ContainerPort == b.ContainerPort && a.Protocol == b.Protocol
}

// describe offers a port to a person: "http (80, service/quote)". It begins with
// how it is asked for.
func describe(p v1alpha1.ResolvedPort, ask v1alpha1.InterceptPort) string {
	name, number := names(p)
	var about []string
	switch {
	case ask.Port == name:
		about = append(about, strconv.Itoa(int(number)))
	case name != "":
		about = append(about, fmt.Sprintf("named %q", name))
	}
	if p.Service != "" {
		about = append(about, "service/"+p.Service)
	} else {
		about = append(about, "container port")
	}
	if p.Protocol == corev1.ProtocolUDP {
		about = append(about, "UDP")
	}
	return fmt.Sprintf("%s (%s)", askName(ask), strings.Join(about, ", "))
}

// askName is an identifier as it is written after LOCAL.
func askName(ask v1alpha1.InterceptPort) string {
	if ask.Protocol == "" {
		return ask.Port
	}
	return ask.Port + "/" + strings.ToLower(string(ask.Protocol))
}

// ambiguous is the error about several ports of which one is to be chosen.
func ambiguous(w *Workload, ask v1alpha1.InterceptPort, found []v1alpha1.ResolvedPort) error {
	e := &PortError{Port: ask.Port, offers: found, Reason: fmt.Sprintf("port %q of %s is ambiguous", portName(ask), w)}
	differs := func(what func(v1alpha1.ResolvedPort) string) bool {
		return slices.ContainsFunc(found, func(p v1alpha1.ResolvedPort) bool { return what(p) != what(found[0]) })
	}
	switch {
	case ask.Port == "":
		e.Reason = fmt.Sprintf("%s has several ports", w)
	case differs(func(p v1alpha1.ResolvedPort) string { return p.Service }):
		e.Reason += ": pick the Service with --service"
	case differs(func(p v1alpha1.ResolvedPort) string { return string(p.Protocol) }):
		e.Reason = fmt.Sprintf("port %q of %s exists for TCP and for UDP: say %s/tcp or %s/udp", ask.Port, w, ask.Port, ask.Port)
	}
	return e
}

func portName(ask v1alpha1.InterceptPort) string {
	if ask.Protocol == corev1.ProtocolUDP {
		return ask.Port + "/UDP"
	}
	return ask.Port
}
