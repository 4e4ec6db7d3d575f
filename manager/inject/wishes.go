package inject

import (
	"fmt"
	"strings"
)

// Wish is what a pod says about injection.
type Wish int

// The wishes.
const (
	WishNone     Wish = iota // the policy decides
	WishEnabled              // inject when the pod is made
	WishDisabled             // never inject
)

// Wishes are the annotations of a pod template that speak of the agent.
type Wishes struct {
	Inject Wish
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

// spellings are where a wish may stand: ours first, then those that people
// bring along.
func spellings(name string, legacy ...string) []string {
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
		Service:        value(spellings("service-name", "inject-service-name")),
		Ports:          list(value(spellings("service-ports", "inject-service-ports", "inject-service-port"))),
		ContainerPorts: list(value(spellings("container-ports", "inject-container-ports"))),
		IgnoreMounts:   list(value(spellings("ignore-volume-mounts", "inject-ignore-volume-mounts"))),
		TerminatingTLS: value(spellings("terminating-tls-secret", "inject-terminating-tls-secret")),
		OriginatingTLS: value(spellings("originating-tls-secret", "inject-originating-tls-secret")),
	}
	key, v := find(spellings("inject", "inject-traffic-agent"))
	switch strings.ToLower(v) {
	case "":
	case "enabled", "true":
		w.Inject = WishEnabled
	case "disabled", "false":
		w.Inject = WishDisabled
	default:
		return w, fmt.Errorf("annotation %s is %q: use enabled or disabled", key, v)
	}
	return w, nil
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
