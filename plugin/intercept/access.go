package intercept

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
)

// AccessOptions are those of an intercept that takes no traffic and has the network of one of
// the workload's pods, for access of this machine. ToPod are ports of localhost that lead to the
// pod's.
func AccessOptions(factory *kube.Factory, streams genericiooptions.IOStreams, workload string, toPod []string, transport string, timeout time.Duration) (*Options, error) {
	o, err := IngestOptions(factory, streams, workload, "", transport, timeout)
	if err != nil {
		return nil, err
	}
	o.Untyped, o.access, o.StandIn = !strings.Contains(workload, "/"), true, nil
	wish := StandInFlags{NoEnvironment: true, Network: true, Mount: unsaidMount, ToPod: toPod}
	return o, wish.apply(o, true)
}

// MakeForAccess is Make for an intercept of AccessOptions. Each session has one of each workload.
// It ends with the last access by it; the caller calls done when it has opened one, or will not.
func (o *Options) MakeForAccess(ctx context.Context, sessions Sessions) (m *Made, done func(), err error) {
	o.command = rand.Text()
	runs, err := sessions.Command(o.Factory, o.command)
	if err != nil {
		return nil, nil, err
	}
	k := &maker{Options: o}
	made, err := k.make(ctx, sessions)
	done = func() {
		_ = runs.Close()                  // what is left of it does no harm
		k.session.release(ctx, o.command) // then the session looks whether there is access
	}
	if err != nil {
		done()
		return nil, nil, err
	}
	return made, done, nil
}

// accessName is the name of a session's intercept of a workload for access.
func accessName(ref v1alpha1.WorkloadReference, session string) string {
	sum := sha256.Sum256([]byte(ref.Kind + " " + session))
	return ref.Name[:min(len(ref.Name), maxIngest)] + "-via-" + hex.EncodeToString(sum[:3])
}
