package daemon

import (
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

func (c *cluster) change() {
	c.version++
	close(c.changed)
	c.changed = make(chan struct{})
}

const apiPrefix = "/apis/kubectl-intercept.dev/v1alpha1"

func path(o object) string {
	resource := "intercepts"
	if _, ok := o.(*v1alpha1.Session); ok {
		resource = "sessions"
	}
	return apiPrefix + "/namespaces/" + o.GetNamespace() + "/" + resource + "/" + o.GetName()
}

func (c *cluster) put(o object) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.change()
	if o.GetUID() == "" {
		o.SetUID(types.UID("uid-" + strconv.Itoa(c.version)))
	}
	o.SetResourceVersion(strconv.Itoa(c.version))
	c.objects[path(o)] = o
}

// renew takes a renewal, as the traffic-manager does.
func (c *cluster) renew(s *v1alpha1.Session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.renewed, c.old = append(c.renewed, s), false
	if of, ok := c.objects[apiPrefix+"/namespaces/"+s.Namespace+"/sessions/"+s.Spec.Renews].(*v1alpha1.Session); ok {
		of = of.DeepCopy()
		of.Status.Conditions = nil
		of.Status.Owner = &v1alpha1.SessionOwner{Groups: s.Spec.Groups, Extra: s.Spec.Extra}
		c.objects[path(of)] = of
	}
}

// renewals are those so far.
func (c *cluster) renewals() []*v1alpha1.Session {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.renewed
}

func (c *cluster) remove(path string) { c.delete(path, nil) }

// delete says whether the object of the path is the one that is meant, and deletes it.
func (c *cluster) delete(path string, meant *metav1.Preconditions) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if o := c.objects[path]; o != nil && meant != nil && meant.UID != nil && *meant.UID != o.GetUID() {
		return false
	}
	delete(c.objects, path)
	c.change()
	return true
}

// sessions are the paths of the Session objects.
func (c *cluster) sessions() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var paths []string
	for p := range c.objects {
		if strings.Contains(p, "/sessions/") {
			paths = append(paths, p)
		}
	}
	return paths
}

// tell has the first Session object tell of the cluster's network.
func tell(c *cluster, n *v1alpha1.SessionNetwork) {
	c.mu.Lock()
	o, _ := c.objects[firstSession(c)].(*v1alpha1.Session)
	c.mu.Unlock()
	s := o.DeepCopy()
	s.Status.Network = n
	c.put(s)
}

// firstSession is a path; c.mu is held.
func firstSession(c *cluster) string {
	for p := range c.objects {
		if strings.Contains(p, "/sessions/") {
			return p
		}
	}
	return ""
}
