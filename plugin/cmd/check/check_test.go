package check

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/license"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/check/checktest"
)

var update = flag.Bool("update", false, "rewrite the goldens")

// TestOutput compares what is printed, for people and as JSON, in clusters
// that are in order, in several ways not, and away.
func TestOutput(t *testing.T) {
	for name, test := range map[string]struct {
		pre, fails bool
		change     func(*checktest.World)
	}{
		"healthy": {change: func(*checktest.World) {}},
		"developer": {change: func(w *checktest.World) { // sees no more than the roles "edit" and to connect let him
			w.Deny("get deployments", "list mutatingwebhookconfigurations", "list nodes", "list servicecidrs", "get validatingadmissionpolicies")
			w.Denied = nil
			w.AddPod("intercept-system", "traffic-manager-1", "10.244.1.4")
			w.AddPod("shop", "quote-1", "10.244.1.5")
			w.Machine.LookPath = func(string) (string, error) { return "", errors.New("not found") }
		}},
		"broken": {fails: true, change: func(w *checktest.World) {
			until := checktest.Noon.AddDate(0, -1, 0)
			w.Denied = []string{"create intercepts", "get services/proxy"}
			w.Line = func(context.Context) (time.Duration, error) { return 0, checktest.Forbidden("services", "no") }
			w.Manager["version"] = "0.0.9"
			w.License(&license.Report{State: license.Expired, Required: true, Subject: "acme", ValidUntil: &until})
			w.Forged, w.Warned = nil, nil
			w.Pod = checktest.Forbidden("pods", `violates PodSecurity "restricted:latest": unrestricted capabilities (container "agent" must not include "NET_ADMIN")`)
		}},
		"absent":      {fails: true, change: func(w *checktest.World) { w.Manager = nil }},
		"unreachable": {fails: true, change: func(w *checktest.World) { w.Break("get", "version", errors.New("connection refused")) }},
		"pre":         {pre: true, change: func(w *checktest.World) { w.Manager = nil }},
		"pre-denied": {pre: true, fails: true, change: func(w *checktest.World) {
			w.Denied = []string{"create clusterroles", "escalate clusterroles", "create secrets"}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			for ext, output := range map[string]string{".txt": "", ".json": "json"} {
				w := checktest.New()
				test.change(w)
				var out bytes.Buffer
				o := &Options{IOStreams: genericiooptions.IOStreams{Out: &out, ErrOut: &bytes.Buffer{}}, Env: w.Env,
					Pre: test.pre, Output: output, Timeout: time.Minute}
				if err := o.Run(context.Background()); (err != nil) != test.fails {
					t.Errorf("error %v", err)
				}
				if output == "json" && !json.Valid(out.Bytes()) {
					t.Error("no JSON")
				}
				golden(t, filepath.Join("testdata", name+ext), out.Bytes())
			}
		})
	}
}

func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; go test ./plugin/cmd/check -update writes it. Got\n%s", path, got)
	}
}
