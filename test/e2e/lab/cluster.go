//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
)

// ManagerNamespace is where the product is installed.
const ManagerNamespace = "intercept-system"

// Cluster is a Kubernetes cluster with the product in it.
type Cluster struct {
	*Tools
	// Name is what bin/cluster calls it.
	Name string
	// Client and Kube act as administrator.
	Client client.WithWatch
	Kube   kubernetes.Interface
	// Nodes are the network namespaces of the nodes.
	Nodes []*Space

	was bool // the cluster existed before this run

	mu    sync.Mutex
	users map[string]string // kubeconfig by user
}

// up makes the cluster, or uses the one that exists, and installs the product from a
// laptop.
func up(ctx context.Context, tools *Tools, name string) (*Cluster, error) {
	c := &Cluster{Tools: tools, Name: name, users: map[string]string{}}
	list, err := c.Tool(ctx, "list")
	if err != nil {
		return nil, fmt.Errorf("%w; are the binaries built? make images", err)
	}
	for line := range strings.Lines(list) {
		f := strings.Fields(line)
		c.was = c.was || len(f) > 2 && f[0] == c.Name && f[2] == "up"
	}
	if _, err := c.Tool(ctx, "up", "--name", c.Name, "--nodes", "2"); err != nil {
		return nil, err
	}
	if c.was {
		if err := c.reload(ctx); err != nil {
			return nil, err
		}
	}
	if err := c.connect(ctx); err != nil {
		return nil, err
	}
	if c.was {
		if err := c.clean(ctx); err != nil {
			return nil, err
		}
	}
	return c, c.Install(ctx)
}

// clean uninstalls the product that an earlier run left. It tries again after an
// error, because a cluster that was just repaired may not be ready yet.
func (c *Cluster) clean(ctx context.Context) error {
	for {
		err := c.Plugin(ctx, "uninstall", "--force", "--timeout", "30s")
		if err == nil || strings.Contains(err.Error(), "is not installed") {
			return nil
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return err
		}
	}
}

// reload loads the current images into a cluster that existed before this run.
func (c *Cluster) reload(ctx context.Context) error {
	images, err := filepath.Glob(filepath.Join(c.bin, "images/*.tar"))
	if err != nil {
		return err
	}
	_, err = c.Tool(ctx, append([]string{"load", "--name", c.Name}, images...)...)
	return err
}

func (c *Cluster) connect(ctx context.Context) error {
	path, err := c.Tool(ctx, "kubeconfig", "--name", c.Name)
	if err != nil {
		return err
	}
	cfg, err := clientcmd.BuildConfigFromFlags("", strings.TrimSpace(path))
	if err != nil {
		return err
	}
	cfg.QPS, cfg.Burst = 200, 400
	cfg.WarningHandler = rest.NoWarnings{} // else controller-runtime complains that its log has no destination
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return err
	}
	if c.Kube, err = kubernetes.NewForConfig(cfg); err != nil {
		return err
	}
	if c.Client, err = client.NewWithWatch(cfg, client.Options{Scheme: scheme}); err != nil {
		return err
	}
	for _, node := range []string{"node-1", "node-2"} {
		s, err := c.space("exec", "--name", c.Name, "--node", node, "--")
		if err != nil {
			return err
		}
		c.Nodes = append(c.Nodes, s)
	}
	return nil
}

// Install installs the product from a laptop, for every user. It returns an error if the product is
// installed already.
func (c *Cluster) Install(ctx context.Context) error {
	return c.Plugin(ctx, "install", "--wait", "--timeout", "2m", "--set", "clientRbac.allowEverybody=true")
}

// Upgrade changes the installed product, as an administrator.
func (c *Cluster) Upgrade(ctx context.Context, args ...string) error {
	return c.Plugin(ctx, append([]string{"upgrade", "--timeout", "2m"}, args...)...)
}

// Plugin runs the plugin as an administrator.
func (c *Cluster) Plugin(ctx context.Context, args ...string) error {
	_, err := c.Tool(ctx, append([]string{"laptop", "--name", c.Name, "admin", "--", c.Bin("kubectl-intercept")}, args...)...)
	return err
}

// down removes the cluster unless E2E_KEEP is set.
func (c *Cluster) down() error {
	for _, s := range c.Nodes {
		s.Close()
	}
	if os.Getenv("E2E_KEEP") != "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, err := c.Tool(ctx, "down", "--name", c.Name)
	return err
}

// Restart kills a component of the first node, as a crash would, and returns when the
// component runs again. It runs up after restart, because a port may stay in use for
// a moment.
func (c *Cluster) Restart(ctx context.Context, component string) error {
	return c.RestartOn(ctx, "node-1", component)
}

// RestartOn is Restart for a component of any node.
func (c *Cluster) RestartOn(ctx context.Context, node, component string) error {
	if _, err := c.Tool(ctx, "restart", component, "--name", c.Name, "--node", node); err != nil {
		return err
	}
	_, err := c.Tool(ctx, "up", "--name", c.Name, "--nodes", "2")
	return err
}

// kubeconfig returns the path of a user's kubeconfig. It makes the file at the first
// call.
func (c *Cluster) kubeconfig(ctx context.Context, user string) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if path := c.users[user]; path != "" {
		return path, nil
	}
	path, err := c.Tool(ctx, "kubeconfig", "--name", c.Name, "--user", user, "--group", "developers")
	if err != nil {
		return "", err
	}
	c.users[user] = strings.TrimSpace(path)
	return c.users[user], nil
}

// config returns the client configuration of a user.
func (c *Cluster) config(ctx context.Context, user string) (*rest.Config, error) {
	path, err := c.kubeconfig(ctx, user)
	if err != nil {
		return nil, err
	}
	return clientcmd.BuildConfigFromFlags("", path)
}
