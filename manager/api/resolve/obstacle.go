package resolve

import corev1 "k8s.io/api/core/v1"

// Obstacle says why a workload cannot be intercepted by its nature, or because its
// owner does not want it, in half a sentence; empty when it can.
func Obstacle(w *Workload) string {
	if why := SpecObstacle(&w.Spec); why != "" {
		return why
	}
	switch {
	case w.Labels["app.kubernetes.io/name"] == "traffic-manager":
		return "it is the traffic-manager, which carries the intercepted traffic"
	}
	return Forbidden(w.Annotations)
}

// SpecObstacle says why no agent can enter pods with this spec, in half a sentence; empty
// when one can.
func SpecObstacle(spec *corev1.PodSpec) string {
	if spec.HostNetwork {
		return "its pods use the network of their node"
	}
	return ""
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
