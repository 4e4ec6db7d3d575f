package intercept

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
)

// nameFor decides what the intercept is called and whether it exists already. It is named
// like its workload, with the user's name appended when another user has that name.
// Explicit is the name from --name, which is taken as it is. All are the intercepts of
// the namespace.
func nameFor(all []v1alpha1.Intercept, user, explicit string, w v1alpha1.WorkloadReference) (string, *v1alpha1.Intercept, error) {
	find := func(name string) *v1alpha1.Intercept {
		if i := slices.IndexFunc(all, func(i v1alpha1.Intercept) bool { return i.Name == name }); i >= 0 {
			return &all[i]
		}
		return nil
	}
	names := []string{explicit}
	if explicit == "" {
		names = []string{w.Name, w.Name + "-" + kube.LabelPart(user, maxUser, hash(user)), w.Name + "-" + hash(user)}
	}
	for _, name := range names {
		if i := find(name); i != nil && i.Spec.User == user && i.Spec.Workload == w {
			return name, i, nil
		}
	}
	for _, name := range names {
		i := find(name)
		switch {
		case i == nil:
			return name, nil, nil
		case i.Spec.User == user:
			return "", nil, fmt.Errorf("you already have an intercept named %q, of %s: choose another name with --name, or run kubectl intercept leave %s -n %s",
				name, resolve.RefString(i.Spec.Workload), name, i.Namespace)
		case explicit != "":
			return "", nil, fmt.Errorf("intercept %q belongs to %s: choose another name with --name", name, i.Spec.User)
		}
	}
	return "", nil, fmt.Errorf("the names %s are taken: choose another with --name", strings.Join(names, ", "))
}

// maxUser keeps names readable; users are certificates' common names, e-mail
// addresses or service accounts.
const maxUser = 40

func hash(user string) string {
	sum := sha256.Sum256([]byte(user))
	return hex.EncodeToString(sum[:4])
}

// clash is an error if another intercept of the session already uses one of the local
// ports of self. In a dry run every session of the user counts.
func clash(all []v1alpha1.Intercept, self *v1alpha1.Intercept) error {
	for _, i := range all {
		if i.Spec.User != self.Spec.User || self.Spec.Session != dryRunSession && i.Spec.Session != self.Spec.Session ||
			i.Name == self.Name && i.Namespace == self.Namespace || i.DeletionTimestamp != nil {
			continue
		}
		for _, theirs := range i.Spec.Ports {
			for _, p := range self.Spec.Ports {
				if p.LocalPort == theirs.LocalPort && p.LocalHost == theirs.LocalHost && p.Protocol == theirs.Protocol {
					return fmt.Errorf("local port %d is already used by your intercept %s/%s, of %s: choose another, or run kubectl intercept leave %s -n %s",
						p.LocalPort, i.Namespace, i.Name, resolve.RefString(i.Spec.Workload), i.Name, i.Namespace)
				}
			}
		}
	}
	return nil
}

// twice is an error if two of the ports use the same local one.
func twice(ports []v1alpha1.InterceptPort) error {
	for n, p := range ports {
		for _, q := range ports[:n] {
			if p.LocalPort == q.LocalPort && p.LocalHost == q.LocalHost && p.Protocol == q.Protocol {
				return fmt.Errorf("two --port flags use %s", render.Local(p.LocalHost, p.LocalPort, p.Protocol))
			}
		}
	}
	return nil
}
