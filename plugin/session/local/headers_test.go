package local

import (
	"context"
	"errors"
	"log/slog"
	"reflect"
	"testing"
	"testing/synctest"

	"google.golang.org/protobuf/proto"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
)

// watched is a Table with shop/quote, which agents of two pods serve.
func watched(t *testing.T) (*Table, client.Client) {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	active := v1alpha1.PodStatus{Name: "a", Ports: []v1alpha1.PodPort{{State: v1alpha1.PodActive}}}
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(&v1alpha1.Intercept{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "quote", UID: "7"},
		Spec:       v1alpha1.InterceptSpec{User: "jane", Session: "session"},
		Status: v1alpha1.InterceptStatus{Pods: []v1alpha1.PodStatus{active, active,
			{Name: "c", Ports: []v1alpha1.PodPort{{State: v1alpha1.PodVerifying}}}}},
	}).WithInterceptorFuncs(interceptor.Funcs{
		// A real watch ends with its context.
		Watch: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) (watch.Interface, error) {
			w, err := c.Watch(ctx, list, opts...)
			if err == nil {
				context.AfterFunc(ctx, w.Stop)
			}
			return w, err
		}}).Build()
	return NewTable(t.Context(), c, "session", "jane", slog.New(slog.DiscardHandler), func() {}), c
}

var quote = types.NamespacedName{Namespace: "shop", Name: "quote"}

// The question is an annotation while it is asked, and the answers are one.
func TestHeadersOfAgents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table, c := watched(t)
		type result struct {
			seen *Headers
			err  error
		}
		done := make(chan result, 1)
		go func() {
			seen, err := table.Headers(t.Context(), quote)
			done <- result{seen, err}
		}()
		synctest.Wait()
		var i v1alpha1.Intercept
		if err := c.Get(t.Context(), quote, &i); err != nil {
			t.Fatal(err)
		}
		question := i.Annotations[v1alpha1.ShowValuesKey]
		if question == "" || len(question) > v1alpha1.MaxQuestion {
			t.Fatalf("the question is %q", question)
		}
		tell := func(question, uid string, headers ...*rpc.SeenHeader) error {
			first, err := proto.Marshal(&rpc.SeenHeaders{Headers: headers})
			if err != nil {
				t.Fatal(err)
			}
			return table.Handle(t.Context(), &frame.Open{Kind: frame.Headers, Intercept: "shop/quote", InterceptUID: uid, Target: question, First: first}, nil)
		}
		header := func(name string, values ...string) *rpc.SeenHeader {
			h := &rpc.SeenHeader{Name: name}
			for _, v := range values {
				h.Values = append(h.Values, []byte(v))
			}
			return h
		}
		for _, c := range [][2]string{{"another", "7"}, {question, "8"}} {
			if err := tell(c[0], c[1], header("x-evil", "1")); !errors.Is(err, frame.ErrDenied) {
				t.Errorf("what nobody asked for, %v: %v", c, err)
			}
		}
		for _, headers := range [][]*rpc.SeenHeader{
			{header("x-user", "a", "b", "c"), {Name: "cookie", Masked: true}},
			{header("accept", "*/*"), header("x-user", "c", "d")},
		} {
			if err := tell(question, "7", headers...); !errors.Is(err, frame.ErrRefused) {
				t.Errorf("an answer: %v", err)
			}
		}
		want := &Headers{Agents: 2, Answered: 2, Seen: []Header{
			{Name: "accept", Values: []string{"*/*"}}, {Name: "cookie", Masked: true}, {Name: "x-user", Values: []string{"a", "b", "c"}}}}
		if got := <-done; got.err != nil || !reflect.DeepEqual(got.seen, want) {
			t.Errorf("%+v, %v, want %+v", got.seen, got.err, want)
		}
		i = v1alpha1.Intercept{}
		if err := c.Get(t.Context(), quote, &i); err != nil || len(i.Annotations) > 0 {
			t.Errorf("afterwards the annotations are %v, %v", i.Annotations, err)
		}
		if err := tell(question, "7"); !errors.Is(err, frame.ErrDenied) {
			t.Errorf("an answer that is late: %v", err)
		}
	})
}

// A question that no agent answers ends, and says why.
func TestHeadersOfNoAgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table, _ := watched(t)
		if _, err := table.Headers(t.Context(), quote); err == nil || err.Error() != "no agent answered within 4s: agents of an older version cannot" {
			t.Errorf("%v", err)
		}
		if len(table.questions) > 0 {
			t.Error("the question stays")
		}
	})
}
