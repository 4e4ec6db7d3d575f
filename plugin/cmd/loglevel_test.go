package cmd

import (
	"context"
	"testing"
	"time"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/loglevel"
)

// What `loglevel` writes is what the traffic-manager reads.
func TestLogLevelReachesTheManager(t *testing.T) {
	w, file := start(t)
	streams, _, _, errOut := genericiooptions.NewTestIOStreams()
	before := time.Now()
	if code := execute(context.Background(), streams, []string{"loglevel", "debug", "-d", "10m", "--kubeconfig", file}, fakeSessions{w}); code != 0 {
		t.Fatalf("exit code %d: %s", code, errOut)
	}
	w.api.mu.Lock()
	defer w.api.mu.Unlock()
	cm := w.api.objects["/api/v1/intercept-system/configmaps/traffic-manager"]
	level, until, err := loglevel.Read(cm.GetAnnotations(), before)
	if err != nil || level != "debug" || until.Before(before.Add(9*time.Minute)) || cm.Object["data"] == nil {
		t.Errorf("%q until %s, %v: %v", level, until, err, cm.Object)
	}
}
