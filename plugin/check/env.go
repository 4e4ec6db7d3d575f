package check

import (
	"context"
	"errors"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiversion "k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/session"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

// Env gives checks access to the cluster, with the user's rights, and to this machine.
type Env struct {
	// Server is the API server's address. Namespace is the namespace to check, and
	// ManagerNamespace that of the traffic-manager.
	Server, Namespace, ManagerNamespace string
	// Version is the plugin's version.
	Version string

	Kube   kubernetes.Interface
	Client client.Client
	// TryPod creates a pod as a dry run. It returns the pod that the API server would
	// have stored, and the API server's warnings.
	TryPod func(context.Context, *corev1.Pod) (*corev1.Pod, []string, error)
	// Reach connects to the traffic-manager as a session would.
	Reach func(context.Context) (*Reached, error)
	// Direct is Reach without the API server; it returns nil if the cluster offers no such
	// way.
	Direct func(context.Context) (*Reached, error)
	// Line opens a line as a session would, and returns the round-trip time.
	Line func(context.Context) (time.Duration, error)
	// Session returns the status of the kubeconfig's session process, and nil if there
	// is no such process.
	Session func(context.Context) (*session.Status, error)
	// Machine is the machine on which the plugin runs.
	Machine Machine
	Now     func() time.Time

	// These are cached because several checks need them. An Env must not be copied.
	api       cached[*answer]
	user      cached[string]
	installed cached[*target.Installation]
	webhook   cached[*webhook]
}

// Machine gives checks access to this machine.
type Machine struct {
	// LookPath finds a program in PATH. Executable returns the path of the plugin.
	LookPath   func(string) (string, error)
	Executable func() (string, error)
	// SessionsDir returns the folder of the sessions, or an error if it cannot be used.
	SessionsDir func() (string, error)
	// Routes returns the networks to which this machine has routes.
	Routes func() ([]Route, error)
	// Netd describes how the command connect starts or finds intercept-netd. It returns
	// an error if the command cannot.
	Netd func(context.Context) (string, error)
}

// cached is a value that the first check that needs it computes.
type cached[T any] struct {
	once  sync.Once
	value T
	err   error
}

func (f *cached[T]) get(ask func() (T, error)) (T, error) {
	f.once.Do(func() { f.value, f.err = ask() })
	return f.value, f.err
}

// answer is the API server's answer to a request for its version.
type answer struct {
	version *apiversion.Info // nil if the API server refused the credentials
	took    time.Duration
}

func (e *Env) askAPI(ctx context.Context) (*answer, error) {
	return e.api.get(func() (*answer, error) {
		start := e.Now()
		type result struct {
			v   *apiversion.Info
			err error
		}
		done := make(chan result, 1)
		go func() { // ServerVersion has no context
			v, err := e.Kube.Discovery().ServerVersion()
			done <- result{v, err}
		}()
		select {
		case r := <-done:
			if apierrors.IsUnauthorized(r.err) {
				r.v, r.err = nil, nil // the API server has answered
			}
			return &answer{r.v, e.Now().Sub(start)}, r.err
		case <-ctx.Done():
			return nil, errors.New("no answer in time")
		}
	})
}

func (e *Env) askUser(ctx context.Context) (string, error) {
	return e.user.get(func() (string, error) {
		r, err := e.Kube.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
		if err != nil {
			return "", err
		}
		return r.Status.UserInfo.Username, nil
	})
}

func (e *Env) askInstalled(ctx context.Context) (*target.Installation, error) {
	return e.installed.get(func() (*target.Installation, error) {
		return target.Installed(ctx, e.Client, e.ManagerNamespace)
	})
}

// withAPI wraps a check that queries the cluster. The check is skipped if the API server
// does not answer or does not accept the user's credentials.
func (e *Env) withAPI(run func(context.Context) Outcome) func(context.Context) Outcome {
	return func(ctx context.Context) Outcome {
		if _, err := e.askAPI(ctx); err != nil {
			return skip("the API server does not answer")
		}
		if _, err := e.askUser(ctx); err != nil {
			return skip("the API server does not know you")
		}
		return run(ctx)
	}
}

// withManager wraps a check that needs a traffic-manager. The check is skipped if none is
// installed.
func (e *Env) withManager(run func(context.Context) Outcome) func(context.Context) Outcome {
	return e.withAPI(func(ctx context.Context) Outcome {
		_, err := e.askInstalled(ctx)
		var absent *target.NotInstalledError
		if errors.As(err, &absent) {
			return skip("traffic-manager is not installed")
		}
		return run(ctx)
	})
}

// Categories returns all checks. If pre is true, it returns the checks to run before the
// traffic-manager is installed.
func Categories(e *Env, pre bool) []Category {
	if pre {
		return []Category{
			{"kubernetes", e.kubernetesChecks()},
			{"permissions to install", e.installChecks()},
			{"pod security", e.securityChecks()},
			{"network", e.networkChecks()},
			{"client", e.clientChecks()},
		}
	}
	return []Category{
		{"kubernetes", e.kubernetesChecks()},
		{"permissions", e.permissionChecks()},
		{"traffic-manager", e.managerChecks()},
		{"webhook", e.webhookChecks()},
		{"pod security", e.securityChecks()},
		{"license", e.licenseChecks()},
		{"network", e.networkChecks()},
		{"client", e.clientChecks()},
	}
}
