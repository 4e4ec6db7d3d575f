//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// These tests have releases of their own, in the namespace of the test, next to
// the one that all tests share. That one works elsewhere meanwhile: two in one
// namespace are refused.

// own are the values of such a release.
func own(l *lab.Lab) []string {
	return []string{"--namespace", l.Namespace, "--set", "crds.create=false,namespaces={" + l.Namespace + "}"}
}

// team is an administrator for a release of the test's own.
func team(t *testing.T) (*lab.Lab, *lab.Laptop) {
	l := lab.New(t, clusters)
	admin := administrator(l)
	upgrade(l, "--set", "namespaces={"+l.NewNamespace(nil)+"}")
	l.Cleanup(func() {
		out, err := l.Tool(context.Background(), "laptop", "--name", l.Cluster.Name, "admin", "--",
			l.Bin("kubectl-intercept"), "uninstall", "--force", "--namespace", l.Namespace)
		if err != nil && !strings.Contains(err.Error(), "is not installed") {
			l.Errorf("%v\n%s", err, out)
		}
	})
	return l, admin
}

func manager(l *lab.Lab, namespace string) (*appsv1.Deployment, error) {
	var d appsv1.Deployment
	err := l.Client.Get(l.Context(), client.ObjectKey{Namespace: namespace, Name: "traffic-manager"}, &d)
	return &d, err
}

// TestValues keeps what was set before, but with --reset-values.
func TestValues(t *testing.T) {
	l, admin := team(t)
	admin.Intercept(append([]string{"install", "--set", "logLevel=debug"}, own(l)...)...)
	check := func(replicas int32, args ...string) {
		t.Helper()
		d, err := manager(l, l.Namespace)
		l.Must(err)
		has := strings.Join(d.Spec.Template.Spec.Containers[0].Args, " ")
		if *d.Spec.Replicas != replicas {
			t.Errorf("%d replicas, want %d", *d.Spec.Replicas, replicas)
		}
		for _, arg := range args {
			if !strings.Contains(has, arg) {
				t.Errorf("args %s, want %s", has, arg)
			}
		}
	}
	check(1, "--log-level=debug", "--namespaces="+l.Namespace)
	admin.Intercept("upgrade", "--namespace", l.Namespace, "--set", "replicas=2")
	check(2, "--log-level=debug", "--namespaces="+l.Namespace)
	values := "%scrds:\n  create: false\n%snamespaces:\n- " + l.Namespace + "\n%s"
	reset := append([]string{"upgrade", "--dry-run=server", "--reset-values", "--reuse-values", "-o", "values"}, own(l)...)
	if o := admin.Intercept(reset...); o.Out != fmt.Sprintf(values, "", "", "") || o.Err != "" {
		t.Errorf("a dry run with --reset-values prints values %q and %q", o.Out, o.Err)
	}
	o := admin.Intercept("upgrade", "--namespace", l.Namespace, "--dry-run=server", "-o", "values")
	if want := fmt.Sprintf(values, "clientRbac:\n  subjects:\n  - kind: User\n    name: "+admin.User+"\n", "logLevel: debug\n", "replicas: 2\n"); o.Out != want {
		t.Errorf("values\n%swant\n%s", o.Out, want)
	}
	admin.Intercept(append([]string{"upgrade", "--reset-values"}, own(l)...)...)
	check(1, "--log-level=info", "--namespaces="+l.Namespace)
}

