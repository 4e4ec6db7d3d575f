package inject

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

// An agent without capabilities has the user and the group of the container's process.
func TestStandInAsUser(t *testing.T) {
	pod := &corev1.Pod{Spec: corev1.PodSpec{SecurityContext: &corev1.PodSecurityContext{RunAsUser: ptr.To[int64](500), RunAsGroup: ptr.To[int64](501)},
		Containers: []corev1.Container{{Name: "plain"}, {Name: "own", SecurityContext: &corev1.SecurityContext{RunAsUser: ptr.To[int64](1000), RunAsGroup: ptr.To[int64](1001)}}}}}
	for container, want := range map[string]struct{ user, group *int64 }{
		"plain": {ptr.To[int64](500), nil}, // the group is the pod's, of the agent too
		"own":   {ptr.To[int64](1000), ptr.To[int64](1001)},
	} {
		s := StandIn(pod, Config{}, "stand-in-agent", "token", container, UserOf(pod, container), false).SecurityContext
		if diff := cmp.Diff([]*int64{want.user, want.group}, []*int64{s.RunAsUser, s.RunAsGroup}); diff != "" {
			t.Errorf("beside container %s (-want +got):\n%s", container, diff)
		}
		if len(s.Capabilities.Add) > 0 {
			t.Errorf("beside container %s it adds %v", container, s.Capabilities.Add)
		}
	}
}

// In a mesh, an agent that may do so spares its own connections from it.
func TestStandInInMesh(t *testing.T) {
	for name, tt := range map[string]struct {
		asUser         *int64
		meshed, spares bool
	}{"in a mesh": {nil, true, true}, "elsewhere": {nil, false, false}, "in a mesh, without capabilities": {ptr.To[int64](500), true, false}} {
		c := StandIn(&corev1.Pod{}, Config{}, "stand-in-agent", "token", "web", tt.asUser, tt.meshed)
		admin := slices.Contains(c.SecurityContext.Capabilities.Add, "NET_ADMIN")
		told := slices.Contains(c.Env, corev1.EnvVar{Name: "AGENT_MESH", Value: "true"})
		if admin != tt.spares || told != tt.spares {
			t.Errorf("%s: NET_ADMIN %v, told %v", name, admin, told)
		}
	}
}
