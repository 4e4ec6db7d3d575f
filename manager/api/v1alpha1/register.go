package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Group is the API group, and the prefix of every annotation and label the
// product sets.
const Group = "kubectl-intercept.dev"

// ShowValuesKey is the annotation by which the session of an Intercept asks the agents for
// values of headers. Its value, of at most MaxQuestion bytes, is new for each question. The
// answer goes to the session, and to no object.
const ShowValuesKey = Group + "/show-values"

// MaxQuestion is the length of the longest value of ShowValuesKey that is a question.
const MaxQuestion = 64

// GroupVersion names this version of the group.
func GroupVersion() schema.GroupVersion {
	return schema.GroupVersion{Group: Group, Version: "v1alpha1"}
}

// AddToScheme registers the group's types.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion(), &Intercept{}, &InterceptList{}, &Session{}, &SessionList{})
	metav1.AddToGroupVersion(s, GroupVersion())
	return nil
}
