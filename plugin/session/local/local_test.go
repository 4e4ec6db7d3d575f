package local

import (
	"context"
	"log/slog"
	"net"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
)

func TestWhere(t *testing.T) {
	http := v1alpha1.ResolvedPort{ContainerPort: 80, Protocol: "TCP", LocalHost: "127.0.0.1", LocalPort: 8080}
	grpc := v1alpha1.ResolvedPort{ContainerPort: 90, Protocol: "TCP", LocalHost: "127.0.0.1", LocalPort: 9090}
	dns := v1alpha1.ResolvedPort{ContainerPort: 53, Protocol: "UDP", LocalHost: "10.0.0.1", LocalPort: 5353}
	for _, c := range []struct {
		name   string
		status []v1alpha1.ResolvedPort
		spec   []v1alpha1.InterceptPort
		open   frame.Open
		want   string // "" is nowhere
	}{
		{"by number", []v1alpha1.ResolvedPort{http, grpc}, nil, frame.Open{Port: 90}, "127.0.0.1:9090"},
		{"by protocol", []v1alpha1.ResolvedPort{http, dns}, nil, frame.Open{Port: 53, Protocol: frame.UDP}, "10.0.0.1:5353"},
		{"another number in this pod, one port", []v1alpha1.ResolvedPort{http, dns}, nil, frame.Open{Port: 81}, "127.0.0.1:8080"},
		{"another number in this pod, two ports", []v1alpha1.ResolvedPort{http, grpc}, nil, frame.Open{Port: 81}, ""},
		{"the right number of the wrong protocol", []v1alpha1.ResolvedPort{http}, nil, frame.Open{Port: 80, Protocol: frame.UDP}, ""},
		{"not resolved yet", nil, []v1alpha1.InterceptPort{{LocalPort: 8080, LocalHost: "::1", Protocol: "TCP"}}, frame.Open{Port: 80}, "[::1]:8080"},
	} {
		e := newEntry(&v1alpha1.Intercept{Spec: v1alpha1.InterceptSpec{Ports: c.spec}, Status: v1alpha1.InterceptStatus{Ports: c.status}})
		got, ok := e.where(&c.open)
		if ok != (c.want != "") || ok && got.String() != c.want {
			t.Errorf("%s: %v, %v", c.name, got, ok)
		}
	}
}

func TestMine(t *testing.T) {
	table := NewTable(t.Context(), nil, "session", "jane", slog.New(slog.DiscardHandler), func() {})
	now := metav1.Now()
	for _, c := range []struct {
		i    v1alpha1.Intercept
		want bool
	}{
		{v1alpha1.Intercept{Spec: v1alpha1.InterceptSpec{User: "jane", Session: "session"}}, true},
		{v1alpha1.Intercept{Spec: v1alpha1.InterceptSpec{User: "joe", Session: "session"}}, false},
		{v1alpha1.Intercept{Spec: v1alpha1.InterceptSpec{User: "jane", Session: "other"}}, false},
		{v1alpha1.Intercept{ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: &now}, Spec: v1alpha1.InterceptSpec{User: "jane", Session: "session"}}, false},
	} {
		if got := table.mine(&c.i); got != c.want {
			t.Errorf("%+v is mine: %v", c.i, got)
		}
	}
}

func TestProgramsOnIPv6Localhost(t *testing.T) {
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := int32(l.Addr().(*net.TCPAddr).Port)
	c, err := dialTCP(context.Background(), endpoint{"127.0.0.1", port, frame.TCP})
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	l.Close()
	if _, err := dialTCP(context.Background(), endpoint{"127.0.0.1", port, frame.TCP}); err == nil {
		t.Fatal("a closed port answers")
	}
}
