package cmd

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
)

// fakeAPI is as much of a Kubernetes API server as the commands need: get,
// list, watch, create, update and delete of any resource, with users, refusals
// and, for Intercepts, a traffic-manager that takes one step of its plan each
// time a watcher has seen the step before. So what a command sees, and in
// which order, does not depend on time.
type fakeAPI struct {
	*httptest.Server

	mu      sync.Mutex
	changed *sync.Cond
	version int
	objects map[string]*unstructured.Unstructured // by path
	log     []change
	refuse  []refusal
	absent  []string // resources the server does not know
	manager manager
}

type change struct {
	version int
	kind    string // ADDED, MODIFIED, DELETED
	path    string
	object  *unstructured.Unstructured
}

type refusal struct{ user, verb, resource, namespace string }

// request is a decoded URL: /apis/GROUP/VERSION/namespaces/NS/RESOURCE/NAME.
type request struct {
	user, verb, prefix, group, namespace, resource, name, sub string

	fields fields.Selector
	labels labels.Selector
	dryRun bool
}

func newFakeAPI() *fakeAPI {
	s := &fakeAPI{objects: map[string]*unstructured.Unstructured{}, absent: []string{"rollouts"}}
	s.changed = sync.NewCond(&s.mu)
	s.Server = httptest.NewUnstartedServer(s)
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // clients hang up when a test ends
	s.StartTLS()                                   // over plain HTTP, client-go sends no token
	return s
}

