package replacement

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
)

// A Replacer that serves many workloads one after the other keeps what it needs of each,
// and no more.
func TestOldActionsAreForgotten(t *testing.T) {
	now := time.Now()
	long := now.Add(-2 * firstRetry)
	r := &Replacer{
		attempts: map[types.UID]*attempt{"of an intercept": {workload: "attempted"}},
		workloads: map[types.UID]*lastAction{
			"done":      {acted: long, evicted: long, going: long},
			"untouched": {},
			"attempted": {acted: long, evicted: long},
			"acted":     {acted: now},
			"evicted":   {acted: long, evicted: now},
			"going":     {acted: long, going: now},
		},
	}
	r.last(&resolve.Workload{UID: "new"})
	for _, uid := range []types.UID{"attempted", "acted", "evicted", "going", "new"} {
		if r.workloads[uid] == nil {
			t.Errorf("%q is forgotten", uid)
		}
		delete(r.workloads, uid)
	}
	for uid := range r.workloads {
		t.Errorf("%q is kept", uid)
	}
}
