package render

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

func TestProgressPlain(t *testing.T) {
	var out bytes.Buffer
	p := NewProgress(&out)
	for _, s := range []string{"resolving", "resolving", "", "verifying"} {
		p.Step(s)
	}
	p.Done()
	if got := out.String(); got != "resolving\nverifying\n" {
		t.Errorf("%q", got)
	}
}

func TestProgressLive(t *testing.T) {
	var out bytes.Buffer
	p := NewProgress(&out)
	p.live = true
	p.Step("resolving")
	p.Step("verifying")
	p.Done()
	p.Done()
	if got := out.String(); got != "\r\x1b[Kresolving …\r\x1b[Kverifying …\r\x1b[K" {
		t.Errorf("%q", got)
	}
}

func TestInterceptBlock(t *testing.T) {
	i := &v1alpha1.Intercept{}
	i.Name = "store"
	i.Spec.Workload.Kind = "StatefulSet"
	i.Spec.Ports = []v1alpha1.InterceptPort{{Protocol: "TCP"}, {Protocol: "UDP"}}
	i.Status.State = v1alpha1.StateActive
	i.Status.Ports = []v1alpha1.ResolvedPort{
		{Service: "store", ServicePort: 80, ContainerPort: 8080, Protocol: "TCP", LocalPort: 8080},
		{ContainerPort: 5353, Protocol: "UDP", LocalHost: "127.0.0.1", LocalPort: 53},
	}
	want := strings.TrimPrefix(`
    Intercept name         : store
    State                  : ACTIVE
    Workload kind          : StatefulSet
    Destination            : 127.0.0.1:8080, 127.0.0.1:53/UDP
    Service Port Identifier: 80, 5353 (container port)
    Intercepting           : all TCP connections and UDP packets
`, "\n")
	var out bytes.Buffer
	if err := Intercept(&out, i, ""); err != nil {
		t.Fatal(err)
	}
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}

// What a personal intercept takes stands in the block, a condition a line.
func TestInterceptBlockWithConditions(t *testing.T) {
	for _, test := range []struct {
		match *v1alpha1.Match
		want  string
	}{
		{&v1alpha1.Match{}, `
    Intercept name         : quote
    State                  : WAITING
    Workload kind          : Deployment
    Destination            : 127.0.0.1:8080
    Service Port Identifier: http
    Intercepting           : all HTTP requests
`},
		{&v1alpha1.Match{Headers: []v1alpha1.MatchValue{{Name: "blog-demo-id", Regexp: "louise"}}, Paths: []v1alpha1.MatchPath{{Regexp: "/co.*"}}}, `
    Intercept name         : quote
    State                  : WAITING
    Workload kind          : Deployment
    Destination            : 127.0.0.1:8080
    Service Port Identifier: http
    Intercepting           : HTTP requests that match all of:
      header("blog-demo-id") ~= regexp("louise")
      path ~= regexp("/co.*")
`},
		{&v1alpha1.Match{Cookies: []v1alpha1.MatchValue{{Name: "user", Regexp: "alice"}}}, `
    Intercept name         : quote
    State                  : WAITING
    Workload kind          : Deployment
    Destination            : 127.0.0.1:8080
    Service Port Identifier: http
    Intercepting           : HTTP requests that match all of:
      cookie("user") ~= regexp("alice")
    Try it                 : curl -b user=alice http://quote.shop:80/
`},
	} {
		i := &v1alpha1.Intercept{}
		i.Name, i.Namespace = "quote", "shop"
		i.Spec.Workload.Kind, i.Spec.Match = "Deployment", test.match
		i.Status.Ports = []v1alpha1.ResolvedPort{{Service: "quote", ServicePort: 80, ServicePortName: "http", LocalPort: 8080}}
		var out bytes.Buffer
		if err := Intercept(&out, i, ""); err != nil {
			t.Fatal(err)
		}
		if want := strings.TrimPrefix(test.want, "\n"); out.String() != want {
			t.Errorf("got\n%swant\n%s", out.String(), want)
		}
	}
}

func TestError(t *testing.T) {
	status := func(reason metav1.StatusReason, message string) error {
		return &apierrors.StatusError{ErrStatus: metav1.Status{Reason: reason, Message: message}}
	}
	for want, err := range map[string]error{
		"plain": errors.New("plain"),
		`no permission: user "alice" cannot create intercepts.kubectl-intercept.dev in namespace "shop": the ClusterRole "edit" allows it (kubectl create rolebinding NAME --clusterrole=edit --user=alice -n shop)`: fmt.Errorf("create: %w", status(metav1.StatusReasonForbidden,
			`intercepts.kubectl-intercept.dev is forbidden: User "alice" cannot create resource "intercepts" in API group "kubectl-intercept.dev" in the namespace "shop"`)),
		`no permission: user "a b" cannot create pods/portforward in namespace "shop": the ClusterRole "edit" allows it (kubectl create rolebinding NAME --clusterrole=edit --user='a b' -n shop)`: status(metav1.StatusReasonForbidden,
			`pods "x" is forbidden: User "a b" cannot create resource "pods/portforward" in API group "" in the namespace "shop"`),
		`no permission: user "bob" cannot create sessions.kubectl-intercept.dev in namespace "intercept-system": the Role "traffic-manager-connect" there allows it (chart value clientRbac.subjects)`: status(metav1.StatusReasonForbidden,
			`sessions.kubectl-intercept.dev is forbidden: User "bob" cannot create resource "sessions" in API group "kubectl-intercept.dev" in the namespace "intercept-system"`),
		`no permission: user "bob" cannot get services/proxy in namespace "intercept-system": the Role "traffic-manager-connect" there allows it (chart value clientRbac.subjects)`: status(metav1.StatusReasonForbidden,
			`services "http:traffic-manager:tunnel" is forbidden: User "bob" cannot get resource "services/proxy" in API group "" in the namespace "intercept-system"`),
		"spec.user must be your name":                        status(metav1.StatusReasonForbidden, "spec.user must be your name"),
		"you must be logged in to the server: token expired": status(metav1.StatusReasonUnauthorized, "token expired"),
		"one\nerror: two":                                    utilerrors.NewAggregate([]error{errors.New("one"), errors.New("two")}),
	} {
		if got := Error(err); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
}
