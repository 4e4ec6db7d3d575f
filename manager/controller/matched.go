package controller

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/match"
)

// matched is the condition Matched of a personal Intercept; nil if there is nothing to say
// yet, and then maybe after a time. What was once met stays so until the spec changes.
func (r *Intercepts) matched(ic *v1alpha1.Intercept, now time.Time) (*verdict, time.Duration) {
	m := ic.Status.Matching
	if r.UnmatchedAfter == 0 || !equality.Semantic.DeepEqual(ic.Spec.Match, ic.Status.Match) {
		return nil, 0
	}
	before := meta.FindStatusCondition(ic.Status.Conditions, v1alpha1.ConditionMatched)
	if m != nil && m.Taken > 0 || before != nil && before.Status == metav1.ConditionTrue && before.ObservedGeneration == ic.Generation {
		return &verdict{metav1.ConditionTrue, v1alpha1.ReasonRequestMatched, ""}, 0
	}
	if m == nil || m.PassedSince == nil {
		return nil, 0
	}
	if left := m.PassedSince.Add(r.UnmatchedAfter).Sub(now); left > 0 {
		return nil, left
	}
	return &verdict{metav1.ConditionFalse, v1alpha1.ReasonNoRequest, unmet(ic.Spec.Match.Conditions(), m, 0)}, 0
}

// unmet says which conditions no request met, which headers there were instead, and what to
// do. Requests is how many came; 0 leaves that out of a text that is not written again for
// each.
func unmet(conditions match.Conditions, m *v1alpha1.Matching, requests int64) string {
	var lacking []string
	for i, c := range conditions {
		if i < len(m.Conditions) && m.Conditions[i].Met == 0 {
			lacking = append(lacking, lack(c, m.Headers))
		}
	}
	slices.Sort(lacking)
	lacking = slices.Compact(lacking) // two cookies lack one header
	if len(lacking) > shown {
		lacking = append(lacking[:shown], fmt.Sprintf("%d more conditions were not met", len(lacking)-shown))
	}
	switch {
	case m.MetAll > 0:
		lacking = []string{"requests met all conditions, but another intercept, which is asked first, took them"}
	case len(lacking) == 0:
		lacking = []string{"each condition was met, but no request met all of them"}
	}
	sentences := []string{strings.Join(lacking, "; ")}
	if requests > 0 {
		passed := "1 request passed"
		if requests > 1 {
			passed = fmt.Sprintf("%d requests passed", requests)
		}
		sentences = append(sentences, passed)
	}
	if len(m.Headers) > 0 {
		sentences = append(sentences, "headers seen: "+names(m.Headers))
	}
	sentences = append(sentences, "send a request that meets all conditions, or change them: kubectl intercept add again, with another --match")
	return strings.Join(sentences, "; ")
}

// lack says that no request met a condition. If there are too many names of headers, one
// that is missing among them may have been there.
func lack(c match.Condition, headers []string) string {
	header := ""
	switch c.Part {
	case match.Header:
		header = strings.ToLower(c.Name)
	case match.Baggage, match.Tracestate, match.Cookie:
		header = c.Part.String()
	}
	if header != "" && len(headers) < v1alpha1.MaxHeaders && !slices.Contains(headers, header) {
		return fmt.Sprintf("no request had the header %q", header)
	}
	return "no request had " + c.String()
}

// maxNames is how long a list of names in a text may be: an Event takes 1024 bytes in all.
const maxNames = 400

// names lists names, and counts those that would be too many.
func names(all []string) string {
	text := all[0]
	for i, name := range all[1:] {
		if len(text)+len(name) > maxNames {
			return fmt.Sprintf("%s and %d more", text, len(all)-1-i)
		}
		text += ", " + name
	}
	return text
}
