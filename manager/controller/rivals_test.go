package controller

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/plan"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

// personal is a user's personal claim on port http of quote, made at a time.
func personal(user string, at time.Time, m v1alpha1.Match) *v1alpha1.Intercept {
	ic := intercept(user, at)
	ic.Spec.Mode, ic.Spec.Match = v1alpha1.ModePersonal, &m
	return ic
}

func byHeader(name, re string) v1alpha1.Match {
	return v1alpha1.Match{Headers: []v1alpha1.MatchValue{{Name: name, Regexp: re}}}
}

// TestRivals: alice's intercept is older. What becomes of bob's, and of a second one of
// alice's own, depends on what the two match.
func TestRivals(t *testing.T) {
	then := time.Now().Add(-time.Hour).Truncate(time.Second)
	since := " since " + then.UTC().Format("2006-01-02 15:04:05 UTC") + " (intercept quote-alice)"
	louise, anna := byHeader("x-user", "louise"), byHeader("X-User", "anna")
	baggage := v1alpha1.Match{Baggage: []v1alpha1.MatchValue{{Name: "user", Regexp: "bob"}}}
	api := byHeader("x-user", "louise")
	api.Paths = []v1alpha1.MatchPath{{Prefix: "/api"}}
	const another, yours = "; match on another value, and both can be", "; that one is yours: leave it, or match on another value"
	requests := `requests to port http of deployment/quote that match header("x-user") ~= regexp("louise")`
	for name, tt := range map[string]struct {
		older, younger v1alpha1.Match
		own            bool
		refused        string // how bob's is refused; empty if it is not
		told           bool   // both owners are told
	}{
		"another value":            {louise, anna, false, "", false},
		"another value of mine":    {louise, anna, true, "", false},
		"the same":                 {louise, byHeader("X-USER", "^louise$"), false, requests + " are intercepted by alice" + since + another, false},
		"the same of mine":         {louise, louise, true, requests + " are intercepted by alice" + since + yours, false},
		"narrower":                 {louise, api, false, requests + " are intercepted by alice" + since + another, false},
		"narrower of mine":         {louise, api, true, requests + " are intercepted by alice" + since + yours, false},
		"wider":                    {api, louise, false, requests + ` and path prefix "/api" are intercepted by alice` + since + another, false},
		"wider of mine":            {api, louise, true, "", false},
		"expression":               {byHeader("x-user", "lou.*"), louise, false, strings.Replace(requests, "louise", "lou.*", 1) + " are intercepted by alice" + since + another, false},
		"two expressions":          {byHeader("x-user", ".*se"), byHeader("x-user", "lou.*"), false, "", true},
		"a narrower expression":    {byHeader("x-user", "lou.*"), byHeader("x-user", "(louise-.*)"), false, strings.Replace(requests, "louise", "lou.*", 1) + " are intercepted by alice" + since + another, false},
		"others of several":        {byHeader("x-user", "louise|eve"), byHeader("x-user", "anna|bob"), false, "", false},
		"one beside all paths":     {v1alpha1.Match{Paths: []v1alpha1.MatchPath{{Prefix: "/"}}}, louise, false, "", false},
		"all paths, twice":         {v1alpha1.Match{Paths: []v1alpha1.MatchPath{{Prefix: "/"}}}, v1alpha1.Match{}, false, "every HTTP request to port http of deployment/quote is intercepted by alice" + since + "; match on a header of your own, and both can be", false},
		"another part":             {louise, baggage, false, "", true},
		"every request beside one": {louise, v1alpha1.Match{}, false, "", false},
		"one beside every request": {v1alpha1.Match{}, louise, false, "", false},
		"every request, twice":     {v1alpha1.Match{}, v1alpha1.Match{}, false, "every HTTP request to port http of deployment/quote is intercepted by alice" + since + "; match on a header of your own, and both can be", false},
	} {
		t.Run(name, func(t *testing.T) {
			younger := personal("bob", then.Add(time.Minute), tt.younger)
			if tt.own {
				younger.Spec.User, younger.Spec.Session = "alice", "alice"
			}
			w := newWorld(t, interceptor.Funcs{}, personal("alice", then, tt.older), younger)
			w.reconcile("alice")
			bob, alice := w.reconcile("bob"), w.reconcile("alice")
			got := condition(bob, v1alpha1.ConditionResolved)
			if refused := got.Reason == v1alpha1.ReasonPortTaken; refused != (tt.refused != "") || refused && got.Message != tt.refused {
				t.Errorf("%s: %s", got.Reason, got.Message)
			}
			if got := condition(alice, v1alpha1.ConditionResolved); got.Reason != v1alpha1.ReasonResolved {
				t.Errorf("alice: %s: %s", got.Reason, got.Message)
			}
			for _, ic := range []*v1alpha1.Intercept{alice, bob} {
				if told := condition(ic, v1alpha1.ConditionOverlap).Reason == v1alpha1.ReasonOlderFirst; told != tt.told {
					t.Errorf("%s is told: %t", ic.Name, told)
				}
			}
		})
	}
}

