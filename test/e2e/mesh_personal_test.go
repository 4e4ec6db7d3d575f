//go:build e2e

package e2e

import (
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// TestPersonalInMeshes has three people take their own requests of one port behind each
// mesh, with both kinds of agents. The callers come through mTLS.
func TestPersonalInMeshes(t *testing.T) {
	for kind := range meshes {
		t.Run(kind, func(t *testing.T) {
			m := inMesh(lab.New(t, clusters), kind, true)
			quote := m.Service("quote", "http")
			m.asked(quote, lab.Application)
			laptops := map[string]*lab.Laptop{}
			programs := map[string]*lab.Program{}
			for _, p := range people {
				laptops[p.name] = m.Laptop(p.name)
				programs[p.name] = laptops[p.name].Serve(p.name)
			}
			from, addrs := []*lab.Space{m.caller}, []string{quote, quote, quote, quote}
			everybody := append([]person{nobody}, people...)
			for _, inject := range []v1alpha1.InjectMode{v1alpha1.InjectEphemeral, v1alpha1.InjectSidecar} {
				for _, p := range people {
					laptops[p.name].Intercept("add", "quote", "--inject", string(inject), "--port", programs[p.name].To("http"), "--match", p.match)
				}
				m.settled()
				before := m.total("quote", "inTLS")
				crowd(m.Lab, 1000, from, addrs, everybody...)
				if n := m.total("quote", "inTLS") - before; n != 2*len(addrs) {
					t.Errorf("%s: %d connections through mTLS, want %d", inject, n, 2*len(addrs))
				}
				m.spared()
				for _, p := range people {
					laptops[p.name].Intercept("leave", "quote")
				}
				m.Must(m.ask(quote, lab.Application))
			}
		})
	}
}