// TestFailedWait tells why the traffic-manager does not become ready, also when
// --atomic has undone everything.
func TestFailedWait(t *testing.T) {
	l, admin := team(t)
	noImage := append([]string{"install", "--set", "image.tag=none", "--atomic", "--timeout", "8s"}, own(l)...)
	o := admin.Refused(noImage, "is not ready after 8s; the change was undone (--atomic)\npod/traffic-manager-",
		"last events:", "Pulling: Pulling image", "Failed: Failed to pull image")
	if !strings.Contains(o.Err, "waiting for deployment/traffic-manager: 0 of 1 ready, pod traffic-manager-") {
		t.Error("it does not tell what it waits for")
	}
	if _, err := manager(l, l.Namespace); client.IgnoreNotFound(err) != nil || err == nil {
		t.Errorf("the deployment is still there: %v", err)
	}
	admin.Refused([]string{"upgrade", "--namespace", l.Namespace}, "is not installed in namespace "+l.Namespace+
		"; kubectl intercept install --namespace "+l.Namespace+" installs it")

	// Another program than the traffic-manager does not know its flags.
	admin.Intercept(append([]string{"install"}, own(l)...)...)
	crash := []string{"upgrade", "--namespace", l.Namespace, "--set", "image.name=test/quote,image.tag=dev", "--timeout", "10s"}
	admin.Refused(append(crash, "--atomic"), "the change was undone (--atomic)", "container traffic-manager ends, Error, exit code ",
		"last lines of the log:", "flag provided but not defined")
	d, err := manager(l, l.Namespace)
	l.Must(err)
	if image := d.Spec.Template.Spec.Containers[0].Image; !strings.Contains(image, "/traffic-manager:") {
		t.Errorf("after the rollback the image is %s", image)
	}
	admin.Refused(crash, "is not ready after 10s\npod/traffic-manager-", "last events:", "last lines of the log:", "flag provided but not defined")
	admin.Refused([]string{"install", "--namespace", l.Namespace}, ", failed since ", "where its last change failed; kubectl intercept upgrade")
	admin.Intercept(append([]string{"upgrade", "--reset-values"}, own(l)...)...)
}

// TestKilledHelm kills the plugin at work, which leaves a pending release, and
// goes the way out that it names then.
func TestKilledHelm(t *testing.T) {
	l, admin := team(t)
	for _, verb := range []string{"install", "upgrade"} {
		kill(l, admin, verb)
		o := admin.Refused(append([]string{verb}, own(l)...), "is in state pending-"+verb+" since", "If none is running:\n  kubectl ")
		_, rest, _ := strings.Cut(o.Err, "If none is running:\n  ")
		wayOut, _, _ := strings.Cut(rest, "\n")
		wayOut, _, _ = strings.Cut(wayOut, "  (")
		f := strings.Fields(wayOut)
		if f[1] == "intercept" {
			admin.Intercept(f[2:]...)
		} else if o := admin.Try("kubectl", f[1:]...); o.Failed {
			t.Fatalf("the way out is none: %s", wayOut)
		}
		admin.Intercept(append([]string{verb}, own(l)...)...)
	}
}

// kill starts an install or upgrade that cannot end, and kills it.
func kill(l *lab.Lab, admin *lab.Laptop, verb string) {
	l.Helper()
	cmd := admin.Command(l.Context(), "kubectl-intercept", append([]string{verb, "--set", "image.tag=none"}, own(l)...)...)
	l.Must(cmd.Start())
	l.Until("the release is pending", func() error {
		secrets, err := l.Kube.CoreV1().Secrets(l.Namespace).List(l.Context(), metav1.ListOptions{LabelSelector: "owner=helm,status=pending-" + verb})
		if err == nil && len(secrets.Items) == 0 {
			err = errors.New("no such record")
		}
		return err
	})
	l.Must(cmd.Process.Kill())
	if err := cmd.Wait(); err == nil {
		l.Fatal("it ended by itself")
	}
}

// TestGitOps leaves alone what Argo CD has applied: the manifests of a dry run,
// with its mark.
func TestGitOps(t *testing.T) {
	l, admin := team(t)
	o := admin.Intercept(append([]string{"install", "--dry-run=client", "-o", "yaml"}, own(l)...)...)
	file := filepath.Join(admin.Home, "manifests.yaml")
	l.Must(os.WriteFile(file, []byte(o.Out), 0o600))
	if _, err := kubectl(l, "apply", "-f", file); err != nil {
		t.Fatal(err)
	}
	if _, err := kubectl(l, "annotate", "deploy/traffic-manager", "-n", l.Namespace,
		"argocd.argoproj.io/tracking-id=platform:apps/Deployment:"+l.Namespace+"/traffic-manager"); err != nil {
		t.Fatal(err)
	}
	const managed = "is managed by Argo CD, application platform: change it there, or it will be changed back; --force goes on"
	install := append([]string{"install"}, own(l)...)
	for _, args := range [][]string{install, {"upgrade", "--namespace", l.Namespace}, {"uninstall", "--namespace", l.Namespace}} {
		admin.Refused(args, managed)
	}
	admin.Refused(append(install, "--force"), "invalid ownership metadata", "make it this release's with --take-ownership")
	admin.Intercept(append(install, "--force", "--take-ownership")...)
	admin.Refused([]string{"upgrade", "--namespace", l.Namespace}, managed)
	// Flux labels Helm's record.
	if _, err := kubectl(l, "label", "secret", "-l", "owner=helm,status=deployed", "-n", l.Namespace,
		"helm.toolkit.fluxcd.io/name=tm", "helm.toolkit.fluxcd.io/namespace=flux-system"); err != nil {
		t.Fatal(err)
	}
	admin.Refused([]string{"upgrade", "--namespace", l.Namespace}, "is managed by Flux, helmrelease flux-system/tm: change it there")
	admin.Intercept("upgrade", "--namespace", l.Namespace, "--force")
	admin.Refused([]string{"uninstall", "--namespace", l.Namespace}, "is managed by")
	admin.Intercept("uninstall", "--namespace", l.Namespace, "--force")
}

