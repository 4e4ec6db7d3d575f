package version

import (
	"fmt"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/skew"
)

// compare says which parts do not fit.
func (v *Versions) compare() []string {
	var all []string
	if v.Manager != nil {
		all = append(all, v.manager()...)
	}
	if s := v.Session; s != nil && s.build != "" && s.build != v.Client.build {
		all = append(all, fmt.Sprintf("the session, process %d, is of version %s and not of this build of the plugin: the next kubectl intercept add or connect replaces it, and its intercepts stay", s.PID, s.Version))
	}
	if n := v.Netd; n != nil && n.Version != v.Client.Version {
		all = append(all, fmt.Sprintf("intercept-netd is of version %s and the plugin of %s: where it is a service, kubectl intercept netd install replaces it; otherwise it ends with kubectl intercept disconnect", n.Version, v.Client.Version))
	}
	for _, a := range v.Agents {
		if v.Manager == nil || a.Version == v.Manager.Version {
			continue
		}
		all = append(all, fmt.Sprintf("the agents of %s are of version %s and the traffic-manager of %s: pods that are made anew have its version, for example after kubectl rollout restart",
			render.Count(int64(len(a.Pods)), "pod"), a.Version, v.Manager.Version))
	}
	return all
}

func (v *Versions) manager() []string {
	detail := fmt.Sprintf("the plugin is of version %s and the traffic-manager of %s", v.Client.Version, v.Manager.Version)
	fit, older := skew.Compare(v.Client.Version, v.Manager.Version)
	remedy := fmt.Sprintf("%s brings the traffic-manager to the plugin's", skew.UpgradeManager)
	if older {
		remedy = fmt.Sprintf("%s brings the plugin to the traffic-manager's", skew.UpgradePlugin)
	}
	switch fit {
	case skew.Same:
		return nil
	case skew.Unknown:
		return []string{fmt.Sprintf("%s, which cannot be compared: %s makes them the same", detail, skew.UpgradeManager)}
	case skew.Incompatible:
		return []string{fmt.Sprintf("%s, which may not work together: %s", detail, remedy)}
	}
	return []string{detail + ": " + remedy}
}
