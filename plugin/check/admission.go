package check

import (
	"context"
	"regexp"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

// tryIntercept creates an Intercept as a dry run, to find out whether an admission
// policy refuses it. That may be a policy of the cluster's administrator. Policies of the
// traffic-manager may refuse it because it takes all traffic, or does not match on a
// certain header. Then an Intercept is tried that does what they ask for, and the outcome
// tells of it. Global is the obstacle for those that take all traffic, if it is known.
func (e *Env) tryIntercept(ctx context.Context, global *target.Obstacle) Outcome {
	user, _ := e.askUser(ctx) // no error: withAPI has got the name
	try := &v1alpha1.Intercept{
		ObjectMeta: metav1.ObjectMeta{Namespace: e.Namespace, GenerateName: "check-"},
		Spec: v1alpha1.InterceptSpec{User: user, Session: "check", Workload: v1alpha1.WorkloadReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "check"},
			Ports: []v1alpha1.InterceptPort{{LocalHost: "127.0.0.1", LocalPort: 8080}}},
	}
	asked := map[policy]bool{}
	var told []string
	demand := func(p policy, words string) {
		asked[p], told = true, append(told, words)
		try.Spec.Mode, try.Spec.Match = v1alpha1.ModePersonal, p.meet(words, user)
	}
	if global != nil {
		demand(forbidGlobal, global.Reason)
	}
	for {
		err := e.Client.Create(ctx, try.DeepCopy(), client.DryRunAll)
		which, words := refusal(err)
		switch {
		case err == nil, apierrors.IsNotFound(err), which == requireMatch && asked[which]:
			// A value that is not the user's name may still be what a pattern wants.
			return ok(strings.Join(told, "; "))
		case which == "" || asked[which]:
			return fail("an intercept would be refused: "+render.Error(err), "")
		}
		demand(which, words)
	}
}

// policy is one of the traffic-manager's that admit some intercepts and not others.
type policy string

const (
	forbidGlobal policy = "policy.forbidGlobalIntercepts"
	requireMatch policy = "policy.requireMatch"
)

// refusal returns the policy that an error is of, and the policy's own words; "" if it is
// another error.
func refusal(err error) (policy, string) {
	if !apierrors.IsForbidden(err) {
		return "", ""
	}
	_, words, _ := strings.Cut(err.Error(), "denied request: ")
	for _, p := range []policy{forbidGlobal, requireMatch} {
		if strings.Contains(words, "("+string(p)+" of the traffic-manager") {
			return p, words
		}
	}
	return "", ""
}

// meet returns conditions that the policy admits, as far as its words tell.
func (p policy) meet(words, user string) *v1alpha1.Match {
	value := []v1alpha1.MatchValue{{Name: "x-intercept-id", Regexp: regexp.QuoteMeta(user)}}
	if subject := regexp.MustCompile(`must match on the (header|baggage member) "([^"]+)"`).FindStringSubmatch(words); subject != nil {
		value[0].Name = subject[2]
		if subject[1] != "header" {
			return &v1alpha1.Match{Baggage: value}
		}
	}
	return &v1alpha1.Match{Headers: value}
}
