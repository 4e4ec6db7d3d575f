// Package helmtest is for tests of the commands that install and upgrade.
package helmtest

import (
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// As makes a fake API server take its caller for a user.
func As(user string, c *fake.Clientset) {
	c.PrependReactor("create", "selfsubjectreviews", func(clienttesting.Action) (bool, runtime.Object, error) {
		r := &authenticationv1.SelfSubjectReview{}
		r.Status.UserInfo.Username = user
		return true, r, nil
	})
}
