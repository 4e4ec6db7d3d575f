package complete

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube/kubetest"
)

// objects are a deployment with two containers and two Services, and what else there is.
func objects() []client.Object {
	labels := map[string]string{"app": "quote"}
	at := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: "default", Name: name} }
	controlled := at("quote-1")
	controlled.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "Deployment", Name: "quote", UID: "a", Controller: ptr.To(true)}}
	service := func(name string, ports ...corev1.ServicePort) *corev1.Service {
		return &corev1.Service{ObjectMeta: at(name), Spec: corev1.ServiceSpec{Selector: labels, Ports: ports}}
	}
	manager := metav1.ObjectMeta{Namespace: "tools", Name: "traffic-manager",
		Labels: map[string]string{"app.kubernetes.io/name": "traffic-manager", "app.kubernetes.io/part-of": "kubectl-intercept"}}
	return []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "default"}}, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}},
		&corev1.ConfigMap{ObjectMeta: manager},
		&appsv1.Deployment{ObjectMeta: at("quote"), Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{
				{Name: "app", Image: "quote:1", Ports: []corev1.ContainerPort{{Name: "web", ContainerPort: 8080}, {ContainerPort: 9090}}},
				{Name: "dns", Image: "dns:1", Ports: []corev1.ContainerPort{{Name: "dns", ContainerPort: 5353, Protocol: corev1.ProtocolUDP}}},
			}}}}},
		&appsv1.Deployment{ObjectMeta: at("queue")},
		&appsv1.StatefulSet{ObjectMeta: at("store")},
		&appsv1.ReplicaSet{ObjectMeta: controlled}, &appsv1.ReplicaSet{ObjectMeta: at("alone")},
		service("quote", corev1.ServicePort{Name: "http", Port: 80, TargetPort: intstr.FromString("web")}),
		service("admin", corev1.ServicePort{Port: 81, TargetPort: intstr.FromInt32(9090)},
			corev1.ServicePort{Name: "dns", Port: 53, TargetPort: intstr.FromString("dns"), Protocol: corev1.ProtocolUDP}),
		&corev1.Service{ObjectMeta: at("store")},
		&v1alpha1.Intercept{ObjectMeta: at("mine"), Spec: v1alpha1.InterceptSpec{User: "alice", Workload: v1alpha1.WorkloadReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "quote"}}},
		&v1alpha1.Intercept{ObjectMeta: at("theirs"), Spec: v1alpha1.InterceptSpec{User: "bob"}},
	}
}

// command is a root with commands and flags as ours have them.
func command(t *testing.T, c *Completer) *cobra.Command {
	t.Helper()
	root := &cobra.Command{Use: "kubectl-intercept"}
	c.factory.AddFlags(root.PersistentFlags())
	run := func(*cobra.Command, []string) {}
	for _, name := range []string{"add", "leave", "preview", "connect", "list", "logs"} {
		cmd := &cobra.Command{Use: name, Run: run}
		for _, flag := range []string{"service", "workload", "container", "inject", "output"} {
			cmd.Flags().String(flag, "", "Output format of this flag")
		}
		cmd.Flags().StringArray("port", nil, "")
		cmd.Flags().StringArray("to-pod", nil, "")
		root.AddCommand(cmd)
	}
	c.Attach(root)
	return root
}

func completer(t *testing.T, line []string, funcs interceptor.Funcs) *Completer {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(file, []byte(kubetest.Kubeconfig), 0o600); err != nil {
		t.Fatal(err)
	}
	f := kube.NewFactory()
	f.KubeConfig = &file
	scheme, err := kube.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	fakes := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects()...).WithInterceptorFuncs(funcs).Build()
	c := New(f, line)
	c.client = func() (client.Reader, error) { return fakes, nil }
	return c
}