// TestUninstallHangs tells what is still there.
func TestUninstallHangs(t *testing.T) {
	l, admin := team(t)
	admin.Intercept(append([]string{"install"}, own(l)...)...)
	pod := l.Pod()
	hold := func(finalizers string) {
		t.Helper()
		if _, err := kubectl(l, "patch", "pod", pod.Name, "-n", l.Namespace, "--type=merge", "-p", `{"metadata":{"finalizers":`+finalizers+`}}`); err != nil {
			t.Error(err)
		}
	}
	hold(`["example.com/hold"]`)
	o := admin.Refused([]string{"uninstall", "--namespace", l.Namespace, "--timeout", "5s"},
		"waiting for deployment/traffic-manager to be gone: pod "+pod.Name+" is ending",
		"traffic-manager is not gone after 5s\npod/"+pod.Name+": ending, kept by finalizer example.com/hold")
	hold("[]")
	if strings.Contains(o.Err, "Kept") || o.Out != "" {
		t.Error("it says that it is done")
	}
	l.Until("the deployment is gone", func() error {
		_, err := manager(l, l.Namespace)
		if err == nil {
			err = errors.New("it is there")
		}
		return client.IgnoreNotFound(err)
	})
}

// TestDryRun renders without a kubeconfig and without a network, the same bytes
// each time, and nothing but manifests that a cluster takes.
func TestDryRun(t *testing.T) {
	l, admin := team(t)
	args := append([]string{"install", "--dry-run=client", "-o", "yaml"}, own(l)...)
	kubeconfig := admin.Kubeconfig
	admin.Kubeconfig = filepath.Join(admin.Home, "none")
	if _, err := admin.Nft(`table inet cable { chain out { type filter hook output priority 0; drop; }; }`); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = admin.Nft("destroy table inet cable") }) // if not done below
	first, second := admin.Intercept(args...), admin.Intercept(args...)
	if _, err := admin.Nft("delete table inet cable"); err != nil {
		t.Fatal(err)
	}
	admin.Kubeconfig = kubeconfig
	if first.Out != second.Out || first.Err != "" {
		t.Errorf("two runs differ, or say %q", first.Err)
	}
	file := filepath.Join(admin.Home, "manifests.yaml")
	l.Must(os.WriteFile(file, []byte(first.Out), 0o600))
	if _, err := kubectl(l, "apply", "--dry-run=server", "-f", file); err != nil {
		t.Error(err)
	}
	admin.Intercept(append([]string{"install", "--dry-run=server"}, own(l)...)...)
	if _, err := manager(l, l.Namespace); err == nil {
		t.Error("a dry run installs")
	}
}

// TestInstallAs has Helm's own requests carry the user of --as.
func TestInstallAs(t *testing.T) {
	l, admin := team(t)
	as := append([]string{"install", "--as", "bob"}, own(l)...)
	admin.Refused(as, `no permission: user "bob" cannot list resource "secrets" in API group "" in the namespace "`+l.Namespace+`"`, "cluster-admin")
	admin.Refused([]string{"uninstall", "--as", "bob", "--namespace", l.Namespace}, `no permission: user "bob" cannot list resource "secrets"`)
	// This lets Helm begin; then it is bob who cannot make roles for the cluster.
	l.Allow("bob", "admin", l.Namespace)
	admin.Refused(as, `user "bob" cannot get resource "`, `at the cluster scope`)
}
