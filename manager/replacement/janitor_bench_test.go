package replacement

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/sidecar"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/shoptest"
)

// BenchmarkTidy is one pass of the Janitor over a cache with 10,000 pods, which it
// makes every second in every cluster.
func BenchmarkTidy(b *testing.B) {
	for _, sidecars := range []int{0, 100} {
		b.Run(fmt.Sprintf("%d sidecars", sidecars), func(b *testing.B) {
			c := cached(b, manyPods(10_000, sidecars))
			j := &Janitor{Replacer: &Replacer{Cluster: Cluster{Client: c, Live: c, Log: slog.New(slog.DiscardHandler)}}, MaxIdle: time.Hour}
			b.ReportAllocs()
			for b.Loop() {
				if err := j.Tidy(b.Context(), time.Now()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// manyPods are ready pods of 100 namespaces, the first ones with a sidecar that an
// intercept brought.
func manyPods(n, sidecars int) *corev1.PodList {
	list := &corev1.PodList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PodList"}, ListMeta: metav1.ListMeta{ResourceVersion: "1"}}
	for i := range n {
		p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: fmt.Sprintf("team-%d", i%100), Name: fmt.Sprintf("quote-%d", i), UID: types.UID(fmt.Sprint(i)), ResourceVersion: "1",
			Labels:          map[string]string{"app": "quote", "pod-template-hash": "a"},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "quote-a", UID: "rs", Controller: ptr.To(true)}}},
			Spec: corev1.PodSpec{NodeName: "n", Containers: []corev1.Container{{Name: "quote", Image: "quote", Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}},
				Env: []corev1.EnvVar{{Name: "A", Value: "1"}, {Name: "B", Value: "2"}}}}},
			Status: corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "10.0.0.1", PodIPs: []corev1.PodIP{{IP: "10.0.0.1"}},
				Conditions:        []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}, {Type: corev1.ContainersReady, Status: corev1.ConditionTrue}},
				ContainerStatuses: []corev1.ContainerStatus{{Name: "quote", Ready: true, Image: "quote", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}}}
		if i < sidecars {
			p.Annotations = map[string]string{sidecar.Annotation: shoptest.Layout}
			p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: sidecar.Container})
		}
		list.Items = append(list.Items, p)
	}
	return list
}

// cached is a client that reads from a filled cache, as the traffic-manager's does,
// in a cluster with these pods and nothing else.
func cached(b *testing.B, pods *corev1.PodList) client.Client {
	b.Helper()
	scheme := shoptest.Scheme(b)
	text, err := json.Marshal(pods)
	if err != nil {
		b.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case q.FormValue("sendInitialEvents") != "": // ask for a list
			w.WriteHeader(http.StatusUnprocessableEntity)
			fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Invalid","code":422}`)
		case q.FormValue("watch") != "":
			w.(http.Flusher).Flush()
			<-q.Context().Done()
		case q.URL.Path == "/api/v1/pods":
			w.Write(text)
		case strings.HasSuffix(q.URL.Path, "/intercepts"):
			fmt.Fprint(w, `{"kind":"InterceptList","apiVersion":"kubectl-intercept.dev/v1alpha1","metadata":{"resourceVersion":"1"},"items":[]}`)
		default:
			b.Errorf("unexpected request %s", q.URL)
		}
	}))
	b.Cleanup(server.Close)
	cfg := &rest.Config{Host: server.URL}
	mapper := meta.NewDefaultRESTMapper(nil)
	mapper.Add(corev1.SchemeGroupVersion.WithKind("Pod"), meta.RESTScopeNamespace)
	mapper.Add(v1alpha1.GroupVersion().WithKind("Intercept"), meta.RESTScopeNamespace)
	store, err := cache.New(cfg, cache.Options{Scheme: scheme, Mapper: mapper})
	if err != nil {
		b.Fatal(err)
	}
	if err := Index(b.Context(), store); err != nil {
		b.Fatal(err)
	}
	c, err := client.New(cfg, client.Options{Scheme: scheme, Mapper: mapper, Cache: &client.CacheOptions{Reader: store}})
	if err != nil {
		b.Fatal(err)
	}
	go store.Start(b.Context())
	if !store.WaitForCacheSync(b.Context()) {
		b.Fatal("the cache is not filled")
	}
	for _, l := range []client.ObjectList{&corev1.PodList{}, &v1alpha1.InterceptList{}} { // starts what fills the cache
		if err := c.List(b.Context(), l); err != nil {
			b.Fatal(err)
		}
	}
	return c
}
