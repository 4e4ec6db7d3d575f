package deploy

import (
	"context"
	"fmt"
	"net"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/helm"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/carrier"
)

// closedTimeout is how long the service proxy may take to answer.
const closedTimeout = 5 * time.Second

// proxy returns what opens a connection to the traffic-manager as sessions do.
func proxy(cfg *rest.Config, namespace string) (func(context.Context) (net.Conn, error), error) {
	p, err := carrier.NewServiceProxy(carrier.Fixed(cfg), namespace)
	if err != nil {
		return nil, err
	}
	return p.Dial, nil
}

// warnClosed says which value lets users in, if the service proxy lets nobody in and the
// effective values allow no other way. It asks once the traffic-manager is ready.
func (o *Options) warnClosed(ctx context.Context, values map[string]any) {
	if o.Proxy == nil || !o.Apply.Wait || o.Apply.DryRun != helm.DryRunNone || helm.PortForward(values) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, closedTimeout)
	defer cancel()
	conn, err := o.Proxy(ctx)
	switch {
	case err == nil:
		conn.Close()
	case carrier.Elsewhere(err) && !apierrors.IsForbidden(err) && !apierrors.IsNotFound(err):
		fmt.Fprintf(o.ErrOut, "Warning: the API server's service proxy is closed (%s). Users come by port-forward only if you allow it:\n  %s --set clientRbac.portForward=true\n",
			render.Error(err), o.Releases.Command("upgrade"))
	}
}
