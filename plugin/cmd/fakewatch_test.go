package cmd

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// loaded is the UID of objects that a script brings; they stay as they are.
const loaded = "00000000-0000-0000-0000-000000000000"

// manager is what the traffic-manager does to an Intercept.
type manager struct {
	plan []string // see step
	hold bool     // keep deleted Intercepts
	done map[string]int
	idle bool // since a client wrote, until one watches again
}

// watch streams changes. When a watcher of Intercepts has seen all there is,
// the manager takes its next step.
func (s *fakeAPI) watch(w http.ResponseWriter, r *http.Request, q request) {
	stop := context.AfterFunc(r.Context(), func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.changed.Broadcast()
	})
	defer stop()
	since, _ := strconv.Atoi(r.URL.Query().Get("resourceVersion"))
	w.WriteHeader(http.StatusOK)
	w.(http.Flusher).Flush()
	if q.resource == "intercepts" {
		s.manager.idle = false
	}
	for next := 0; r.Context().Err() == nil; {
		if next == len(s.log) {
			if q.resource != "intercepts" || !s.step() {
				s.changed.Wait()
			}
			continue
		}
		c := s.log[next]
		next++
		if c.version > since && q.matches(c.path, c.object) {
			json.NewEncoder(w).Encode(map[string]any{"type": c.kind, "object": c.object})
			w.(http.Flusher).Flush()
		}
	}
}

// step advances one Intercept and says whether there was anything to do.
func (s *fakeAPI) step() bool {
	if s.manager.idle {
		return false
	}
	for _, at := range s.paths() {
		o := s.objects[at]
		if o.GetKind() != "Intercept" || o.GetUID() == loaded {
			continue
		}
		if o.GetDeletionTimestamp() != nil {
			if s.manager.hold {
				continue
			}
			s.remove(at)
			return true
		}
		if s.manager.done == nil {
			s.manager.done = map[string]int{}
		}
		key := fmt.Sprint(o.GetUID(), at, o.GetGeneration())
		n := s.manager.done[key]
		if n < len(s.manager.plan) {
			s.manager.done[key]++
			o = o.DeepCopy()
			apply(o, s.manager.plan[n])
			s.put("MODIFIED", at, o)
			return true
		}
	}
	return false
}

// apply is one step: "resolve", "attach", "verify", "activate", "preview",
// "preview:MESSAGE", or "CONDITION=False:REASON:MESSAGE", also with True.
func apply(o *unstructured.Unstructured, step string) {
	set := func(condition string, status bool, reason, message string) {
		all, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
		all = slices.DeleteFunc(all, func(c any) bool { return c.(map[string]any)["type"] == condition })
		all = append(all, map[string]any{"type": condition, "reason": reason, "message": message,
			"status": map[bool]string{true: "True", false: "False"}[status], "lastTransitionTime": epoch().Format(time.RFC3339)})
		unstructured.SetNestedSlice(o.Object, all, "status", "conditions")
	}
	if p, ok := strings.CutPrefix(step, "preview"); ok {
		now := map[string]any{"observedGeneration": o.GetGeneration(), "url": "https://abcdefghijklmnopqrstuvwxyz.preview.example.com/"}
		if message, wrong := strings.CutPrefix(p, ":"); wrong {
			now = map[string]any{"observedGeneration": o.GetGeneration(), "message": message}
		}
		unstructured.SetNestedMap(o.Object, now, "status", "preview")
		return
	}
	unstructured.SetNestedField(o.Object, o.GetGeneration(), "status", "observedGeneration")
	unstructured.SetNestedField(o.Object, "Waiting", "status", "state")
	switch step {
	case "resolve":
		set("Resolved", true, "Resolved", "")
		set("AgentsReady", false, "Attaching", "no agent is connected yet")
	case "attach":
		set("AgentsReady", true, "Attached", "")
		set("Active", false, "Verifying", "")
	case "activate":
		set("Active", true, "Active", "")
		unstructured.SetNestedField(o.Object, "Active", "status", "state")
		if _, found, _ := unstructured.NestedMap(o.Object, "spec", "standIn"); found {
			unstructured.SetNestedMap(o.Object, map[string]any{"observedGeneration": o.GetGeneration(), "pod": "quote-1", "container": "quote"}, "status", "standIn")
		}
	default:
		condition, rest, _ := strings.Cut(step, "=")
		status, rest, _ := strings.Cut(rest, ":")
		reason, message, _ := strings.Cut(rest, ":")
		set(condition, status == "True", reason, message)
	}
}

// put stores an object and tells the watchers. The caller holds mu.
func (s *fakeAPI) put(kind, at string, o *unstructured.Unstructured) {
	s.version++
	o.SetResourceVersion(strconv.Itoa(s.version))
	s.objects[at] = o
	s.log = append(s.log, change{s.version, kind, at, o.DeepCopy()})
	s.changed.Broadcast()
}

func (s *fakeAPI) remove(at string) {
	o := s.objects[at]
	delete(s.objects, at)
	s.version++
	s.log = append(s.log, change{s.version, "DELETED", at, o})
	s.changed.Broadcast()
}

func (s *fakeAPI) paths() []string { return slices.Sorted(maps.Keys(s.objects)) }

// load adds an object as it is.
func (s *fakeAPI) load(o *unstructured.Unstructured) {
	s.mu.Lock()
	defer s.mu.Unlock()
	prefix := "/api/" + o.GetAPIVersion()
	if strings.Contains(o.GetAPIVersion(), "/") {
		prefix = "/apis/" + o.GetAPIVersion()
	}
	resource := plural(o.GetKind())
	s.absent = slices.DeleteFunc(s.absent, func(r string) bool { return r == resource })
	if o.GetUID() == "" {
		o.SetUID(loaded)
	}
	s.put("ADDED", request{prefix: prefix, resource: resource}.path(o.GetNamespace(), o.GetName()), o)
}

func epoch() time.Time { return time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC) }

// plural is the resource of a kind.
func plural(kind string) string {
	kind = strings.ToLower(kind)
	if strings.HasSuffix(kind, "s") {
		kind += "e"
	}
	return kind + "s"
}

func listKind(resource string) string {
	for _, kind := range []string{"Deployment", "StatefulSet", "ReplicaSet", "DaemonSet", "Job", "Pod", "Service", "ConfigMap", "Event", "Intercept", "Session", "Rollout", "EndpointSlice", "Ingress"} {
		if plural(kind) == resource {
			return kind + "List"
		}
	}
	return "List"
}

func notFound(w http.ResponseWriter, q request) {
	fail(w, http.StatusNotFound, metav1.StatusReasonNotFound, fmt.Sprintf("%s %q not found", q.resource, q.name))
}

func fail(w http.ResponseWriter, code int, reason metav1.StatusReason, message string) {
	w.WriteHeader(code)
	json.NewEncoder(w).Encode(metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"},
		Status: metav1.StatusFailure, Reason: reason, Message: message, Code: int32(code)})
}
