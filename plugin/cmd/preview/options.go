package preview

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/gateway"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/preview"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

// leaveTimeout bounds closing the way into the cluster.
const leaveTimeout = 15 * time.Second

// Options are the checked flags.
type Options struct {
	genericiooptions.IOStreams
	// Name is the intercept's, or its workload's.
	Name, Namespace string
	// Listen is an address of this machine.
	Listen string
	// Answers are those to the questions of package preview that flags gave.
	Answers   map[string]string
	Transport string
	Timeout   time.Duration

	factory  *kube.Factory
	sessions Sessions
}

// Run serves the preview until the intercept ends, or ctx does.
func (o *Options) Run(ctx context.Context) error {
	c, err := o.factory.Client()
	if err != nil {
		return err
	}
	return o.serve(ctx, c)
}

func (o *Options) serve(ctx context.Context, c client.WithWatch) error {
	ic, err := o.find(ctx, c)
	if err != nil {
		return err
	}
	if ic.Spec.Mode == v1alpha1.ModeMirror {
		return fmt.Errorf("intercept %s is a mirror: nobody gets what the local program answers, so there is nothing to preview", ic.Name)
	}
	marks, err := gateway.MarksOf(ic.Spec.Match.Conditions())
	if err != nil {
		return err
	}
	ingress, err := preview.Choose(o.Answers, o.candidates(ctx, c, ic), nil)
	if err != nil {
		return err
	}
	by := rand.Text()
	alive, err := o.sessions.Command(o.factory, by)
	if err != nil {
		return err
	}
	defer alive.Close() // what is left of it does no harm
	defer o.release(ctx, by)
	proxy, err := o.connect(ctx, by)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return fmt.Errorf("open the preview: %w", err)
	}
	p := newPage(l.Addr().String(), proxy, ingress, marks)
	go p.server.Serve(l)
	defer p.close()
	fmt.Fprintf(o.ErrOut, "%s by way of %s at %s; Ctrl-C ends the preview\n", ic.Name, ingress.L5Host, ingress.Address())
	if _, err := fmt.Fprintf(o.Out, "http://%s/\n", l.Addr()); err != nil {
		return err
	}
	return o.follow(ctx, c, ic)
}

// candidates are the ways into the cluster, the best first: that of the intercept's own
// preview URL, other ingresses, the intercepted Service. The user may dial all but the
// last, which says why if not.
func (o *Options) candidates(ctx context.Context, c client.Client, ic *v1alpha1.Intercept) []preview.Candidate {
	all := preview.Detect(ctx, c, ic.Namespace, preview.Services(ic.Status.Ports))
	if p := ic.Spec.Preview; p != nil {
		all = slices.Insert(all, 0, preview.Own(ic.Namespace, p))
	}
	if i, err := target.Installed(ctx, c, o.factory.ManagerNamespace); err != nil || !i.OpenNetwork {
		all = preview.Reachable(ctx, c, all)
	}
	return append(all, preview.ServicePorts(ctx, c, ic.Namespace, ic.Status.Ports)...)
}

// connect opens a proxy into the cluster, and returns its address.
func (o *Options) connect(ctx context.Context, by string) (string, error) {
	ctx, cancel := target.WithTimeout(ctx, o.Timeout)
	defer cancel()
	steps := render.NewProgress(o.ErrOut)
	defer steps.Done()
	address, err := o.sessions.OpenProxy(ctx, o.factory, o.Transport, o.Namespace, by, steps.Step)
	return address, target.TimedOut(ctx, o.Timeout, err)
}

// release closes the way into the cluster. A session that is gone has closed it.
func (o *Options) release(ctx context.Context, by string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTimeout)
	defer cancel()
	if err := o.sessions.Release(ctx, o.factory, by); err != nil {
		render.Warn(o.ErrOut, render.Error(err))
	}
}

// follow returns when the intercept ends, or matches other requests than it did.
func (o *Options) follow(ctx context.Context, c client.WithWatch, ic *v1alpha1.Intercept) error {
	var changed bool
	err := target.Follow(ctx, c, client.ObjectKeyFromObject(ic), func(now *v1alpha1.Intercept) (bool, error) {
		gone := now == nil || now.UID != ic.UID || now.DeletionTimestamp != nil
		changed = !gone && !equality.Semantic.DeepEqual(now.Spec.Match, ic.Spec.Match)
		return gone || changed, nil
	})
	switch {
	case ctx.Err() != nil:
		return nil // as the user wants
	case err != nil:
		return err
	case changed:
		return fmt.Errorf("intercept %s matches other requests now: run kubectl intercept preview %s again", ic.Name, ic.Name)
	}
	_, err = fmt.Fprintf(o.ErrOut, "intercept %s has ended, and its preview\n", ic.Name)
	return err
}

// page is the gateway as an HTTP server on localhost.
type page struct {
	gateway *gateway.Gateway
	server  *http.Server
}

func (p *page) close() {
	p.gateway.Close()
	p.server.Close()
}
