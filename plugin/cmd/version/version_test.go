package version

import (
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// Each skew is told of once, with what to type.
func TestSkew(t *testing.T) {
	fits := Versions{Client: Client{Version: "0.2.0", build: "0.2.0+a"}, Session: &Session{Version: "0.2.0", PID: 42, build: "0.2.0+a"},
		Netd: &Netd{Version: "0.2.0"}, Manager: &Manager{Version: "0.2.0"}, Agents: []Agents{{Version: "0.2.0", Pods: []string{"shop/a"}}}}
	for name, tt := range map[string]struct {
		change func(v *Versions)
		want   []string
	}{
		"all fit":           {func(*Versions) {}, nil},
		"only the plugin":   {func(v *Versions) { *v = Versions{Client: v.Client} }, nil},
		"older manager":     {func(v *Versions) { v.Manager.Version, v.Agents = "0.1.9", nil }, []string{"may not work together: kubectl intercept upgrade brings"}},
		"older patch":       {func(v *Versions) { v.Client.Version, v.Netd, v.Session = "0.2.1", nil, nil }, []string{"the traffic-manager of 0.2.0: kubectl intercept upgrade brings"}},
		"newer manager":     {func(v *Versions) { v.Manager.Version, v.Agents = "0.3.0", nil }, []string{"kubectl krew upgrade intercept brings the plugin to"}},
		"unknown manager":   {func(v *Versions) { v.Manager.Version, v.Agents = "unknown", nil }, []string{"cannot be compared: kubectl intercept upgrade"}},
		"session of before": {func(v *Versions) { v.Session.build = "0.2.0+b" }, []string{"process 42, is of version 0.2.0 and not of this build"}},
		"netd of before":    {func(v *Versions) { v.Netd.Version = "0.1.0" }, []string{"kubectl intercept netd install replaces it"}},
		"agents of before": {func(v *Versions) {
			v.Agents = append(v.Agents, Agents{Version: "0.1.0", Pods: []string{"shop/b", "shop/c"}})
		}, []string{"the agents of 2 pods are of version 0.1.0 and the traffic-manager of 0.2.0: "}},
	} {
		t.Run(name, func(t *testing.T) {
			v := fits
			session, netd, manager := *fits.Session, *fits.Netd, *fits.Manager
			v.Session, v.Netd, v.Manager, v.Agents = &session, &netd, &manager, slices.Clone(fits.Agents)
			tt.change(&v)
			got := v.compare()
			if len(got) != len(tt.want) {
				t.Fatalf("%q", got)
			}
			for n := range got {
				if !strings.Contains(got[n], tt.want[n]) {
					t.Errorf("%q does not contain %q", got[n], tt.want[n])
				}
			}
		})
	}
}

// A pod of several intercepts counts once, and one with two agents for each of them.
func TestAgents(t *testing.T) {
	intercept := func(pod string, versions ...string) v1alpha1.Intercept {
		i := v1alpha1.Intercept{ObjectMeta: metav1.ObjectMeta{Namespace: "shop"}}
		s := v1alpha1.PodStatus{Name: pod}
		for _, release := range versions {
			s.Ports = append(s.Ports, v1alpha1.PodPort{AgentVersion: release})
		}
		i.Status.Pods = []v1alpha1.PodStatus{s}
		return i
	}
	got := agents([]v1alpha1.Intercept{intercept("b", "0.2.0", "0.2.0"), intercept("b", "0.1.0", "0.2.0"), intercept("a", "0.2.0"), intercept("old", "")})
	if len(got) != 2 || got[0].Version != "0.1.0" || !slices.Equal(got[0].Pods, []string{"shop/b"}) || !slices.Equal(got[1].Pods, []string{"shop/a", "shop/b"}) {
		t.Errorf("%+v", got)
	}
}
