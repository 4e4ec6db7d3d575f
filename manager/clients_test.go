package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// A controller that has more to ask than it may does not hold up the webhook.
func TestWebhookHasItsOwnRequests(t *testing.T) {
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		var answer any = &corev1.Namespace{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}}
		switch q.URL.Path {
		case "/api":
			answer = &metav1.APIVersions{TypeMeta: metav1.TypeMeta{Kind: "APIVersions"}, Versions: []string{"v1"}}
		case "/apis":
			answer = &metav1.APIGroupList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "APIGroupList"}}
		case "/api/v1":
			answer = &metav1.APIResourceList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "APIResourceList"}, GroupVersion: "v1",
				APIResources: []metav1.APIResource{{Name: "namespaces", Kind: "Namespace", Verbs: metav1.Verbs{"get"}}}}
		}
		json.NewEncoder(w).Encode(answer)
	}))
	defer api.Close()
	direct, hook, err := clients(&rest.Config{Host: api.URL, QPS: 1, Burst: 5}, clientgoscheme.Scheme)
	if err != nil {
		t.Fatal(err)
	}
	get := func(c client.Client) error {
		return c.Get(t.Context(), client.ObjectKey{Name: "shop"}, &corev1.Namespace{})
	}
	var answered atomic.Int64
	for range 100 { // the last of them has its turn after a minute and a half
		go func() {
			if get(direct) == nil {
				answered.Add(1)
			}
		}()
	}
	for answered.Load() < 5 {
	}
	if err := get(hook); err != nil {
		t.Error(err)
	}
	if n := answered.Load(); n > 50 {
		t.Errorf("%d requests of the controller came before that of the webhook", n)
	}
}