func parse(r *http.Request) request {
	q := request{user: strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")}
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	if len(parts) < 2 { // /version
		parts = append(parts, "")
	}
	n := 2 // api/v1
	if parts[0] == "apis" {
		n, q.group = 3, parts[1]
	}
	q.prefix, parts = "/"+strings.Join(parts[:n], "/"), parts[n:]
	if len(parts) > 2 && parts[0] == "namespaces" {
		q.namespace, parts = parts[1], parts[2:]
	}
	if len(parts) > 0 {
		q.resource = parts[0]
	}
	if len(parts) > 1 {
		q.name = parts[1]
	}
	if len(parts) > 2 {
		q.sub = parts[2]
	}
	values := r.URL.Query()
	q.fields, _ = fields.ParseSelector(values.Get("fieldSelector"))
	q.labels, _ = labels.Parse(values.Get("labelSelector"))
	q.dryRun = values.Get("dryRun") == "All"
	q.verb = map[string]string{"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete", "GET": "get"}[r.Method]
	if q.verb == "get" && q.name == "" {
		q.verb = "list"
		if values.Get("watch") != "" {
			q.verb = "watch"
		}
	}
	return q
}

func (q request) path(namespace, name string) string {
	return q.prefix + "/" + namespace + "/" + q.resource + "/" + name
}

func (q request) matches(path string, o *unstructured.Unstructured) bool {
	if path != q.path(o.GetNamespace(), o.GetName()) || q.namespace != "" && o.GetNamespace() != q.namespace {
		return false
	}
	involved, _, _ := unstructured.NestedString(o.Object, "involvedObject", "name")
	set := fields.Set{"metadata.name": o.GetName(), "metadata.namespace": o.GetNamespace(), "involvedObject.name": involved}
	return q.fields.Matches(set) && q.labels.Matches(labels.Set(o.GetLabels()))
}

// ServeHTTP answers one request.
func (s *fakeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := parse(r)
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	switch {
	case slices.ContainsFunc(s.refuse, func(f refusal) bool {
		return f.user == q.user && f.verb == q.verb && f.resource == strings.TrimSuffix(q.resource+"/"+q.sub, "/") && (f.namespace == q.namespace || f.namespace == "*")
	}):
		where := fmt.Sprintf("in the namespace %q", q.namespace)
		if q.namespace == "" {
			where = "at the cluster scope"
		}
		what := q.resource
		if q.group != "" {
			what += "." + q.group
		}
		if q.name != "" {
			what += fmt.Sprintf(" %q", q.name)
		}
		fail(w, http.StatusForbidden, metav1.StatusReasonForbidden, fmt.Sprintf("%s is forbidden: User %q cannot %s resource %q in API group %q %s",
			what, q.user, q.verb, q.resource, q.group, where))
	case r.URL.Path == "/version":
		fmt.Fprint(w, `{"major":"1","minor":"34","gitVersion":"v1.34.1","platform":"linux/amd64"}`)
	case q.sub == "log":
		s.podLog(w, q, r.URL.Query().Get("container"), r.URL.Query().Get("previous"))
	case q.resource == "": // discovery
		if slices.Contains(s.absent, map[string]string{"kubectl-intercept.dev": "intercepts", "argoproj.io": "rollouts"}[q.group]) {
			fail(w, http.StatusNotFound, metav1.StatusReasonNotFound, "the server could not find the requested resource")
			return
		}
		fmt.Fprintf(w, `{"kind":"APIResourceList","groupVersion":%q,"resources":[]}`, strings.TrimPrefix(q.prefix, "/apis/"))
	case q.resource == "selfsubjectreviews":
		json.NewEncoder(w).Encode(map[string]any{"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview",
			"status": map[string]any{"userInfo": map[string]any{"username": q.user}}})
	case slices.Contains(s.absent, q.resource):
		fail(w, http.StatusNotFound, metav1.StatusReasonNotFound, "the server could not find the requested resource")
	case q.verb == "watch":
		s.watch(w, r, q)
	case q.verb == "list":
		s.list(w, q)
	case q.verb == "get":
		if o := s.objects[q.path(q.namespace, q.name)]; o != nil {
			json.NewEncoder(w).Encode(o)
			return
		}
		notFound(w, q)
	default:
		s.write(w, q, body)
	}
}

// podLog answers with an annotation of the pod: "log.CONTAINER", or "previous.CONTAINER".
func (s *fakeAPI) podLog(w http.ResponseWriter, q request, container, previous string) {
	kind := "log."
	if previous == "true" {
		kind = "previous."
	}
	o := s.objects[q.path(q.namespace, q.name)]
	if o == nil {
		notFound(w, q)
		return
	}
	text, logged := o.GetAnnotations()[kind+container]
	if !logged {
		fail(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, fmt.Sprintf("%scontainer %q in pod %q not found", strings.TrimPrefix(kind, "log."), container, q.name))
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	fmt.Fprint(w, text)
}

func (s *fakeAPI) list(w http.ResponseWriter, q request) {
	items := []any{}
	for _, path := range s.paths() {
		if o := s.objects[path]; q.matches(path, o) {
			items = append(items, o.Object)
		}
	}
	json.NewEncoder(w).Encode(map[string]any{"apiVersion": strings.TrimPrefix(strings.TrimPrefix(q.prefix, "/apis/"), "/api/"),
		"kind": listKind(q.resource), "metadata": map[string]any{"resourceVersion": strconv.Itoa(s.version)}, "items": items})
}

func (s *fakeAPI) write(w http.ResponseWriter, q request, body []byte) {
	s.manager.idle = true
	o := &unstructured.Unstructured{}
	if q.verb == "delete" {
		var opts metav1.DeleteOptions
		json.Unmarshal(body, &opts)
		at := q.path(q.namespace, q.name)
		switch o := s.objects[at]; {
		case o == nil:
			notFound(w, q)
			return
		case len(opts.DryRun) > 0:
		case len(o.GetFinalizers()) > 0:
			o = o.DeepCopy()
			o.SetDeletionTimestamp(&metav1.Time{Time: epoch()})
			s.put("MODIFIED", at, o)
		default:
			s.remove(at)
		}
		json.NewEncoder(w).Encode(metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: "Success"})
		return
	}
	if err := json.Unmarshal(body, &o.Object); err != nil {
		fail(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
		return
	}
	if was := s.objects[q.path(q.namespace, q.name)]; q.verb == "patch" && was == nil {
		notFound(w, q)
		return
	} else if q.verb == "patch" {
		patch := o.Object
		o = was.DeepCopy()
		merge(o.Object, patch)
	}
	at := q.path(q.namespace, o.GetName())
	old := s.objects[at]
	switch {
	case q.verb == "create" && old != nil:
		fail(w, http.StatusConflict, metav1.StatusReasonAlreadyExists, q.resource+" already exists")
		return
	case q.verb == "update" && (old == nil || old.GetResourceVersion() != o.GetResourceVersion()):
		fail(w, http.StatusConflict, metav1.StatusReasonConflict, "the object has been modified")
		return
	}
	if q.verb == "create" {
		o.SetCreationTimestamp(metav1.Time{Time: epoch()})
		o.SetUID(types.UID(fmt.Sprintf("00000000-0000-0000-0000-%012d", s.version+1)))
		o.SetGeneration(1)
		o.SetFinalizers([]string{"kubectl-intercept.dev/agents"})
	} else {
		o.SetGeneration(old.GetGeneration() + 1)
	}
	if !q.dryRun {
		s.put(map[bool]string{true: "MODIFIED", false: "ADDED"}[old != nil], at, o)
	}
	json.NewEncoder(w).Encode(o)
}

// merge is a JSON merge patch that deletes nothing.
func merge(into, patch map[string]any) {
	for key, value := range patch {
		inner, ok := into[key].(map[string]any)
		if change, too := value.(map[string]any); ok && too {
			merge(inner, change)
			continue
		}
		into[key] = value
	}
}
