package cmd

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
)

// planted is a cluster with a secret, or a name that is nobody's business, wherever there
// can be one.
const planted = `
apiVersion: v1
kind: Pod
metadata:
  name: traffic-manager-1
  namespace: intercept-system
  labels: {app.kubernetes.io/name: traffic-manager, app.kubernetes.io/part-of: kubectl-intercept}
  annotations:
    log.traffic-manager: "time=x msg=\"session of alice\" token=PLANTED-01 header=\"Authorization: Bearer PLANTED-02\"\n"
    previous.traffic-manager: "panic with password=PLANTED-03 in pod quote-9\n"
spec:
  nodeName: node-in-munich
  containers: [{name: traffic-manager, image: manager, env: [{name: LICENSE, value: PLANTED-04}]}]
status: {containerStatuses: [{name: traffic-manager, restartCount: 1, image: manager, imageID: x, ready: true}]}
---
apiVersion: v1
kind: Pod
metadata:
  name: quote-9
  namespace: shop
  labels: {app: quote}
  annotations:
    log.traffic-agent: "dials as PLANTED-05-of-the-environment for quote-9\n"
    example.com/password: PLANTED-06
    kubectl.kubernetes.io/last-applied-configuration: '{"x":"PLANTED-07"}'
spec:
  nodeName: node-in-munich
  containers:
  - name: app
    image: quote
    args: ["--key", "PLANTED-08"]
    env: [{name: DATABASE_PASSWORD, value: PLANTED-05-of-the-environment}, {name: GREETING, value: PLANTED-09}]
    ports: [{containerPort: 8080}]
    livenessProbe: {httpGet: {port: 8080, httpHeaders: [{name: X-Key, value: PLANTED-10}]}}
  ephemeralContainers: [{name: traffic-agent, image: agent, env: [{name: PLAN, value: PLANTED-11}]}]
status: {phase: Running}
---
apiVersion: kubectl-intercept.dev/v1alpha1
kind: Intercept
metadata: {name: quote, namespace: shop}
spec:
  user: alice
  session: alice-laptop-demo
  workload: {apiVersion: v1, kind: Pod, name: quote-9}
  ports: [{localPort: 8080, port: "8080", protocol: TCP}]
  mode: Personal
  match: {headers: [{name: x-key, regexp: PLANTED-12}], cookies: [{name: sid, regexp: PLANTED-13}]}
  preview: {host: x, port: 80, passwordHash: PLANTED-14}
status: {message: 'none meets header("x-key") ~= regexp("PLANTED-15")', pods: [{name: quote-9}]}
---
apiVersion: kubectl-intercept.dev/v1alpha1
kind: Session
metadata: {name: alice-laptop-demo, namespace: intercept-system}
spec: {user: alice, host: laptop-of-alice, publicKey: 00ff}
---
apiVersion: v1
kind: Event
metadata: {name: one, namespace: shop}
involvedObject: {kind: Pod, name: quote-9, namespace: shop}
type: Warning
reason: Failed
message: "cannot pull https://puller:PLANTED-17@registry/quote"
---
apiVersion: v1
kind: Event
metadata: {name: two, namespace: shop}
involvedObject: {kind: Pod, name: unrelated, namespace: shop}
type: Normal
reason: Started
message: "of no interest here"
---
apiVersion: v1
kind: Secret
metadata: {name: db, namespace: shop}
stringData: {password: PLANTED-18}
`

// bundle runs gather-logs, and returns the files of the zip.
func bundle(t *testing.T, w *world, config string, flags ...string) (map[string]string, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "logs.zip")
	var out, errs bytes.Buffer
	args := append([]string{"gather-logs", "-o", path, "--kubeconfig", config}, flags...)
	if code := execute(t.Context(), genericiooptions.IOStreams{Out: &out, ErrOut: &errs}, args, fakeSessions{w}); code != 0 {
		t.Fatalf("exit code %d: %s", code, &errs)
	}
	if out.String() != path+"\n" {
		t.Errorf("it prints %q, want the file's path", &out)
	}
	if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v (%v), want that only its owner reads it", info.Mode(), err)
	}
	z, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	files := map[string]string{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[f.Name] = string(b)
		if !strings.Contains(errs.String(), f.Name+": ") {
			t.Errorf("it does not say that it has gathered %s:\n%s", f.Name, &errs)
		}
	}
	return files, errs.String()
}

