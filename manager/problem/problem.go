// Package problem is what keeps an Intercept from being active: the reason of a
// condition, and a sentence for people.
package problem

import "fmt"

// Problem is a reason of package v1alpha1 and the message beside it.
type Problem struct{ Reason, Message string }

// New formats the message.
func New(reason, format string, args ...any) *Problem {
	return &Problem{Reason: reason, Message: fmt.Sprintf(format, args...)}
}
