package config

import (
	"encoding/json"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/kubectl-intercept/kubectl-intercept/test/cluster/plan"
)

func TestRenderedFilesParse(t *testing.T) {
	c := plan.Cluster{Name: "demo", Slot: 1, Nodes: 2, Root: "/state"}
	n := c.Node(2)
	var cni struct {
		Plugins []struct {
			IPAM struct{ Ranges [][]struct{ Subnet string } }
		}
	}
	if err := json.Unmarshal([]byte(CNI(n)), &cni); err != nil {
		t.Fatal(err)
	}
	if got := cni.Plugins[0].IPAM.Ranges[0][0].Subnet; got != "10.244.2.0/24" {
		t.Errorf("pods of node 2 are in %s", got)
	}
	for name, text := range map[string]string{"kubelet": Kubelet(c, n, "/group/node-2"), "kube-proxy": Proxy(c, n)} {
		var content map[string]any
		if err := yaml.UnmarshalStrict([]byte(text), &content); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if !strings.Contains(Containerd("/cni"), `sandbox_image = "`+PauseImage+`"`) {
		t.Error("containerd does not use the pause image")
	}
}

func TestEveryComponentHasArguments(t *testing.T) {
	c := plan.Cluster{Name: "demo", Nodes: 1, Root: "/state"}
	for _, name := range append(ControlPlane(), OnNode()...) {
		args, err := Args(c, c.Node(1), name)
		if err != nil || len(args) == 0 {
			t.Errorf("%s: %v, %v", name, args, err)
		}
	}
	_, err := Args(c, c.Node(1), "kube-nonsense")
	if err == nil || !strings.Contains(err.Error(), "kubelet") {
		t.Errorf("an unknown component: %v", err)
	}
}