// troubled is a world with everything that gather-logs reads.
func troubled(t *testing.T) (*world, string, state.State) {
	t.Helper()
	w, config := start(t)
	w.home, w.running = t.TempDir(), true
	if err := w.apply([]byte(planted)); err != nil {
		t.Fatal(err)
	}
	dir, err := state.OpenIn(w.home, "demo")
	if err != nil {
		t.Fatal(err)
	}
	s := state.New()
	s.User, s.Context, s.Server, s.Session = "alice", "demo", "https://api.example.com", "alice-laptop-demo"
	if err := dir.Save(s); err != nil {
		t.Fatal(err)
	}
	text := "time=x level=INFO msg=\"session begins\" token=PLANTED-19 raw=" + hex.EncodeToString(s.Key) + " namespace=shop\n"
	if err := os.WriteFile(dir.Log(), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return w, config, s
}

// TestGatherLogs searches the whole zip for what was planted.
func TestGatherLogs(t *testing.T) {
	w, config, s := troubled(t)
	files, said := bundle(t, w, config)
	var all strings.Builder
	for name, text := range files {
		all.WriteString(name + "\n" + text)
	}
	if found := regexp.MustCompile(`PLANTED-\d+`).FindAllString(all.String(), -1); found != nil {
		t.Errorf("the zip has %v:\n%s", found, &all)
	}
	for _, secret := range []string{base64.StdEncoding.EncodeToString(s.Key), hex.EncodeToString(s.Key)} {
		if strings.Contains(all.String(), secret) {
			t.Errorf("the zip has %s of the session's key", secret)
		}
	}
	for name, want := range map[string]string{
		"versions.yaml":                                 "kubernetes: v1.34.1 linux/amd64\n",
		"check.yaml":                                    "category: kubernetes\n",
		"session/session.log":                           "msg=\"session begins\"",
		"session/status.yaml":                           "relay: traffic-manager-abc\n",
		"session/state.yaml":                            "context: demo\n",
		"objects/intercepts.yaml":                       "session: alice-laptop-demo\n",
		"objects/sessions.yaml":                         "host: laptop-of-alice\n",
		"objects/manager-pods.yaml":                     "restartCount: 1\n",
		"objects/pods.yaml":                             "name: GREETING\n",
		"events/shop.txt":                               "Warning Failed pod/quote-9: cannot pull https://<redacted>@registry/quote (1 time)\n",
		"agents/shop/quote-9/traffic-agent.log":         "dials as <redacted> for quote-9\n",
		"manager/traffic-manager-1/traffic-manager.log": "msg=\"session of alice\" token=<redacted>",
		"manager/traffic-manager-1/traffic-manager.previous.log": "panic with password=<redacted> in pod quote-9\n",
		"not-read.txt": "",
	} {
		text, there := files[name]
		if !there || !strings.Contains(text, want) {
			t.Errorf("%s (%v) has not %q:\n%s", name, there, want, text)
		}
	}
	if strings.Contains(all.String(), "of no interest") {
		t.Error("the zip has Events about other pods")
	}
	if strings.Contains(said, "PLANTED") {
		t.Errorf("it prints secrets: %s", said)
	}
}

// TestGatherLogsAnonymized searches the whole zip for names.
func TestGatherLogsAnonymized(t *testing.T) {
	w, config, _ := troubled(t)
	files, _ := bundle(t, w, config, "--anonymize")
	names := regexp.MustCompile(`(?i)\b(shop|alice|quote-9|traffic-manager-1|node-in-munich|laptop-of-alice)\b`)
	for name, text := range files {
		if found := names.FindAllString(name+"\n"+text, -1); found != nil {
			t.Errorf("%s has %v:\n%s", name, found, text)
		}
	}
	// The same name is the same everywhere.
	m := regexp.MustCompile(`dials as <redacted> for (pod-\d+)`).FindStringSubmatch(strings.Join([]string{files["agents/namespace-1/pod-1/traffic-agent.log"], files["agents/namespace-1/pod-2/traffic-agent.log"]}, ""))
	if m == nil {
		t.Fatalf("the agent's log is not there: %v", files)
	}
	for file, text := range files {
		switch {
		case strings.HasSuffix(file, ".previous.log") && !strings.Contains(text, "in pod "+m[1]+"\n"),
			file == "events/namespace-1.txt" && !strings.Contains(text, "pod/"+m[1]+":"):
			t.Errorf("%s calls the pod otherwise than %s:\n%s", file, m[1], text)
		}
	}
}

// TestGatherLogsPartly takes away what is read: the rest is there, and what is not is listed.
func TestGatherLogsPartly(t *testing.T) {
	w, config, _ := troubled(t)
	w.edit(func(s *fakeAPI) {
		s.refuse = append(s.refuse, refusal{"alice", "get", "pods/log", "*"}, refusal{"alice", "list", "sessions", "*"}, refusal{"alice", "list", "events", "shop"})
	})
	files, said := bundle(t, w, config)
	for _, want := range []string{
		"manager/traffic-manager-1/traffic-manager.log: no permission: user \"alice\" cannot get pods",
		"agents/shop/quote-9/traffic-agent.log: no permission: user \"alice\" cannot get pods",
		"Events in namespace shop: no permission: user \"alice\" cannot list events",
	} {
		if !strings.Contains(files["not-read.txt"], want) {
			t.Errorf("not-read.txt has not %q:\n%s", want, files["not-read.txt"])
		}
		if !strings.Contains(said, "Warning: not read: "+want) {
			t.Errorf("it does not say %q:\n%s", want, said)
		}
	}
	for _, name := range []string{"objects/intercepts.yaml", "objects/pods.yaml", "session/session.log"} {
		if files[name] == "" {
			t.Errorf("%s is not there", name)
		}
	}
	// Nobody needs to list Sessions for this machine's own.
	if n := strings.Count(files["objects/sessions.yaml"], "publicKey:"); n != 1 {
		t.Errorf("it has %d Sessions:\n%s", n, files["objects/sessions.yaml"])
	}
	w.edit(func(s *fakeAPI) { s.refuse = append(s.refuse, refusal{"alice", "get", "sessions", "*"}) })
	files, _ = bundle(t, w, config)
	if want := "Sessions: no permission: user \"alice\" cannot get sessions"; !strings.Contains(files["not-read.txt"], want) {
		t.Errorf("not-read.txt has not %q:\n%s", want, files["not-read.txt"])
	}

	// A cluster that does not answer.
	w.api.CloseClientConnections()
	w.api.Close()
	files, _ = bundle(t, w, config)
	if !strings.Contains(files["not-read.txt"], "everything in the cluster: ") || files["session/session.log"] == "" {
		t.Errorf("without a cluster: %v", files)
	}
}

// A file that is there is not written over, and an error leaves none.
func TestGatherLogsFile(t *testing.T) {
	w, config, _ := troubled(t)
	path := filepath.Join(t.TempDir(), "mine.zip")
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{path, filepath.Join(path, "below.zip")} {
		var out, errs bytes.Buffer
		code := execute(t.Context(), genericiooptions.IOStreams{Out: &out, ErrOut: &errs}, []string{"gather-logs", "-o", file, "--kubeconfig", config}, fakeSessions{w})
		if code != 1 || !strings.HasPrefix(errs.String(), "error: ") {
			t.Errorf("%s: %d, %s", file, code, &errs)
		}
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "mine" {
		t.Errorf("the file is %q (%v)", b, err)
	}
}
