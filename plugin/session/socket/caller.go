package socket

import (
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

// Identity says which session a command line belongs to.
type Identity struct {
	Key              string
	Context          string
	Server           string
	Namespace        string // of the context
	ManagerNamespace string
}

// Caller is what a command tells the process about itself: the credentials with
// which it reaches the cluster, and how to load them again. It holds secrets, so it
// goes through a pipe or the session's socket, and into no file.
type Caller struct {
	Identity    *Identity
	Credentials *credentials.Credentials
	// Args are kubectl's flags without those in Secrets. Env and Dir are the
	// command's environment and working directory.
	Args    []string
	Secrets map[string]string `json:",omitempty"`
	Env     []string
	Dir     string
	// Once says that the kubeconfig cannot be read again.
	Once bool `json:",omitempty"`
	// Command is the name of the command if it says later that it does not need the process
	// any more.
	Command string `json:",omitempty"`
}

// Origin says how to load the command's credentials again.
func (c *Caller) Origin() credentials.Origin {
	o := credentials.Origin{Place: credentials.Place{Dir: c.Dir, Env: c.Env}}
	if !c.Once {
		o.Load = c.Load
	}
	return o
}

// Load reads the command's kubeconfig. The process must have the command's
// environment: see Adopt.
func (c *Caller) Load() (*rest.Config, error) {
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

// Adopt gives this process the command's environment: KUBECONFIG, PATH and the
// variables that a credential plugin reads.
func (c *Caller) Adopt() error {
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

// MaxCaller is the largest encoded Caller in bytes. A kubeconfig with the
// certificates of many authorities is large.
const MaxCaller = 8 << 20

// ReadCaller decodes a Caller that a command wrote.
func ReadCaller(r io.Reader) (*Caller, error) {
	var c Caller
	err := json.NewDecoder(r).Decode(&c)
	if err == nil && (c.Identity == nil || c.Credentials == nil) {
		err = errors.New("it is not complete")
	}
	if err != nil {
		return nil, fmt.Errorf("read what the command says of itself: %w", err)
	}
	return &c, nil
}
