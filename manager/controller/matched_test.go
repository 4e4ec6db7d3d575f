package controller

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// matching is what agents say of requests that were all compared, since a time.
func matching(m v1alpha1.Match, requests, taken int64, since time.Time, headers ...string) *v1alpha1.Matching {
	out := v1alpha1.NewMatching(m.Conditions())
	at := metav1.NewTime(since)
	out.Requests, out.Taken, out.Compared, out.PassedSince, out.Headers = requests, taken, requests, &at, headers
	for i := range out.Conditions {
		out.Conditions[i].Met = taken
	}
	return out
}

const next = "; send a request that meets all conditions, or change them: kubectl intercept add again, with another --match"

// TestNoRequestMatches: the owner is told, after a while and by one Event, that requests
// flow and none meets the conditions; and is told no more once one has, whatever comes then.
func TestNoRequestMatches(t *testing.T) { synctest.Test(t, noRequestMatches) }

func noRequestMatches(t *testing.T) {
	typo := byHeader("x-usr", "alice")
	w := newWorld(t, interceptor.Funcs{}, personal("alice", time.Now(), typo))
	recorder := events.NewFakeRecorder(100)
	w.ics.Events, w.ics.UnmatchedAfter = recorder, 30*time.Second
	w.Ready()
	w.reports(w.reconcile("alice"), agentSays("quote-1", v1alpha1.PodActive))
	w.reconcile("alice")
	<-recorder.Events // that it is active
	says := func(m *v1alpha1.Matching) {
		t.Helper()
		ic := w.reconcile("alice")
		ic.Status.Matching = m
		w.Must(w.Status().Update(t.Context(), ic))
	}
	is := func(status metav1.ConditionStatus, message string, told int) {
		t.Helper()
		ic := w.reconcile("alice")
		if c := condition(ic, v1alpha1.ConditionMatched); c.Status != status || c.Message != message || ic.Status.Message != message || ic.Status.State != v1alpha1.StateActive {
			t.Errorf("%s: %s: %s\n%s", ic.Status.State, ic.Status.Message, c.Status, c.Message)
		}
		if len(recorder.Events) != told {
			t.Errorf("%d Events", len(recorder.Events))
		}
	}
	is("", "", 0)
	says(matching(typo, 12, 0, time.Now(), "host", "x-user"))
	is("", "", 0)
	result, err := w.ics.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKey{Namespace: "shop", Name: "quote-alice"}})
	if err != nil || result.RequeueAfter <= 0 || result.RequeueAfter > 30*time.Second {
		t.Errorf("looks again after %v, %v", result, err)
	}
	time.Sleep(30 * time.Second)
	const told = `no request had the header "x-usr"; headers seen: host, x-user` + next
	is("False", told, 1)
	const event = `intercept quote-alice of alice takes no requests: no request had the header "x-usr"; 12 requests passed; headers seen: host, x-user` + next
	if e := <-recorder.Events; !strings.HasPrefix(e, "Warning NoRequestMatches ") || !strings.HasSuffix(e, event) {
		t.Error(e)
	}
	says(matching(typo, 40, 0, time.Now().Add(-time.Minute), "host", "x-user")) // more of the same is no news
	is("False", told, 0)
	says(matching(typo, 41, 1, time.Now().Add(-time.Minute)))
	is("True", "", 0)
	says(matching(typo, 9, 0, time.Now().Add(-time.Minute), "host")) // of other pods
	is("True", "", 0)
	says(nil) // all pods are replaced
	is("True", "", 0)

	// With other conditions it begins anew.
	ic, right := w.reconcile("alice"), byHeader("x-user", "alice")
	ic.Status.Pods[0].Ports[0].Comparison = &v1alpha1.PortComparison{Comparison: v1alpha1.Comparison{Taken: 1}}
	w.Must(w.Status().Update(t.Context(), ic))
	ic.Spec.Match, ic.Generation = &right, ic.Generation+1
	w.Must(w.Update(t.Context(), ic))
	ic = w.reconcile("alice")
	if c := condition(ic, v1alpha1.ConditionMatched); c.Type != "" || ic.Status.Matching != nil || ic.Status.Pods[0].Ports[0].Comparison != nil {
		t.Errorf("%+v, %+v", c, ic.Status)
	}
	says(matching(right, 1, 0, time.Now().Add(-time.Minute), "x-user"))
	is("False", `no request had header("x-user") ~= regexp("alice"); headers seen: x-user`+next, 1)
	w.ics.UnmatchedAfter = 0
	is("", "", 1)
}

// A mirror takes nothing, so its owner is told that it copies nothing.
func TestMirrorCopiesNoRequest(t *testing.T) {
	typo := byHeader("x-usr", "alice")
	mirror := personal("alice", time.Now(), typo)
	mirror.Spec.Mode = v1alpha1.ModeMirror
	w := newWorld(t, interceptor.Funcs{}, mirror)
	recorder := events.NewFakeRecorder(100)
	w.ics.Events, w.ics.UnmatchedAfter = recorder, 30*time.Second
	ic := w.reconcile("alice")
	ic.Status.Matching = matching(typo, 12, 0, time.Now().Add(-time.Minute), "host")
	w.Must(w.Status().Update(t.Context(), ic))
	w.reconcile("alice")
	var all []string
	for range len(recorder.Events) {
		all = append(all, <-recorder.Events)
	}
	if text := strings.Join(all, "\n"); !strings.Contains(text, "intercept quote-alice of alice copies no requests: no request had the header") {
		t.Error(text)
	}
}

// What was not met is said as narrowly as is known, and in bounded length.
func TestUnmet(t *testing.T) {
	many := make([]string, v1alpha1.MaxHeaders)
	for i := range many {
		many[i] = strings.Repeat("x", 60)
	}
	several := byHeader("X-User", "alice")
	several.Cookies = []v1alpha1.MatchValue{{Name: "a", Regexp: "1"}, {Name: "b", Regexp: "2"}}
	several.Method = "GET"
	for name, tt := range map[string]struct {
		match v1alpha1.Match
		of    *v1alpha1.Matching
		want  string
	}{
		"another value": {byHeader("X-User", "alice"), matching(byHeader("X-User", "alice"), 3, 0, time.Now(), "x-user"),
			`no request had header("X-User") ~= regexp("alice"); 3 requests passed; headers seen: x-user`},
		"several": {several, matching(several, 1, 0, time.Now(), "host"),
			`no request had method == "GET"; no request had the header "cookie"; no request had the header "x-user"; 1 request passed; headers seen: host`},
		"each, but not all": {several, func() *v1alpha1.Matching {
			m := matching(several, 4, 2, time.Now())
			m.Taken = 0
			return m
		}(), "each condition was met, but no request met all of them; 4 requests passed"},
		"another intercept took them": {several, func() *v1alpha1.Matching {
			m := matching(several, 4, 2, time.Now())
			m.Taken, m.MetAll = 0, 2
			return m
		}(), "requests met all conditions, but another intercept, which is asked first, took them; 4 requests passed"},
		"too many headers to know": {byHeader("y", "1"), matching(byHeader("y", "1"), 1, 0, time.Now(), many...),
			`no request had header("y") ~= regexp("1"); 1 request passed; headers seen: ` + strings.Join(many[:6], ", ") + " and 34 more"},
	} {
		if got := unmet(tt.match.Conditions(), tt.of, tt.of.Requests); got != tt.want+next {
			t.Errorf("%s: %s\nwant %s", name, got, tt.want+next)
		}
	}
}
