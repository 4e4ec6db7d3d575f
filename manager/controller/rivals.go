package controller

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/match"
	"github.com/kubectl-intercept/kubectl-intercept/manager/plan"
	"github.com/kubectl-intercept/kubectl-intercept/manager/problem"
)

// relation is how the requests of two Intercepts of one port are related.
type relation int

const (
	// apart: both can be, since they take different requests, or agents ask one of them
	// for what the other leaves, or one of them is a mirror, which takes nothing.
	apart relation = iota
	// undecided: both can be, and the older one has the requests that both would take.
	undecided
	// same: one takes all that the other would take, so that only one can be.
	same
)

// relate says how an Intercept is related to another one of its port. ARCHITECTURE.md has
// the rules in a table, under "A port has routes".
func (r *Intercepts) relate(ic, other *v1alpha1.Intercept) relation {
	if tier(ic) != tier(other) || tier(ic) == plan.Copies {
		return apart
	}
	older, younger := other, ic
	if plan.Older(ic, other) < 0 {
		older, younger = ic, other
	}
	first, second := r.compiled.of(older), r.compiled.of(younger)
	switch first.Overlap(second) {
	case match.Disjoint:
		return apart
	case match.Undecided:
		return undecided
	}
	// Of one user's two the younger one is of use if the older one leaves it something.
	if ic.Spec.User == other.Spec.User && !second.Within(first) {
		return apart
	}
	return same
}

func tier(ic *v1alpha1.Intercept) plan.Tier { return plan.TierOf(ic.Spec.Mode, ic.Spec.Match) }

// takenBy is why an Intercept cannot be, beside another one that has the port or all of its
// requests.
func takenBy(ic, other *v1alpha1.Intercept, port string) *problem.Problem {
	where := fmt.Sprintf("port %s of %s", port, resolve.RefString(ic.Spec.Workload))
	what, then := where+" is", ""
	switch tier(other) {
	case plan.EveryRequest:
		what, then = "every HTTP request to "+where+" is", "; match on a header of your own, and both can be"
	case plan.Some:
		what, then = fmt.Sprintf("requests to %s that match %v are", where, other.Spec.Match.Conditions()), "; match on another value, and both can be"
	}
	if then != "" && ic.Spec.User == other.Spec.User {
		then = "; that one is yours: leave it, or match on another value"
	}
	return problem.New(v1alpha1.ReasonPortTaken, "%s intercepted by %s since %s (intercept %s)%s",
		what, other.Spec.User, other.CreationTimestamp.UTC().Format("2006-01-02 15:04:05 UTC"), other.Name, then)
}

// rival is another Intercept that may take some of the same requests.
type rival struct {
	*v1alpha1.Intercept
	// away says that its laptop has no connection. Agents ask it last.
	away bool
}

// overlap says which requests of an Intercept others may take, or it may take of theirs, as
// plan orders them. Away says that its own laptop has no connection.
func overlap(ic *v1alpha1.Intercept, away bool, rivals []rival) string {
	var older, present, younger, absent []string
	for _, o := range rivals {
		text := fmt.Sprintf("%v (intercept %s of %s)", o.Spec.Match.Conditions(), o.Name, o.Spec.User)
		switch isOlder := plan.Older(o.Intercept, ic) < 0; {
		case isOlder && (away || !o.away):
			older = append(older, text)
		case isOlder:
			absent = append(absent, text)
		case away && !o.away:
			present = append(present, text)
		default:
			younger = append(younger, text)
		}
	}
	var sentences []string
	for _, s := range []struct {
		texts []string
		then  string
	}{
		{older, "go there, since that intercept is older"},
		{present, "go there while the laptop of this intercept is not connected"},
		{younger, "come here, since this intercept is older"},
		{absent, "come here while the laptop of that intercept is not connected"},
	} {
		if len(s.texts) > 0 {
			sentences = append(sentences, "requests that also match "+oneOf(s.texts)+" "+s.then)
		}
	}
	return strings.Join(sentences, "; ")
}

// oneOf lists texts with "or", and counts those that would be too many.
func oneOf(texts []string) string {
	if more := len(texts) - shown; more > 0 {
		texts = append(slices.Clone(texts[:shown]), fmt.Sprintf("those of %d more", more))
	}
	return strings.Join(texts, " or ")
}

// unfit says why an Intercept cannot have its match on its ports; nil if it can, or has none.
func unfit(ic *v1alpha1.Intercept, w *resolve.Workload, ports []v1alpha1.ResolvedPort) *problem.Problem {
	if ic.Spec.Match == nil {
		return nil
	}
	if err := ic.Spec.Match.Conditions().Validate(); err != nil {
		return problem.New(v1alpha1.ReasonNotSupported, "spec.match.%v", err)
	}
	unmatched := v1alpha1.ModeGlobal
	if ic.Spec.Mode == v1alpha1.ModeMirror {
		unmatched = v1alpha1.ModeMirror
	}
	for _, p := range ports {
		if p.Protocol == corev1.ProtocolUDP {
			return problem.New(v1alpha1.ReasonNotSupported, "port %s of %s is a UDP port, and has no HTTP requests that could match: intercept it without a match, in mode %s",
				resolve.Identifier(p), w, unmatched)
		}
	}
	if err := resolve.CannotTellApart(w, ports); err != nil {
		return problem.New(v1alpha1.ReasonNotSupported, "%v; without a match, mode %s gets all of it", err, unmatched)
	}
	return nil
}
