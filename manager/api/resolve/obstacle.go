package resolve

// Obstacle says why a workload cannot be intercepted by its nature, in half a
// sentence; empty when it can.
func Obstacle(w *Workload) string {
	switch {
	case w.Spec.HostNetwork:
		return "its pods use the network of their node"
	case w.Labels["app.kubernetes.io/name"] == "traffic-manager":
		return "it is the traffic-manager, which carries the intercepted traffic"
	}
	return ""
}
