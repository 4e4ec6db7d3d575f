package add

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/intercept"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
)

// report prints the result: with -o the object, otherwise what happened to
// which workload and the block that describes the intercept.
func (o *Options) report(ctx context.Context, out io.Writer, i *intercept.Made) error {
	if o.brief {
		i.SetGroupVersionKind(v1alpha1.GroupVersion().WithKind("Intercept"))
		return o.printer.PrintObj(i.Intercept, o.Out)
	}
	workload := &metav1.PartialObjectMetadata{
		TypeMeta:   metav1.TypeMeta{APIVersion: i.Spec.Workload.APIVersion, Kind: i.Spec.Workload.Kind},
		ObjectMeta: metav1.ObjectMeta{Name: i.Spec.Workload.Name, Namespace: i.Namespace},
	}
	if err := o.printer.PrintObj(workload, out); err != nil {
		return err
	}
	if o.DryRun != cmdutil.DryRunNone {
		return nil
	}
	shown := i.DeepCopy()
	if !o.Wait || len(shown.Status.Ports) == 0 {
		shown.Status.Ports = i.Resolved
	}
	if err := render.Intercept(out, shown, i.MountPoint()); err != nil {
		return err
	}
	if o.Wait && len(o.Command) == 0 && o.handler == nil {
		o.warnIfSilent(ctx, &i.Spec)
	}
	if i.Spec.Preview != nil {
		return o.reportPreview(ctx, out, i.Intercept)
	}
	return nil
}

// warnIfSilent tells about local TCP ports on which nothing listens. UDP does
// not say.
func (o *Options) warnIfSilent(ctx context.Context, spec *v1alpha1.InterceptSpec) {
	for _, p := range o.Ports {
		if p.Protocol == corev1.ProtocolUDP {
			continue
		}
		if listens(ctx, p) {
			continue
		}
		then := "the application keeps answering"
		switch {
		case spec.Mode == v1alpha1.ModeMirror:
			then = "copies are dropped"
		case spec.Mode == v1alpha1.ModeReplace:
			then = "callers get an error"
		case spec.NoFallback:
			then = "callers are refused"
		}
		render.Warn(o.ErrOut, fmt.Sprintf("nothing listens on %s yet; until something does, %s", render.Local(p.LocalHost, p.LocalPort, p.Protocol), then))
	}
}

// listens says that a program takes connections where the session looks for one:
// on localhost by either of its addresses.
func listens(ctx context.Context, p v1alpha1.InterceptPort) bool {
	hosts := []string{p.LocalHost}
	if p.LocalHost == "127.0.0.1" {
		hosts = append(hosts, "::1")
	}
	dialer := net.Dialer{Timeout: time.Second}
	return slices.ContainsFunc(hosts, func(host string) bool {
		conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(int(p.LocalPort))))
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}
