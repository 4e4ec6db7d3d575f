package resolve

// Obstacle says why a workload cannot be intercepted by its nature, or because its
// owner does not want it, in half a sentence; empty when it can.
func Obstacle(w *Workload) string {
	switch {
	case w.Spec.HostNetwork:
		return "its pods use the network of their node"
	case w.Labels["app.kubernetes.io/name"] == "traffic-manager":
		return "it is the traffic-manager, which carries the intercepted traffic"
	}
	return Forbidden(w.Annotations)
}

// Forbidden says why no agent may enter pods with these annotations, in half a
// sentence; empty when one may. What an annotation says that nobody understands
// may be just that.
func Forbidden(annotations map[string]string) string {
	wishes, err := ReadWishes(annotations)
	switch {
	case err != nil:
		return err.Error()
	case wishes.Inject == WishDisabled:
		return "disabled by annotation " + wishes.DisabledBy
	}
	return ""
}
