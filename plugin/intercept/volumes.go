package intercept

import (
	"context"
	"fmt"
	"strings"

	cmdutil "k8s.io/kubectl/pkg/cmd/util"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/mount"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/mounts"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

// unaskedLimit is how many bytes are copied of volumes for which nobody asked, where this
// machine cannot mount them.
const unaskedLimit = 64 << 20

// Mount brings the volumes of the container that m stands in for, as --mount says it. Where
// nobody typed --mount, a failure is a warning.
func (o *Options) Mount(ctx context.Context, m *Made) error {
	if o.DryRun != cmdutil.DryRunNone || m.Spec.StandIn == nil && !o.mountTyped {
		return nil
	}
	bounded, cancel := target.WithTimeout(ctx, o.Timeout)
	defer cancel()
	v, err := m.session.Mount(bounded, m.Namespace, m.Name, o.wish())
	switch err = target.TimedOut(bounded, o.Timeout, err); {
	case err != nil && o.mountTyped:
		return fmt.Errorf("--mount: %w", err)
	case err != nil:
		render.Warn(o.ErrOut, "the volumes of the container are not here: "+render.Error(err))
		m.Volumes = &mounts.Volumes{Error: render.Error(err)}
		return nil
	case v.Dir == "":
		return nil
	}
	m.Volumes = v
	if v.Notice != "" {
		render.Warn(o.ErrOut, strings.TrimSpace(v.Notice))
	}
	return nil
}

// CopyVolumes copies volumes that would be mounted, for a program that would not see the
// mount.
func (o *Options) CopyVolumes() {
	if o.mount.How == mount.Auto {
		o.mount.How = mount.Copy
	}
}

// wish is what the session is asked for.
func (o *Options) wish() state.Wish {
	w := state.Wish{Dir: o.mount.Dir, ReadOnly: o.mount.ReadOnly}
	switch {
	case o.mount.How == mount.None && o.mountTyped:
		w.How = state.None
	case o.mount.How == mount.None:
		w.How = state.Same
	case o.mount.How == mount.Copy:
		w.How = state.Copied
	}
	if !o.mountTyped {
		w.Limit = unaskedLimit
	}
	return w
}

// MountPoint is what to tell of the volumes in the line Volume Mount Point; "" if there are
// none.
func (m *Made) MountPoint() string { return m.Volumes.Line() }