// A mirror never conflicts: not with another one that copies the same, and not with an
// intercept of any mode, whichever of them is older.
func TestMirrorDisturbsNobody(t *testing.T) {
	then := time.Now().Add(-time.Hour)
	louise := byHeader("x-user", "louise")
	mirror := func(user string, at time.Time, m *v1alpha1.Match) *v1alpha1.Intercept {
		ic := intercept(user, at)
		ic.Spec.Mode, ic.Spec.Match = v1alpha1.ModeMirror, m
		return ic
	}
	at := then.Add(time.Minute)
	for name, pair := range map[string][2]*v1alpha1.Intercept{
		"two of everything":     {mirror("alice", then, nil), mirror("bob", at, nil)},
		"two of the same":       {mirror("alice", then, &louise), mirror("bob", at, &louise)},
		"older than a global":   {mirror("alice", then, nil), intercept("bob", at)},
		"younger than a global": {intercept("alice", then), mirror("bob", at, nil)},
		"beside a personal one": {personal("alice", then, louise), mirror("bob", at, &louise)},
		"before a personal one": {mirror("alice", then, &v1alpha1.Match{}), personal("bob", at, v1alpha1.Match{})},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, interceptor.Funcs{}, pair[0], pair[1])
			w.reconcile("alice")
			for _, user := range []string{"bob", "alice"} {
				ic := w.reconcile(user)
				if got := condition(ic, v1alpha1.ConditionResolved); got.Reason != v1alpha1.ReasonResolved {
					t.Errorf("%s: %s", user, got.Message)
				}
				if got := condition(ic, v1alpha1.ConditionOverlap); got.Reason != "" {
					t.Errorf("%s is told: %s", user, got.Message)
				}
			}
		})
	}
}

// A user's older, narrower intercept can be changed beside the wider one.
func TestOwnNarrowerIsChanged(t *testing.T) {
	then := time.Now().Add(-time.Hour)
	api := byHeader("x-user", "louise")
	api.Paths = []v1alpha1.MatchPath{{Prefix: "/api"}}
	wider := personal("bob", then.Add(time.Minute), byHeader("x-user", "louise"))
	wider.Spec.User, wider.Spec.Session = "alice", "alice"
	w := newWorld(t, interceptor.Funcs{}, personal("alice", then, api), wider)
	for _, name := range []string{"alice", "bob"} {
		w.reports(w.reconcile(name), agentSays("quote-1", v1alpha1.PodActive))
		w.reconcile(name)
	}
	narrower := w.reconcile("alice")
	narrower.Spec.Ports[0].LocalPort++
	narrower.Generation++
	w.Must(w.Update(t.Context(), narrower))
	for _, name := range []string{"alice", "bob"} {
		if got := condition(w.reconcile(name), v1alpha1.ConditionResolved); got.Reason != v1alpha1.ReasonResolved {
			t.Errorf("%s: %s", name, got.Message)
		}
	}
}

// A global intercept and personal ones can be beside each other.
func TestGlobalBesidePersonal(t *testing.T) {
	then := time.Now().Add(-time.Hour)
	w := newWorld(t, interceptor.Funcs{}, intercept("alice", then), personal("bob", then.Add(time.Minute), byHeader("x-user", "bob")))
	w.reconcile("alice")
	w.reconcile("bob")
	for _, user := range []string{"alice", "bob"} {
		if got := condition(w.reconcile(user), v1alpha1.ConditionResolved); got.Reason != v1alpha1.ReasonResolved {
			t.Errorf("%s: %s", user, got.Message)
		}
	}
	p, err := plan.New(w, system, plan.Answers{}).Pod(t.Context(), "shop", "quote-1", "p")
	if err != nil {
		t.Fatal(err)
	}
	if routes := p.Ports()[0].Routes; len(routes) != 2 || routes[0].Session != "bob" || routes[0].Match == nil || routes[1].Match != nil {
		t.Errorf("routes are %v", routes)
	}
}

