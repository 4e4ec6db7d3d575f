package check

import (
	"context"
	"fmt"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/kubectl-intercept/kubectl-intercept/manager/version"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session"
)

// NewEnv returns the Env of a command line. It asks the cluster nothing.
func NewEnv(f *kube.Factory) (*Env, error) {
	namespace, err := f.Namespace()
	if err != nil {
		return nil, err
	}
	cfg, err := f.ToRESTConfig()
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	e := &Env{Server: cfg.Host, Namespace: namespace, ManagerNamespace: f.ManagerNamespace,
		Version: version.Version, Machine: ThisMachine(), Now: time.Now}
	e.Session = func(ctx context.Context) (*session.Status, error) {
		return session.Ask(ctx, session.Config{Factory: f})
	}
	quiet := rest.CopyConfig(cfg)
	quiet.WarningHandler = rest.NoWarnings{} // what is tried is no news
	if e.Client, err = kube.NewClient(quiet); err != nil {
		return nil, err
	}
	if e.Kube, err = kubernetes.NewForConfig(quiet); err != nil {
		return nil, err
	}
	if e.TryPod, err = NewTryPod(cfg); err != nil {
		return nil, err
	}
	if e.Reach, err = NewReach(cfg, e.Client, f.ManagerNamespace); err != nil {
		return nil, err
	}
	e.Direct = NewDirect(cfg, e.Client, f.ManagerNamespace)
	if e.Line, err = NewLine(cfg, e.Client, f.ManagerNamespace); err != nil {
		return nil, err
	}
	return e, nil
}
