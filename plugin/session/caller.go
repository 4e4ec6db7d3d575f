package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/credentials"
)

// caller is what a command tells the process of itself: with what it reaches the
// cluster, and how that is loaded anew. It holds secrets: it goes through a pipe
// or the session's socket, and into no file.
type caller struct {
	Identity    *identity
	Credentials *credentials.Credentials
	// Args are kubectl's flags but for Secrets, Env and Dir the command's
	// environment and folder.
	Args    []string
	Secrets map[string]string `json:",omitempty"`
	Env     []string
	Dir     string
	// Once says that the kubeconfig cannot be read again.
	Once bool `json:",omitempty"`
}

// newCaller is this command. What its credential plugin issued is in it.
func newCaller(ctx context.Context, f *kube.Factory, id *identity) (*caller, error) {
	cfg, err := f.ToRESTConfig()
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	c := &caller{Identity: id}
	if c.Args, c.Env, c.Secrets, err = forward(f, id, os.Environ()); err != nil {
		return nil, err
	}
	if c.Dir, err = os.Getwd(); err != nil {
		c.Dir = "" // it is deleted
	}
	for _, file := range f.Files() {
		if info, err := os.Stat(file); err == nil && !info.Mode().IsRegular() {
			c.Once = true
		}
	}
	c.Credentials, err = credentials.Here(ctx, cfg, c.Env)
	return c, err
}

// origin is how its credentials are loaded anew.
func (c *caller) origin() credentials.Origin {
	o := credentials.Origin{Place: credentials.Place{Dir: c.Dir, Env: c.Env}}
	if !c.Once {
		o.Load = c.load
	}
	return o
}

// load reads the kubeconfig. Its environment must be the process's.
func (c *caller) load() (*rest.Config, error) {
	f := kube.NewFactory()
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	f.AddFlags(flags)
	if err := flags.Parse(c.Args); err != nil {
		return nil, err
	}
	if v, ok := c.Secrets["token"]; ok {
		f.BearerToken = &v
	}
	if v, ok := c.Secrets["password"]; ok {
		f.Password = &v
	}
	return f.ToRESTConfig()
}

// settle makes the command's environment the process's own: KUBECONFIG, PATH and
// whatever a credential plugin reads.
func (c *caller) settle() error {
	want := map[string]string{}
	for _, kv := range c.Env {
		// A variable of Windows may begin with the sign.
		if i := strings.Index(kv[min(1, len(kv)):], "="); i >= 0 {
			want[kv[:i+1]] = kv[i+2:]
		}
	}
	for _, kv := range os.Environ() {
		if i := strings.Index(kv[min(1, len(kv)):], "="); i >= 0 {
			if _, ok := want[kv[:i+1]]; !ok {
				os.Unsetenv(kv[:i+1])
			}
		}
	}
	for name, value := range want {
		if os.Getenv(name) == value {
			continue
		}
		if err := os.Setenv(name, value); err != nil {
			return fmt.Errorf("take the environment variable %s: %w", name, err)
		}
	}
	return nil
}

// maxCaller is how long a caller may be: kubeconfigs with the certificates of
// many authorities are.
const maxCaller = 8 << 20

// readCaller reads what spawn wrote.
func readCaller(r io.Reader) (*caller, error) {
	var c caller
	err := json.NewDecoder(r).Decode(&c)
	if err == nil && (c.Identity == nil || c.Credentials == nil) {
		err = errors.New("it is not complete")
	}
	if err != nil {
		return nil, fmt.Errorf("read what the command says of itself: %w", err)
	}
	return &c, nil
}
