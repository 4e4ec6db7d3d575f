//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// repaired is how long a cluster may take until a check is content again.
const repaired = 90 * time.Second

// TestCheck goes through what `check` can find wrong, each time for real, and
// does what the hint says.
func TestCheck(t *testing.T) {
	t.Parallel() // a cluster of its own
	p := newPrivate(t, "e2e-check")
	p.kubectl("create", "namespace", "shop")
	want := func(t *testing.T, o outcomes, name, status, text string) {
		t.Helper()
		if err := o.wants(name, status, text); err != nil {
			t.Error(err)
		}
	}
	becomes := func(user, name, status, text string, args ...string) {
		p.Helper()
		p.until(repaired, name, func() error { return p.check(user, append(args, "-n", "shop")...).wants(name, status, text) })
	}
	const (
		installed = "traffic-manager is installed"
		fits      = "plugin and traffic-manager fit"
		replicas  = "its replicas are ready"
		resources = "its resources are served"
		policies  = "its admission policies"
		answers   = "it answers through the API server"
		reach     = "you may reach the traffic-manager"
		fast      = "flows take the fast way"
		webhook   = "the webhook that adds agents"
		security  = `namespace "shop" lets an agent`
		networks  = "the cluster's networks"
	)

	t.Run("before the installation", func(t *testing.T) {
		if f := p.check("admin", "--pre").failures(); len(f) > 0 {
			t.Errorf("for the administrator: %q", f)
		}
		o := p.check("alice", "--pre", "-n", "shop")
		want(t, o, "you may make what belongs to the cluster", "failed", "--clusterrole=cluster-admin --user=alice")
		want(t, o, "you may make what belongs to namespace", "failed", "secrets")
		want(t, o, "you may grant", "warning", "escalate")
		o = p.check("admin", "-n", "shop")
		want(t, o, installed, "failed", "kubectl intercept install")
		if n := len(o.failures()); n != 1 {
			t.Errorf("%d checks fail, want 1: %q", n, o.failures())
		}
	})

	p.intercept("install", "--wait", "--set", "clientRbac.allowEverybody=true")
	// What is to be done is done when the traffic-manager has said its word.
	p.until(repaired, "all is in order", func() error {
		if o := p.check("admin", "-n", "shop"); len(o.failures()) > 0 || o.wants("the license is valid", "ok", "none is needed") != nil {
			return fmt.Errorf("%v", o)
		}
		return nil
	})
	out, _, _ := p.run("admin", "kubectl-intercept", "check", "-n", "shop")
	t.Logf("check\n%s", out)

	t.Run("no permission", func(t *testing.T) {
		o := p.check("alice", "-n", "shop")
		want(t, o, "you may read the workloads", "failed", "--user=alice -n shop")
		want(t, o, "you may intercept", "failed", "create intercepts.kubectl-intercept.dev")
		want(t, o, security, "skipped", "no permission")
		p.kubectl("create", "rolebinding", "alice", "--clusterrole=edit", "--user=alice", "-n", "shop")
		if f := p.check("alice", "-n", "shop").failures(); len(f) > 0 {
			t.Errorf("with what the hint says: %q", f)
		}
	})
	t.Run("nobody", func(t *testing.T) {
		config := anonymous(t, p)
		out, errs, failed := p.runWith(config, "alice", "kubectl-intercept", "check", "-o", "json")
		o := p.read(out, errs, failed)
		want(t, o, "the API server knows you", "failed", "log in to the cluster again")
		want(t, o, installed, "skipped", "does not know you")
	})
	t.Run("no API server", func(t *testing.T) {
		o := p.check("alice", "--server", "https://127.0.0.1:1", "--timeout", "5s")
		want(t, o, "the API server answers", "failed", "connection refused")
		want(t, o, installed, "skipped", "does not answer")
	})
	t.Run("no right to connect", func(t *testing.T) {
		p.intercept("upgrade", "--set", "clientRbac.create=false", "--wait")
		o := p.check("alice", "-n", "shop")
		want(t, o, "you may connect", "failed", "clientRbac.subjects")
		want(t, o, reach, "failed", "neither")
		want(t, o, installed, "warning", "no permission")
		want(t, o, answers, "failed", "")
		want(t, o, fast, "warning", "you may not get services/proxy http:traffic-manager:tunnel")
		// Port-forward only.
		p.kubectl("create", "role", "forward", "-n", lab.ManagerNamespace, "--verb=create,get,list", "--resource=pods,pods/portforward,configmaps")
		p.kubectl("create", "rolebinding", "forward", "-n", lab.ManagerNamespace, "--role=forward", "--user=alice")
		o = p.check("alice", "-n", "shop")
		want(t, o, reach, "warning", "by port-forward only")
		want(t, o, answers, "warning", "by port-forward, round trip")
		want(t, o, fast, "ok", "a line, round trip")
		p.kubectl("delete", "rolebinding", "forward", "-n", lab.ManagerNamespace)
		p.intercept("upgrade", "--set", "clientRbac.create=true", "--wait")
		becomes("alice", reach, "ok", "")
	})
	t.Run("pod security", func(t *testing.T) {
		p.kubectl("label", "namespace", "shop", "pod-security.kubernetes.io/enforce=restricted")
		status := "failed"
		if o := p.check("alice", "-n", "shop"); o.wants(webhook, "ok", "") == nil {
			status = "warning" // sidecars do
		}
		want(t, p.check("alice", "-n", "shop"), security, status, "kubectl label namespace shop --overwrite pod-security.kubernetes.io/enforce=privileged")
		p.kubectl("label", "namespace", "shop", "--overwrite", "pod-security.kubernetes.io/enforce=privileged")
		want(t, p.check("alice", "-n", "shop"), security, "ok", "")
		want(t, p.check("admin", "-n", "nowhere"), `namespace "nowhere" lets`, "failed", `there is no namespace "nowhere"`)
	})
	t.Run("no replicas", func(t *testing.T) {
		p.kubectl("scale", "deployment", "traffic-manager", "-n", lab.ManagerNamespace, "--replicas=0")
		p.kubectl("wait", "pod", "-n", lab.ManagerNamespace, "-l", "app.kubernetes.io/name=traffic-manager", "--for=delete", "--timeout=60s")
		for _, user := range []string{"admin", "alice"} {
			o := p.check(user, "-n", "shop")
			if user == "admin" {
				want(t, o, replicas, "failed", "kubectl scale deployment traffic-manager -n intercept-system --replicas=1")
			} else {
				want(t, o, replicas, "skipped", "you may not read deployments and pods there")
			}
			want(t, o, answers, "failed", "")
			want(t, o, installed, "ok", "")
		}
		p.kubectl("scale", "deployment", "traffic-manager", "-n", lab.ManagerNamespace, "--replicas=1")
		becomes("admin", replicas, "ok", "1 of 1")
		becomes("alice", answers, "ok", "by service-proxy, round trip")
	})
	t.Run("a definition is gone", func(t *testing.T) {
		p.kubectl("delete", "crd", "intercepts.kubectl-intercept.dev")
		becomes("alice", resources, "failed", "does not serve intercepts.kubectl-intercept.dev")
		// Another definition has the kind meanwhile.
		p.apply(takesTheKind)
		p.kubectl("wait", "--for=condition=Established", "crd/others.kubectl-intercept.dev", "--timeout=30s")
		p.intercept("upgrade")
		becomes("admin", resources, "failed", `intercepts.kubectl-intercept.dev is not established: "Intercept" is already in use`)
		becomes("alice", resources, "failed", "does not serve intercepts.kubectl-intercept.dev")
		p.kubectl("delete", "crd", "others.kubectl-intercept.dev")
		p.intercept("upgrade", "--wait")
		becomes("alice", resources, "ok", "")
	})
	t.Run("policies are gone", func(t *testing.T) {
		p.kubectl("delete", "validatingadmissionpolicybinding", "traffic-manager-intercept-system-sessions")
		want(t, p.check("admin", "-n", "shop"), policies, "failed", "no validatingadmissionpolicybinding traffic-manager-intercept-system-sessions")
		p.kubectl("delete", "validatingadmissionpolicybinding", "traffic-manager-intercept-system-owner")
		becomes("alice", policies, "failed", "a Session in another user's name is accepted")
		p.intercept("upgrade", "--wait")
		becomes("alice", policies, "ok", "")
	})
	t.Run("another version", func(t *testing.T) {
		version := strings.TrimSpace(p.kubectl("get", "configmap", "traffic-manager", "-n", lab.ManagerNamespace, "-o", "jsonpath={.data.version}"))
		for other, status := range map[string]string{"99.0.0": "failed", version + "-rc.1": "warning"} {
			p.kubectl("patch", "configmap", "traffic-manager", "-n", lab.ManagerNamespace, "--type=merge", "-p", `{"data":{"version":"`+other+`"}}`)
			want(t, p.check("alice", "-n", "shop"), fits, status, "traffic-manager "+other)
		}
		p.kubectl("patch", "configmap", "traffic-manager", "-n", lab.ManagerNamespace, "--type=merge", "-p", `{"data":{"version":"`+version+`"}}`)
		want(t, p.check("alice", "-n", "shop"), fits, "ok", version)
	})
	t.Run("other namespaces", func(t *testing.T) {
		p.intercept("upgrade", "--set", "namespaces={default}", "--wait")
		becomes("alice", `it works in namespace "shop"`, "failed", "--set namespaces='{default,shop}'")
		p.intercept("upgrade", "--set", "namespaces=null", "--wait")
		becomes("alice", `it works in namespace "shop"`, "ok", "")
	})
	t.Run("a webhook nobody answers", func(t *testing.T) {
		becomes("admin", webhook, "failed", "a firewall must let the API server through", deafWebhook(p)...)
	})
	t.Run("a network in two places", func(t *testing.T) {
		want(t, p.check("alice", "-n", "shop"), networks, "ok", "10.96.0.0/16") // from an error: alice may not read ServiceCIDRs
		p.route("alice", "add", "10.96.0.0/12")
		want(t, p.check("alice", "-n", "shop"), networks, "warning", "Services have 10.96.0.0/16, this machine has 10.96.0.0/12 on lo")
		p.route("alice", "del", "10.96.0.0/12")
		p.route("admin", "add", "10.244.0.0/16")
		want(t, p.check("admin", "-n", "shop"), networks, "warning", "pods of node-1")
		p.route("admin", "del", "10.244.0.0/16")
	})
}

