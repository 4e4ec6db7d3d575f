package license

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/license"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

// ShowOptions are those of `license show`.
type ShowOptions struct {
	genericiooptions.IOStreams

	Output string

	factory *kube.Factory
	now     func() time.Time
}

func newShow(f *kube.Factory, streams genericiooptions.IOStreams) *cobra.Command {
	o := &ShowOptions{IOStreams: streams, factory: f, now: time.Now}
	cmd := &cobra.Command{
		Use:                   "show",
		DisableFlagsInUseLine: true,
		Short:                 "Show the license and whether it holds",
		Args:                  cobra.NoArgs,
		ValidArgsFunction:     cobra.NoFileCompletions,
		RunE:                  func(cmd *cobra.Command, _ []string) error { return o.Run(cmd.Context()) },
	}
	cmd.Flags().StringVarP(&o.Output, "output", "o", "", "Output format: json or yaml")
	return cmd
}

// Run prints what the traffic-manager has published. A license that does not
// hold is an answer, not an error.
func (o *ShowOptions) Run(ctx context.Context) error {
	c, err := o.factory.Client()
	if err != nil {
		return err
	}
	i, err := target.Installed(ctx, c, o.factory.ManagerNamespace)
	if err != nil {
		return err
	}
	if i.License == nil {
		return errors.New("the traffic-manager has not said anything about its license yet: it has just been installed, is older than this command, or does not run; kubectl intercept check tells which")
	}
	if o.Output != "" {
		return render.Structured(o.Out, o.Output, i.License)
	}
	return show(o.Out, i.License, o.now())
}

func show(w io.Writer, r *license.Report, now time.Time) error {
	required := "no"
	if r.Required {
		required = "yes, for personal intercepts"
	}
	return render.Block(w, "", []render.Row{
		{Label: "State", Value: string(r.State)},
		{Label: "Why", Value: r.Message},
		{Label: "Subject", Value: r.Subject},
		{Label: "Valid from", Value: when(r.NotBefore)},
		{Label: "Valid until", Value: until(r, now)},
		{Label: "Issued at", Value: when(r.IssuedAt)},
		{Label: "Made for", Value: strings.Join(r.Licensed, ", ")},
		{Label: "This cluster", Value: r.Cluster},
		{Label: "Signature", Value: r.Algorithm},
		{Label: "Required", Value: required},
	})
}

func when(t *time.Time) string {
	if t == nil {
		return ""
	}
	return license.Time(*t)
}

// until adds what is left of a license that holds.
func until(r *license.Report, now time.Time) string {
	s := when(r.ValidUntil)
	if r.State == license.Valid && r.ValidUntil != nil && r.ValidUntil.After(now) {
		s += ", another " + license.Days(r.ValidUntil.Sub(now))
	}
	return s
}