// TestOverlapIsTold: both owners learn which of them has the requests that both would take, in the
// status and by one Event each; and that it is over.
func TestOverlapIsTold(t *testing.T) {
	then := time.Now().Add(-time.Hour)
	w := newWorld(t, interceptor.Funcs{}, personal("alice", then, byHeader("x-user", "alice")), personal("bob", then.Add(time.Minute), byHeader("x-team", "b.*")))
	recorder := events.NewFakeRecorder(100)
	w.ics.Events = recorder
	w.Ready()
	for range 2 {
		for _, user := range []string{"alice", "bob"} {
			w.reports(w.reconcile(user), agentSays("quote-1", v1alpha1.PodActive))
		}
	}
	for user, want := range map[string]string{
		"alice": `requests that also match header("x-team") ~= regexp("b.*") (intercept quote-bob of bob) come here, since this intercept is older`,
		"bob":   `requests that also match header("x-user") ~= regexp("alice") (intercept quote-alice of alice) go there, since that intercept is older`,
	} {
		ic := w.reconcile(user)
		if got := condition(ic, v1alpha1.ConditionOverlap); got.Message != want || ic.Status.Message != want || ic.Status.State != v1alpha1.StateActive {
			t.Errorf("%s: %s: %s\n%s", user, ic.Status.State, ic.Status.Message, got.Message)
		}
		told := 0
		for range len(recorder.Events) {
			e := <-recorder.Events
			if strings.HasSuffix(e, "intercept quote-"+user+" of "+user+": "+want) {
				told++
			} else {
				recorder.Events <- e
			}
		}
		if told != 1 {
			t.Errorf("%d Events for %s", told, user)
		}
	}
	bob := w.reconcile("bob")
	bob.Finalizers = nil
	w.Must(w.Update(context.Background(), bob))
	w.Must(w.Delete(context.Background(), bob))
	if got := w.reconcile("alice"); condition(got, v1alpha1.ConditionOverlap).Type != "" || got.Status.Message != "" {
		t.Errorf("alice is still told: %s", got.Status.Message)
	}
}

// Many others are counted.
func TestOverlapIsShort(t *testing.T) {
	then := time.Now()
	var rivals []rival
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		rivals = append(rivals, rival{personal(name, then, byHeader("x-"+name, "1")), false})
	}
	got := overlap(personal("z", then.Add(time.Hour), byHeader("x-z", "1")), false, rivals)
	if !strings.HasSuffix(got, `(intercept quote-c of c) or those of 2 more go there, since that intercept is older`) {
		t.Error(got)
	}
}

// What both owners are told is the order in which agents ask, which has those at the end
// whose laptop is away.
func TestOverlapWithoutLaptop(t *testing.T) {
	then := time.Now().Add(-time.Hour)
	const older, younger = "alice", "bob"
	for _, tt := range []struct{ away, there, here string }{
		{older, "go there while the laptop of this intercept is not connected", "come here while the laptop of that intercept is not connected"},
		{younger, "come here, since this intercept is older", "go there, since that intercept is older"},
		{"alice and bob", "come here, since this intercept is older", "go there, since that intercept is older"},
	} {
		w := newWorld(t, interceptor.Funcs{}, personal(older, then, byHeader("x-user", "alice")), personal(younger, then.Add(time.Minute), byHeader("x-team", "b.*")))
		w.reconcile(older)
		w.reconcile(younger)
		for _, user := range []string{older, younger} {
			if strings.Contains(tt.away, user) {
				w.connected(user, false, time.Now())
			}
		}
		for user, want := range map[string]string{older: tt.there, younger: tt.here} {
			if got := condition(w.reconcile(user), v1alpha1.ConditionOverlap).Message; !strings.HasSuffix(got, want) {
				t.Errorf("%s away: %s is told: %s", tt.away, user, got)
			}
		}
		p, err := plan.New(w, system, plan.Answers{}).Pod(t.Context(), "shop", "quote-1", "p")
		if err != nil {
			t.Fatal(err)
		}
		if first := p.Ports()[0].Routes[0].User; (first == older) != strings.HasPrefix(tt.there, "come") {
			t.Errorf("%s away: %s is asked first", tt.away, first)
		}
	}
}

