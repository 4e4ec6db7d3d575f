package helm

import (
	"context"
	"errors"
	"fmt"
	"time"

	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/storage/driver"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
)

// ErrNotInstalled is in the tree of the error that says so.
var ErrNotInstalled = errors.New("not installed")

// Release is what Helm recorded of an installation.
type Release struct {
	Name      string
	Namespace string
	// Version of the traffic-manager.
	Version string
	// Revision counts installs and upgrades.
	Revision int
	// Status is Helm's word: deployed, failed, pending-install …
	Status string
	// Description is Helm's sentence about Status.
	Description string
	// Changed is when Status was reached.
	Changed time.Time
	// Manifest is what was rendered, as YAML documents.
	Manifest string
	// Values are those that are not the chart's defaults; nil unless the release
	// was just made.
	Values map[string]any
	// Labels are those of the record.
	Labels map[string]string
	// Namespaces are those the traffic-manager serves; nil means all.
	Namespaces []string
	// Kept names the objects that an uninstall left, as "Kind/name".
	Kept []string

	// config is what was set, defaults are those of its chart.
	config, defaults map[string]any
}

// Failed says that the last install or upgrade did not end well.
func (r *Release) Failed() bool { return r.Status == string(release.StatusFailed) }

func fromHelm(r *release.Release) *Release {
	out := &Release{Name: r.Name, Namespace: r.Namespace, Revision: r.Version, Manifest: r.Manifest, Labels: r.Labels}
	if r.Info != nil {
		out.Status, out.Description = string(r.Info.Status), r.Info.Description
		out.Changed = r.Info.LastDeployed.Time
	}
	if r.Chart != nil && r.Chart.Metadata != nil {
		out.Version = r.Chart.Metadata.AppVersion
	}
	out.config, out.Namespaces = r.Config, Namespaces(r.Config)
	if r.Chart != nil {
		out.defaults = r.Chart.Values
	}
	return out
}

// Get returns the release as Helm last recorded it; ErrNotInstalled if there is
// none, and an error that names the way out if it is stuck half-way.
func (c *Client) Get(_ context.Context) (*Release, error) {
	history, err := c.cfg.Releases.History(ReleaseName)
	if err != nil && !errors.Is(err, driver.ErrReleaseNotFound) {
		return nil, fmt.Errorf("read release %s in namespace %s: %w", ReleaseName, c.namespace, err)
	}
	var last *release.Release
	for _, r := range history {
		if last == nil || r.Version > last.Version {
			last = r
		}
	}
	// helm uninstall --keep-history leaves a record of what is not there.
	if last == nil || last.Info.Status == release.StatusUninstalled {
		return nil, fmt.Errorf("%s is %w in namespace %s", ReleaseName, ErrNotInstalled, c.namespace)
	}
	return fromHelm(last), nil
}

// CheckPending returns an error if an operation on the release is going on, or
// was killed, which looks the same.
func (c *Client) CheckPending(r *Release) error {
	var wayOut string
	switch release.Status(r.Status) {
	case release.StatusPendingInstall, release.StatusUninstalling:
		wayOut = c.Command("uninstall")
	case release.StatusPendingUpgrade, release.StatusPendingRollback:
		wayOut = fmt.Sprintf("kubectl delete secret --namespace %s sh.helm.release.v1.%s.v%d  (forgets the unfinished revision)",
			c.namespace, r.Name, r.Revision)
	default:
		return nil
	}
	return fmt.Errorf("%s in namespace %s is in state %s since %s: another command is at it, or one was killed. "+
		"If none is running:\n  %s\nand then again", r, c.namespace, r.Status, r.when(), wayOut)
}

// Describe says what is there: version, revision, and its state since when.
func (r *Release) Describe() string {
	return fmt.Sprintf("%s (revision %d, %s since %s)", r, r.Revision, r.Status, r.when())
}

// String is name and version.
func (r *Release) String() string { return r.Name + " " + r.Version }

func (r *Release) when() string { return r.Changed.UTC().Format(time.RFC3339) }

// Command returns how to run a verb of the plugin for this release.
func (c *Client) Command(verb string) string { return Command(verb, c.namespace) }

// Command returns how to run a verb of the plugin for the release of a namespace.
func Command(verb, namespace string) string {
	if namespace == kube.DefaultManagerNamespace {
		return "kubectl intercept " + verb
	}
	return "kubectl intercept " + verb + " --namespace " + namespace
}
