package agents

import (
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"

	"github.com/kubectl-intercept/kubectl-intercept/manager/pki"
)

func TestBelongs(t *testing.T) {
	const audience = "traffic-manager.intercept-system.svc"
	who := pki.Pod{Namespace: "shop", Name: "quote-1", UID: "7d1c"}
	good := func() authenticationv1.TokenReviewStatus {
		return authenticationv1.TokenReviewStatus{Authenticated: true, Audiences: []string{audience},
			User: authenticationv1.UserInfo{Username: "system:serviceaccount:shop:default", Extra: map[string]authenticationv1.ExtraValue{
				podNameKey: {"quote-1"}, podUIDKey: {"7d1c"}}}}
	}
	if err := belongs(good(), who, audience); err != nil {
		t.Error(err)
	}
	for want, spoil := range map[string]func(*authenticationv1.TokenReviewStatus){
		"service account token: expired":                  func(s *authenticationv1.TokenReviewStatus) { s.Authenticated, s.Error = false, "expired" },
		"service account token: not authenticated":        func(s *authenticationv1.TokenReviewStatus) { s.Authenticated = false },
		"service account token: not made for " + audience: func(s *authenticationv1.TokenReviewStatus) { s.Audiences = []string{"https://kubernetes"} },
	} {
		s := good()
		spoil(&s)
		if err := belongs(s, who, audience); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	for name, spoil := range map[string]func(*authenticationv1.TokenReviewStatus){
		"a user":            func(s *authenticationv1.TokenReviewStatus) { s.User.Username = "alice" },
		"another namespace": func(s *authenticationv1.TokenReviewStatus) { s.User.Username = "system:serviceaccount:shop-2:default" },
		"another pod":       func(s *authenticationv1.TokenReviewStatus) { s.User.Extra[podNameKey] = []string{"quote-2"} },
		"an older pod":      func(s *authenticationv1.TokenReviewStatus) { s.User.Extra[podUIDKey] = []string{"0000"} },
		"no pod":            func(s *authenticationv1.TokenReviewStatus) { s.User.Extra = nil },
	} {
		s := good()
		spoil(&s)
		if err := belongs(s, who, audience); err == nil || err.Error() != "service account token: of another pod" {
			t.Errorf("%s: %v", name, err)
		}
	}
}
