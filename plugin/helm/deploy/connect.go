package deploy

import (
	"context"
	"encoding/json"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/helm"
)

// letConnect lets the user who installs connect, if the values let nobody. It returns what lets
// others connect, in words; "" if the values say who may.
func (o *Options) letConnect(ctx context.Context) (others string, err error) {
	values, err := o.Apply.Effective(nil)
	if err != nil || !helm.NobodyConnects(values) {
		return "", err
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
	list, err := json.Marshal([]helm.RBACSubject{subject, {Kind: "Group", Name: "developers"}})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("User %q may connect. The value clientRbac.subjects names who else may, for example:\n  %s --set-json 'clientRbac.subjects=%s'\n",
		user, o.Releases.Command("upgrade"), list), nil
}

// warnNobody says that nobody may connect after an upgrade, as after one that resets the values.
func (o *Options) warnNobody(old *helm.Release) error {
	values, err := o.Apply.Effective(old)
	if err == nil && o.Apply.DryRun == helm.DryRunNone && helm.NobodyConnects(values) {
		fmt.Fprintln(o.ErrOut, "Warning: the value clientRbac.subjects is empty: only cluster administrators may connect")
	}
	return err
}