// An intercept whose laptop is away for long keeps nobody from its requests.
func TestAbsentLaptopLosesItsRequests(t *testing.T) {
	for away, reason := range map[time.Duration]string{10 * time.Second: v1alpha1.ReasonPortTaken, 2 * time.Minute: v1alpha1.ReasonResolved} {
		then := time.Now().Add(-time.Hour)
		w := newWorld(t, interceptor.Funcs{}, personal("alice", then, byHeader("a", "b")), personal("bob", then.Add(time.Minute), byHeader("a", "b")))
		w.reconcile("alice")
		w.connected("alice", false, time.Now().Add(-away))
		if got := condition(w.reconcile("bob"), v1alpha1.ConditionResolved); got.Reason != reason {
			t.Errorf("away for %s: %s: %s", away, got.Reason, got.Message)
		}
	}
}

// A match on a port that has no HTTP requests, or whose requests are in TLS that the agent
// does not end, is an error. A global intercept of it is none.
func TestUnfit(t *testing.T) {
	const other = `port http of deployment/quote has the appProtocol %q, which is not HTTP: it has no requests that could be told apart; without a match, mode Global gets all of it`
	for protocol, want := range map[string]string{
		"": "", "http": "", "kubernetes.io/h2c": "", "grpc": "", "example.com/own": "",
		"MySQL": fmt.Sprintf(other, "MySQL"), "tcp": fmt.Sprintf(other, "tcp"),
		"https": `port http of deployment/quote has the appProtocol "https": its requests cannot be told apart in TLS; annotate the pod template with ` +
			resolve.TerminatingTLSKey + `: SECRET, which has the certificate and key that callers are to see; without a match, mode Global gets all of it`,
	} {
		w := newWorld(t, interceptor.Funcs{}, personal("alice", time.Now(), v1alpha1.Match{}), intercept("bob", time.Now()))
		var s corev1.Service
		w.Must(w.Get(t.Context(), client.ObjectKey{Namespace: "shop", Name: "quote"}, &s))
		s.Spec.Ports[0].AppProtocol = ptr.To(protocol)
		w.Must(w.Update(t.Context(), &s))
		if got := condition(w.reconcile("alice"), v1alpha1.ConditionResolved); got.Reason == v1alpha1.ReasonNotSupported != (want != "") || want != "" && got.Message != want {
			t.Errorf("%s: %s: %s", protocol, got.Reason, got.Message)
		}
		if got := condition(w.reconcile("bob"), v1alpha1.ConditionResolved); got.Reason != v1alpha1.ReasonResolved {
			t.Errorf("%s, global: %s", protocol, got.Message)
		}
	}
	quote := &resolve.Workload{Ref: intercept("alice", time.Now()).Spec.Workload}
	if got := unfit(personal("alice", time.Now(), byHeader("a", "((a{30}){30}b?){5}c?")), quote, nil); got == nil || !strings.HasPrefix(got.Message, "spec.match.headers[0].regexp: ") {
		t.Errorf("%+v", got)
	}
	udp := []v1alpha1.ResolvedPort{{ContainerPort: 53, Protocol: corev1.ProtocolUDP}}
	if got := unfit(personal("alice", time.Now(), v1alpha1.Match{}), quote, udp); got == nil || !strings.HasPrefix(got.Message, "port 53 of deployment/quote is a UDP port, and has") {
		t.Errorf("%+v", got)
	}
}

// An agent that is too old for a match leads to what to do about it.
func TestOlderAgent(t *testing.T) {
	w := newWorld(t, interceptor.Funcs{}, personal("alice", time.Now(), v1alpha1.Match{}))
	report := agentSays("quote-1", v1alpha1.PodError)
	report.Message = rpc.OlderAgent
	w.reports(w.reconcile("alice"), report)
	if ic := w.reconcile("alice"); ic.Status.State != v1alpha1.StateError || !strings.Contains(ic.Status.Message, "pod quote-1: this agent does not know") || !strings.Contains(ic.Status.Message, "; delete the pod") {
		t.Errorf("%s: %s", ic.Status.State, ic.Status.Message)
	}
}

// The rules hold for the intercept of a Service, which has the pods of all workloads that
// it selects.
func TestServiceHasRivals(t *testing.T) {
	then := time.Now().Add(-time.Hour)
	service := personal("bob", then.Add(time.Minute), byHeader("x-user", "louise"))
	service.Spec.Workload = v1alpha1.WorkloadReference{APIVersion: "v1", Kind: "Service", Name: "quote"}
	w := newWorld(t, interceptor.Funcs{}, personal("alice", then, byHeader("x-user", "louise")), service)
	w.reconcile("alice")
	if got := condition(w.reconcile("bob"), v1alpha1.ConditionResolved); got.Reason != v1alpha1.ReasonPortTaken {
		t.Errorf("%s: %s", got.Reason, got.Message)
	}
}