// takesTheKind is a definition whose kind is that of intercepts.
const takesTheKind = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: # Helm takes it for one of the release's
  name: others.kubectl-intercept.dev
  labels: {app.kubernetes.io/managed-by: Helm}
  annotations: {meta.helm.sh/release-name: traffic-manager, meta.helm.sh/release-namespace: intercept-system}
spec:
  group: kubectl-intercept.dev
  scope: Namespaced
  names: {plural: others, singular: other, kind: Intercept, listKind: OtherList}
  versions: [{name: v1alpha1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]
`

// apply applies a manifest as the administrator.
func (p *private) apply(text string) {
	p.Helper()
	file := filepath.Join(p.home, "apply.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		p.Fatal(err)
	}
	p.kubectl("apply", "-f", file)
}

// anonymous is a kubeconfig without a user.
func anonymous(t *testing.T, p *private) string {
	t.Helper()
	path, err := clusters.Tool(t.Context(), "kubeconfig", "--name", p.name)
	if err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.LoadFromFile(strings.TrimSpace(path))
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range config.AuthInfos {
		u.ClientCertificate, u.ClientCertificateData, u.ClientKey, u.ClientKeyData, u.Token = "", nil, "", nil, ""
	}
	file := filepath.Join(t.TempDir(), "config")
	if err := clientcmd.WriteToFile(*config, file); err != nil {
		t.Fatal(err)
	}
	return file
}

// deafWebhook points the chart's webhook to a port where nobody listens; where
// the chart has none, it makes one. It returns more arguments for check.
func deafWebhook(p *private) []string {
	p.Helper()
	names := strings.Fields(p.kubectl("get", "mutatingwebhookconfigurations", "-o", "name"))
	for _, name := range names {
		if strings.Contains(name, "traffic-manager") {
			p.kubectl("patch", name, "--type=json", "-p", `[{"op":"add","path":"/webhooks/0/clientConfig/service/port","value":4443}]`)
			return nil
		}
	}
	file := filepath.Join(p.home, "webhook.yaml")
	err := os.WriteFile(file, []byte(`
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: traffic-manager-e2e}
webhooks:
  - name: inject.kubectl-intercept.dev
    admissionReviewVersions: [v1]
    sideEffects: None
    failurePolicy: Ignore
    timeoutSeconds: 2
    clientConfig: {service: {namespace: intercept-system, name: traffic-manager, path: /inject, port: 4443}}
    rules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
`), 0o600)
	if err != nil {
		p.Fatal(err)
	}
	p.kubectl("create", "-f", file)
	return nil
}

// route changes the routes of a laptop.
func (p *private) route(laptop, verb, prefix string) {
	p.Helper()
	if _, err := clusters.Tool(p.Context(), "laptop", "--name", p.name, laptop, "--", "ip", "route", verb, prefix, "dev", "lo"); err != nil {
		p.Fatal(errors.Join(errors.New("change a route"), err))
	}
}
