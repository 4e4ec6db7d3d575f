// Package preview is `kubectl intercept preview`: it opens the gateway of an intercept on
// this machine, for a browser.
package preview

import (
	"context"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/kubectl/pkg/util/templates"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/preview"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/carrier"
)

// Sessions has the background process lead into the cluster.
type Sessions interface {
	// OpenProxy opens a proxy into the cluster, in which short names are those of the
	// namespace, and returns its address. The proxy stays until the command that holds it,
	// under the name by, releases it.
	OpenProxy(ctx context.Context, f *kube.Factory, transport, namespace, by string, progress func(string)) (address string, err error)
	// Command shows the session that the command lives which holds access by that name.
	Command(f *kube.Factory, by string) (io.Closer, error)
	// Release ends what a command wanted, by its name.
	Release(ctx context.Context, f *kube.Factory, by string) error
}

// Flags are the command line as it was typed.
type Flags struct {
	Listen    string
	Transport string
	Timeout   time.Duration
}

// NewCommand returns the command.
func NewCommand(f *kube.Factory, streams genericiooptions.IOStreams, sessions Sessions) *cobra.Command {
	flags := &Flags{Listen: "127.0.0.1:0", Transport: "auto", Timeout: time.Minute}
	cmd := &cobra.Command{
		Use:                   "preview NAME",
		DisableFlagsInUseLine: true,
		Short:                 "Look at an intercept with a browser on this machine",
		Long: templates.LongDesc(`
			Open a page of the cluster on this machine's localhost, as an intercept matches
			it: each request gets the header, the member of baggage or the cookie that the
			intercept asks for. NAME is the name of the intercept, or its workload.

			Requests enter the cluster by its ingress, which is found by Ingress and Gateway
			API objects, or named by flags. Without an ingress, or where you may not forward
			ports to it, they go to the intercepted Service. It ends with the intercept, or
			with Ctrl-C. Nothing has to be set in the cluster for this. Others on this
			machine can open the page, too; kubectl intercept add --preview-url makes a URL
			for others elsewhere.`),
		Example: templates.Examples(`
			# Print a URL for the browser
			kubectl intercept preview quote

			# At a port of this machine, and by a certain ingress
			kubectl intercept preview quote --listen 127.0.0.1:8000 --preview-host ingress-nginx-controller.ingress-nginx --preview-l5host shop.example.com`),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := flags.ToOptions(f, streams, sessions, args)
			if err != nil {
				return err
			}
			o.Answers = preview.Given(cmd.Flags())
			if err := preview.Check(o.Answers); err != nil {
				return err
			}
			return o.Run(cmd.Context())
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&flags.Listen, "listen", flags.Listen, "`ADDRESS:PORT` of this machine; port 0 is any free one")
	preview.AddFlags(fs)
	fs.StringVar(&flags.Transport, "transport", flags.Transport, "Way to the traffic-manager: auto, direct, service-proxy or port-forward")
	fs.DurationVar(&flags.Timeout, "timeout", flags.Timeout, "How long to wait for the connection")
	return cmd
}

// ToOptions checks the flags; it does not speak to the cluster.
func (f *Flags) ToOptions(factory *kube.Factory, streams genericiooptions.IOStreams, sessions Sessions, args []string) (*Options, error) {
	if len(args) != 1 {
		return nil, fmt.Errorf("which intercept? For example kubectl intercept preview quote; kubectl intercept list shows them")
	}
	host, _, err := net.SplitHostPort(f.Listen)
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
		return nil, fmt.Errorf("--listen %q: use an address and port of this machine alone, such as 127.0.0.1:8000", f.Listen)
	}
	if err := carrier.CheckName(f.Transport); err != nil {
		return nil, err
	}
	if f.Timeout <= 0 {
		return nil, fmt.Errorf("--timeout %s: must be positive", f.Timeout)
	}
	o := &Options{IOStreams: streams, Name: args[0], Listen: f.Listen, Transport: f.Transport, Timeout: f.Timeout, factory: factory, sessions: sessions}
	o.Namespace, err = factory.Namespace()
	return o, err
}