// complete is what a shell is told of a command line, without descriptions.
func complete(root *cobra.Command, args ...string) string {
	var out, errOut strings.Builder
	root.SetOut(&out)
	root.SetErr(&errOut)
	root.SetArgs(append([]string{cobra.ShellCompNoDescRequestCmd}, args...))
	_ = root.Execute()
	return strings.Join(strings.Fields(out.String()), " ")
}

// The word of each line that begins with a colon is cobra's directive: 2 is to leave out
// the space that follows a word, 4 is to offer no files.
func TestWords(t *testing.T) {
	alice := interceptor.Funcs{Create: func(_ context.Context, _ client.WithWatch, o client.Object, _ ...client.CreateOption) error {
		return setUser(o, "alice")
	}}
	for line, want := range map[string]string{
		"add |":                              "queue quote " + strings.Join(types(), " ") + " :6",
		"add qu|":                            "queue quote :4",
		"add sta|":                           "statefulset/ :6",
		"add deploy/quo|":                    "deploy/quote :4",
		"add sts/|":                          "sts/store :4",
		"add rs/|":                           "rs/alone :4",
		"add svc/|":                          "svc/admin svc/quote svc/store :4",
		"add picture/|":                      ":4",
		"add deploy |":                       "queue quote :4",
		"add quote |":                        ":4",
		"add quote --port |":                 "9090:81 5353:dns/udp 8080:http 8080:web 9090:9090 :4",
		"add deploy quote --port 8|":         "8:81 8:dns/udp 8080:http 8080:web 8:9090 :4",
		"add quote --port 7000:h|":           "7000:http :4",
		"add quote --port 127.0.0.1:|":       "127.0.0.1:9090:81 127.0.0.1:5353:dns/udp 127.0.0.1:8080:http 127.0.0.1:8080:web 127.0.0.1:9090:9090 :4",
		"add quote --port 127.0.0.1:7:h|":    "127.0.0.1:7:http :4",
		"add svc/admin --port |":             "9090:81 :4", // its pods are not known, and so no name of a port
		"add quote --service quote --port |": "8080:http 8080:web 9090:9090 5353:dns/udp :4",
		"add x --workload deploy/quote --port 1:h|": "1:http :4",
		"add --port |":              ":4",
		"add none --port |":         ":4",
		"add quote --service |":     "admin quote :4",
		"add --service |":           "admin quote store :4",
		"add quote --container |":   "app dns :4",
		"add quote --to-pod |":      "8080 9090 5353/UDP :4",
		"add --inject e|":           "ephemeral :4",
		"add -n |":                  "default shop :4",
		"add --context |":           "one other :4",
		"add --cluster |":           "c :4",
		"add --user |":              "alice :4",
		"add --manager-namespace |": "tools :4",
		"add --context other sts/|": ":4",
		"leave |":                   "mine :4",
		"leave mine |":              ":4",
		"preview |":                 "mine :4",
		"preview mine |":            ":4",
		"list --output js|":         "json :4",
		"logs a|":                   "agent :4",
		"logs agent sts/|":          "sts/store :4",
		"logs netd |":               ":4",
		"connect |":                 ":4",
		"connect -- |":              ":0",
		"add quote -- |":            ":0",
		"add -- quote -|":           ":0",
	} {
		t.Run(line, func(t *testing.T) {
			words := strings.Split(strings.TrimSuffix(line, "|"), " ")
			if got := complete(command(t, completer(t, words, alice)), words...); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

// A cluster that does not answer, or that refuses, has nothing to offer. Types are known
// without it. One that does not answer is left alone, also where the request cannot be
// stopped because a credential plugin hangs.
func TestClusterAway(t *testing.T) {
	for name, list := range map[string]func(test context.Context) error{
		"silent":  func(test context.Context) error { <-test.Done(); return nil },
		"refuses": func(context.Context) error { return errors.New("forbidden") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				test, end := context.WithCancel(context.Background())
				defer end()
				c := completer(t, nil, interceptor.Funcs{List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error {
					return list(test)
				}})
				if got, want := complete(command(t, c), "add", "d"), "deployment/ daemonset/ :6"; got != want {
					t.Errorf("got %s, want %s", got, want)
				}
			})
		})
	}
}

func TestRequest(t *testing.T) {
	for _, tt := range []struct {
		program string
		args    []string
		want    []string
		is      bool
	}{
		{"/usr/bin/kubectl_complete-intercept", []string{"add", "q"}, []string{"__complete", "add", "q"}, true},
		{`kubectl_complete-intercept.EXE`, []string{""}, []string{"__complete", ""}, true},
		{"kubectl_complete-intercept", nil, []string{"__complete", ""}, true},
		{"kubectl-intercept", []string{"__complete", "add", ""}, []string{"__complete", "add", ""}, true},
		{"kubectl-intercept", []string{"__completeNoDesc", ""}, []string{"__completeNoDesc", ""}, true},
		{"kubectl-intercept", []string{"add", "q"}, []string{"add", "q"}, false},
		{"kubectl-intercept", nil, nil, false},
	} {
		if got, is := Request(tt.program, tt.args); is != tt.is || !slices.Equal(got, tt.want) {
			t.Errorf("%s %q: %q, %t", tt.program, tt.args, got, is)
		}
	}
}

func TestLocal(t *testing.T) {
	for typed, want := range map[string]string{
		"": "8080", "x": "8080", "80": "8080", "81": "81", "81:": "81", "81:http": "81",
		"127.0.0.1:": "127.0.0.1:8080", "127.0.0.1:81": "127.0.0.1:81", "127.0.0.1:81:http": "127.0.0.1:81", "[::1]:81:h": "[::1]:81",
	} {
		if got := local(typed, 8080); got != want {
			t.Errorf("%q: %q, want %q", typed, got, want)
		}
	}
}

// An upgrade leaves a copy as it was. It then hands over to the plugin.
func TestSuccessor(t *testing.T) {
	write := func(path, text string, age time.Duration) string {
		if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
		at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(age)
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, tt := range map[string]struct {
		beside, onPath string
		age            time.Duration
		link           bool
		want           string // "beside", "onPath" or ""
	}{
		"the plugin as it is":     {beside: "one"},
		"an upgrade":              {beside: "another", want: "beside"},
		"one of the same size":    {beside: "two", age: time.Hour, want: "beside"},
		"elsewhere on PATH":       {onPath: "another", want: "onPath"},
		"beside before elsewhere": {beside: "one", onPath: "another"},
		"the plugin is gone":      {},
		"a link":                  {beside: "another", link: true},
	} {
		t.Run(name, func(t *testing.T) {
			dir, other := t.TempDir(), t.TempDir()
			self := filepath.Join(dir, Executable+".exe")
			paths := map[string]string{"beside": filepath.Join(dir, Plugin+".exe"), "onPath": filepath.Join(other, Plugin+".exe"), "": ""}
			if tt.beside != "" {
				write(paths["beside"], tt.beside, tt.age)
			}
			if tt.onPath != "" {
				write(paths["onPath"], tt.onPath, tt.age)
			}
			if tt.link {
				if err := os.Link(paths["beside"], self); err != nil {
					t.Fatal(err)
				}
			} else {
				write(self, "one", 0)
			}
			got := Successor(self, func(string) (string, error) {
				if tt.onPath == "" {
					return "", exec.ErrNotFound
				}
				return paths["onPath"], nil
			})
			if got != paths[tt.want] {
				t.Errorf("it is %q, want %q", got, paths[tt.want])
			}
		})
	}
	if got := Successor(filepath.Join(t.TempDir(), Plugin), exec.LookPath); got != "" {
		t.Errorf("the plugin itself hands over to %s", got)
	}
}

func setUser(o client.Object, name string) error {
	o.(*authenticationv1.SelfSubjectReview).Status.UserInfo.Username = name
	return nil
}
