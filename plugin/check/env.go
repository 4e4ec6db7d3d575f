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

// Env is what checks look at: a cluster as a user sees it, and this machine.
type Env struct {
	// Server is the API server's address, Namespace the current one.
	Server, Namespace, ManagerNamespace string
	// Version of the plugin.
	Version string

	Kube   kubernetes.Interface
	Client client.Client
	// TryPod creates a pod as a dry run. It returns what would have been stored
	// and what was warned of.
	TryPod func(context.Context, *corev1.Pod) (*corev1.Pod, []string, error)
	// Reach connects to the traffic-manager as a session would.
	Reach func(context.Context) (*Reached, error)
	// Line offers a line as a session would, and returns its round trip.
	Line func(context.Context) (time.Duration, error)
	// Session asks the session process of the kubeconfig; nil if none runs.
	Session func(context.Context) (*session.Status, error)
	// Machine is where the plugin runs.
	Machine Machine
	Now     func() time.Time

	// What several checks ask for. Copying an Env is not allowed.
	api       fact[*answer]
	user      fact[string]
	installed fact[*target.Installation]
	webhook   fact[*webhook]
}

// Machine is this machine, as far as checks look at it.
type Machine struct {
	// LookPath finds a program; Executable is the plugin's own path.
	LookPath   func(string) (string, error)
	Executable func() (string, error)
	// Place is the folder for sessions, or why there is none.
	Place func() (string, error)
	// Routes are the networks that this machine reaches by itself.
	Routes func() ([]Route, error)
	// Netd says how connect comes by its root helper, or why it does not.
	Netd func(context.Context) (string, error)
}

// fact is asked for once, by whoever comes first.
type fact[T any] struct {
	once  sync.Once
	value T
	err   error
}

func (f *fact[T]) get(ask func() (T, error)) (T, error) {
	f.once.Do(func() { f.value, f.err = ask() })
	return f.value, f.err
}

// answer is what the API server says to somebody who asks for nothing much.
type answer struct {
	version *apiversion.Info // nil if it does not know the user and tells nobody else
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
		go func() { // it takes no context
			v, err := e.Kube.Discovery().ServerVersion()
			done <- result{v, err}
		}()
		select {
		case r := <-done:
			if apierrors.IsUnauthorized(r.err) {
				r.v, r.err = nil, nil // an answer it is
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

// withAPI is for checks that ask the cluster: without an API server that
// knows the user they have nothing to say.
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

// withManager is for checks of a traffic-manager that is there.
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

// Categories are all checks; with pre, those that matter before the
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
