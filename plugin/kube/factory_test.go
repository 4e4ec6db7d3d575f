package kube

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/go-logr/logr/funcr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	crlog "sigs.k8s.io/controller-runtime/pkg/log"
)

// Controller-runtime's own log, which has no destination in a command, is not used.
func TestWarningsOfTheAPIServer(t *testing.T) {
	logged := ""
	crlog.SetLogger(funcr.New(func(prefix, args string) { logged += prefix + args }, funcr.Options{}))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Warning", `299 - "this is old"`)
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"shop"}}`)
	}))
	defer server.Close()
	handled := &warned{}
	for _, cfg := range []*rest.Config{{Host: server.URL}, {Host: server.URL, WarningHandler: handled}} {
		c, err := NewClient(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Get(t.Context(), client.ObjectKey{Name: "shop"}, &corev1.Namespace{}); err != nil {
			t.Fatal(err)
		}
	}
	if logged != "" || handled.text != "this is old" {
		t.Errorf("logged %q, and the handler got %q", logged, handled.text)
	}
}

type warned struct{ text string }

func (w *warned) HandleWarningHeader(_ int, _, text string) { w.text += text }
