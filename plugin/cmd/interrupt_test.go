package cmd

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/cli-runtime/pkg/genericiooptions"
)

// sink is an output that calls back when a text has been written.
type sink struct {
	mu    sync.Mutex
	all   bytes.Buffer
	after map[string]func()
}

// Write keeps p and fires each callback once.
func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all.Write(p)
	for text, f := range s.after {
		if strings.Contains(s.all.String(), text) {
			delete(s.after, text)
			f()
		}
	}
	return len(p), nil
}

// String is what was written.
func (s *sink) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all.String()
}

// start makes a world and returns it with the path of its kubeconfig.
func start(t *testing.T) (*world, string) {
	t.Helper()
	w := &world{api: newFakeAPI(), user: "alice"}
	t.Cleanup(w.api.Close)
	t.Cleanup(w.api.CloseClientConnections)
	b, err := os.ReadFile(filepath.Join("..", "testdata", "cluster.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.apply(b); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(file, []byte(w.kubeconfig()), 0o600); err != nil {
		t.Fatal(err)
	}
	return w, file
}

func TestAddInterrupted(t *testing.T) {
	w, config := start(t)
	w.edit(func(s *fakeAPI) { s.manager.plan = []string{"resolve"} })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out bytes.Buffer
	errs := &sink{after: map[string]func(){"attaching": cancel}}
	code := execute(ctx, genericiooptions.IOStreams{Out: &out, ErrOut: errs},
		[]string{"add", "quote", "--port", "8080", "--kubeconfig", config}, fakeSessions{w})
	if code != 1 || !strings.HasSuffix(errs.String(), "error: interrupted: deployment/quote is not intercepted\n") || out.Len() > 0 {
		t.Errorf("exit code %d, stderr\n%sstdout\n%s", code, errs, &out)
	}
	w.edit(func(s *fakeAPI) {
		for _, path := range s.paths() {
			if strings.Contains(path, "/intercepts/") {
				t.Errorf("%s is still there", path)
			}
		}
	})
}

// deaf is an output whose reader has gone.
type deaf struct{ after string }

// Write fails from the text on.
func (d *deaf) Write(p []byte) (int, error) {
	if strings.Contains(string(p), d.after) {
		d.after = ""
	}
	if d.after == "" {
		return 0, &os.PathError{Op: "write", Path: "/dev/stderr", Err: syscall.EPIPE}
	}
	return len(p), nil
}

// Whoever reads the messages and goes has the command undo what it began.
func TestAddUnheard(t *testing.T) {
	w, config := start(t)
	w.edit(func(s *fakeAPI) { s.manager.plan = []string{"resolve"} })
	var out bytes.Buffer
	code := execute(t.Context(), genericiooptions.IOStreams{Out: &out, ErrOut: &deaf{after: "attaching"}},
		[]string{"add", "quote", "--port", "8080", "--kubeconfig", config}, fakeSessions{w})
	if code != 1 || out.Len() > 0 {
		t.Errorf("exit code %d, stdout\n%s", code, &out)
	}
	w.edit(func(s *fakeAPI) {
		for _, path := range s.paths() {
			if strings.Contains(path, "/intercepts/") {
				t.Errorf("%s is still there", path)
			}
		}
	})
}

// ofBob is an Intercept of deployment quote.
func ofBob() *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "kubectl-intercept.dev/v1alpha1", "kind": "Intercept",
		"metadata": map[string]any{"name": "quote", "namespace": "default", "generation": int64(1)},
		"spec": map[string]any{"user": "bob", "session": "x", "ports": []any{},
			"workload": map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "name": "quote"}},
		"status": map[string]any{"observedGeneration": int64(1), "state": "Active"},
	}}
}

func TestListWatch(t *testing.T) {
	w, config := start(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	intercept := ofBob()
	out := &sink{after: map[string]func(){
		"statefulset/store": func() { w.api.load(intercept) },
		"intercepted by":    cancel,
	}}
	var errs bytes.Buffer
	code := execute(ctx, genericiooptions.IOStreams{Out: out, ErrOut: &errs},
		[]string{"list", "--watch", "--kubeconfig", config}, fakeSessions{w})
	if code != 0 || errs.Len() > 0 {
		t.Errorf("exit code %d: %s", code, &errs)
	}
	want := `NAME                   STATE
deployment/asleep      not interceptable: no pods
deployment/node-tool   not interceptable: its pods use the network of their node
deployment/quote       ready to intercept
pod/tool               ready to intercept
statefulset/store      ready to intercept
deployment/quote       intercepted by bob
`
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out, want)
	}
}

// What changed while the cluster did not answer is shown once it does.
func TestListWatchGoesOn(t *testing.T) {
	w, config := start(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := &sink{after: map[string]func(){
		"statefulset/store": func() {
			w.edit(func(s *fakeAPI) { s.absent = []string{"intercepts"} })
			w.api.load(ofBob())
		},
		"intercepted by bob": cancel,
	}}
	errs := &sink{after: map[string]func(){
		"; trying again": func() { w.edit(func(s *fakeAPI) { s.absent = nil }) },
	}}
	if code := execute(ctx, genericiooptions.IOStreams{Out: out, ErrOut: errs}, []string{"list", "--watch", "--kubeconfig", config}, fakeSessions{w}); code != 0 {
		t.Errorf("exit code %d: %s", code, errs)
	}
}

// What one may not watch is said, and does not end the watch.
func TestListWatchForbidden(t *testing.T) {
	w, config := start(t)
	w.edit(func(s *fakeAPI) { s.refuse = append(s.refuse, refusal{"alice", "watch", "statefulsets", "default"}) })
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out bytes.Buffer
	errs := &sink{after: map[string]func(){"Warning: you may not watch statefulsets, ": cancel}}
	if code := execute(ctx, genericiooptions.IOStreams{Out: &out, ErrOut: errs}, []string{"list", "--watch", "--kubeconfig", config}, fakeSessions{w}); code != 0 {
		t.Errorf("exit code %d: %s", code, errs)
	}
}

// TestAddCommandLeft: whoever leaves an intercept ends the command for which it was made.
func TestAddCommandLeft(t *testing.T) {
	w, config := start(t)
	w.edit(func(s *fakeAPI) { s.manager.plan = []string{"resolve", "attach", "activate"} })
	var errs bytes.Buffer
	left := make(chan int, 1)
	out := &sink{after: map[string]func(){"started": func() {
		go func() {
			var out, errs bytes.Buffer
			left <- execute(context.Background(), genericiooptions.IOStreams{Out: &out, ErrOut: &errs}, []string{"leave", "quote", "--kubeconfig", config}, fakeSessions{w})
		}()
	}}}
	code := execute(t.Context(), genericiooptions.IOStreams{In: &bytes.Buffer{}, Out: out, ErrOut: &errs},
		[]string{"add", "quote", "--port", "8080", "--kubeconfig", config, "--", "sh", "-c", "echo started; exec tail -f /dev/null"}, fakeSessions{w})
	if code != 128+int(syscall.SIGTERM) || !strings.HasSuffix(errs.String(), "intercept quote has ended, and so has the command\n") {
		t.Errorf("exit code %d, stderr\n%s", code, &errs)
	}
	if code := <-left; code != 0 {
		t.Errorf("leave: exit code %d", code)
	}
}
