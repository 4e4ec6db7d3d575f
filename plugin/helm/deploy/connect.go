package deploy

import (
	"context"
	"encoding/json"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/helm"
)

// letConnect lets the user that installs connect, if the effective values let nobody. It
// returns what lets others connect, in words; "" if the values let somebody.
func (o *Options) letConnect(ctx context.Context, values map[string]any) (others string, err error) {
	if !helm.NobodyConnects(values) {
		return "", nil
	}
	r, err := o.Kube.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("ask the API server who you are: %w", err)
	}
	user := r.Status.UserInfo.Username
	if user == "" {
		return "", nil
	}
	subject := helm.Subject(user)
	o.Apply.LetConnect(subject)
	list, err := json.Marshal([]rbacv1.Subject{subject, {Kind: "Group", Name: "developers"}})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("User %q may connect. The value clientRbac.subjects names who else may, for example:\n  %s --set-json 'clientRbac.subjects=%s'\n",
		user, o.Releases.Command("upgrade"), list), nil
}

// warnNobody says that nobody may connect after an upgrade to these effective values, as after
// one that resets them.
func (o *Options) warnNobody(values map[string]any) {
	if o.Apply.DryRun == helm.DryRunNone && helm.NobodyConnects(values) {
		fmt.Fprintln(o.ErrOut, "Warning: the value clientRbac.subjects is empty: only cluster administrators may connect")
	}
}
