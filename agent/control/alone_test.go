package control

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

// applied notes the last configuration.
type applied struct {
	Ports
	cfg *rpc.AgentConfig
	n   int
}

func (a *applied) Apply(cfg *rpc.AgentConfig) { a.cfg, a.n = cfg, a.n+1 }

// Without a manager a stopped container goes on, after a while and once, and its ports are
// captured still. Other configurations stay as they are.
func TestAlone(t *testing.T) {
	replaced := &rpc.AgentConfig{Pauses: []*rpc.Pause{{InterceptUid: "i"}}, Ports: []*rpc.CapturePort{{Port: 80, Stopped: "alice"}, {Port: 81}}}
	for _, test := range []struct {
		name string
		cfg  *rpc.AgentConfig
		away time.Duration // until the manager is back
		want int           // configurations while it is away
	}{
		{"a short while", replaced, aloneAfter - time.Second, 0},
		{"for good", replaced, time.Hour, 1},
		{"a port alone", &rpc.AgentConfig{Ports: replaced.Ports}, time.Hour, 1},
		{"nothing is stopped", &rpc.AgentConfig{Ports: []*rpc.CapturePort{{Port: 81}}}, time.Hour, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &applied{}
				s := &solitude{ports: a, after: aloneAfter}
				s.lost() // before the first configuration
				s.apply(test.cfg)
				for end := time.Now().Add(test.away); time.Now().Before(end); time.Sleep(time.Second) {
					s.lost() // each attempt fails
				}
				synctest.Wait()
				if a.n-1 != test.want {
					t.Errorf("%d configurations, want %d", a.n-1, test.want)
				}
				if test.want > 0 && (stops(a.cfg) || len(a.cfg.Ports) != len(test.cfg.Ports)) {
					t.Errorf("alone, the agent has %v", a.cfg)
				}
				s.apply(test.cfg)
				time.Sleep(time.Hour)
				if synctest.Wait(); a.cfg != test.cfg {
					t.Errorf("with the manager back, the agent has %v", a.cfg)
				}
			})
		})
	}
}
