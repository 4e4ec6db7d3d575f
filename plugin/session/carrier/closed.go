package carrier

import (
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// Explain returns what to do about an error of Dial, if something keeps all users from the
// service proxy, and this one is not allowed the other way. Otherwise it returns the error.
func Explain(err error) error {
	many, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return err
	}
	var proxy, forward error
	for _, e := range many.Unwrap() {
		var no *NotPossibleError
		var between *BetweenError
		switch {
		case errors.As(e, &no) && no.Transport == ViaPortForward && apierrors.IsForbidden(e):
			forward = e
		case (errors.As(e, &no) && no.Transport == ViaService || errors.As(e, &between)) && !apierrors.IsForbidden(e):
			proxy = e
		}
	}
	if proxy == nil || forward == nil {
		return err
	}
	return fmt.Errorf("the API server's service proxy is closed (%s), and you may not use the other way, port-forward: an administrator allows it with \"kubectl intercept upgrade --set clientRbac.portForward=true\"", text(proxy))
}

// text cuts a transport's name off.
func text(err error) string {
	var no *NotPossibleError
	var between *BetweenError
	switch {
	case errors.As(err, &no):
		return no.Err.Error()
	case errors.As(err, &between):
		return between.Err.Error()
	}
	return err.Error()
}
