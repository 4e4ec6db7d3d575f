package plan

import (
	"cmp"
	"encoding/json"
	"maps"
	"net"
	"net/url"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/sidecar"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

// declareProbes adds to a port the kubelet's probes and hooks that call it, so that the
// agent recognizes them. It adds none if the kubelet's requests do not pass through the
// agent.
func declareProbes(c *rpc.CapturePort, pod *corev1.Pod) {
	number := int32(c.Port)
	if c.Protocol != rpc.Protocol_TCP || sidecar.TakenOver(sidecar.Of(pod), number) {
		return
	}
	for _, container := range resolve.Containers(&pod.Spec) {
		sidecar.Handlers(&container, func(h corev1.ProbeHandler, hook bool) {
			if hook {
				h.TCPSocket = nil // the kubelet ignores tcpSocket in hooks
			}
			if p := probeOf(&container, number, h); p != nil {
				p.Hook = hook
				c.Probes = append(c.Probes, p)
			}
		})
	}
	meshed := meshProbes(pod, number)
	c.Probes = append(c.Probes, meshed...)
	if len(c.Probes) == 0 {
		return
	}
	for _, a := range pod.Status.HostIPs {
		c.NodeAddresses = append(c.NodeAddresses, a.IP)
	}
	if len(meshed) > 0 { // the mesh's proxy makes these probes instead of the kubelet
		c.NodeAddresses = append(c.NodeAddresses, "127.0.0.1", "::1")
		for _, a := range pod.Status.PodIPs {
			c.NodeAddresses = append(c.NodeAddresses, a.IP)
		}
	}
}

// probeOf returns the probe of a handler. It returns nil if the handler is for another
// port.
func probeOf(c *corev1.Container, number int32, h corev1.ProbeHandler) *rpc.Probe {
	switch {
	case h.GRPC != nil && h.GRPC.Port == number:
		return &rpc.Probe{Kind: rpc.Probe_GRPC}
	case h.TCPSocket != nil && resolve.HandlerPort(c, h.TCPSocket.Port) == number:
		return &rpc.Probe{Kind: rpc.Probe_TCP}
	case h.HTTPGet == nil || resolve.HandlerPort(c, h.HTTPGet.Port) != number:
		return nil
	}
	p := &rpc.Probe{Target: requestTarget(h.HTTPGet.Path)}
	if h.HTTPGet.Scheme == corev1.URISchemeHTTPS {
		p.Kind = rpc.Probe_HTTPS
	}
	if net.ParseIP(h.HTTPGet.Host) == nil {
		p.Host = h.HTTPGet.Host
	}
	for _, header := range h.HTTPGet.HTTPHeaders {
		p.Headers = append(p.Headers, &rpc.Header{Name: header.Name, Value: header.Value})
	}
	return p
}

// requestTarget returns the request target of the kubelet's HTTP request, given the path
// of a probe.
func requestTarget(path string) string {
	u, err := url.Parse(path)
	if err != nil {
		u = &url.URL{Path: path}
	}
	u.Scheme, u.Host = "http", "pod"
	if u, err = url.Parse(u.String()); err != nil {
		return path
	}
	return u.RequestURI()
}

// meshProbers is the environment variable in which Istio's injector keeps the original
// probes as a JSON object. The injector changes a pod's probes, so that the kubelet
// calls the proxy.
const meshProbers = "ISTIO_KUBE_APP_PROBERS"

// meshProbes returns the probes of a port that a mesh's proxy makes instead of the
// kubelet, with the kubelet's headers.
func meshProbes(pod *corev1.Pod, number int32) []*rpc.Probe {
	var list []*rpc.Probe
	for _, c := range resolve.Containers(&pod.Spec) {
		for _, e := range c.Env {
			var probers map[string]corev1.Probe
			if e.Name != meshProbers || json.Unmarshal([]byte(e.Value), &probers) != nil {
				continue
			}
			for _, k := range slices.Sorted(maps.Keys(probers)) {
				p := probers[k]
				if out := probeOf(&c, number, p.ProbeHandler); out != nil {
					list = append(list, out)
				}
			}
		}
	}
	slices.SortStableFunc(list, func(a, b *rpc.Probe) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Target, b.Target), cmp.Compare(a.Host, b.Host))
	})
	return list
}
