// Package connect is `kubectl intercept connect`: programs on this machine
// reach the cluster's Services and pods.
package connect

import (
	"context"
	"io"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/kubectl/pkg/util/templates"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/intercept"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session"
)

// Sessions starts the background process where there is none.
type Sessions interface {
	// Helper returns the socket of intercept-netd, which it may have to start. It
	// stays until the function is called, and then as long as a session needs it.
	Helper(ctx context.Context, streams genericiooptions.IOStreams) (socket string, release func() error, err error)
	// Connect opens the way into the cluster that is asked for.
	Connect(ctx context.Context, f *kube.Factory, a *Access, progress func(string)) (*session.Network, error)
	// Ensure and Command are those of intercept.Sessions. Command is for commands that hold
	// access, too.
	Ensure(ctx context.Context, f *kube.Factory, transport string, progress func(string)) (*intercept.Session, error)
	Command(f *kube.Factory, by string) (io.Closer, error)
	// Release ends what a command wanted, by its name. What it was in place of
	// comes back.
	Release(ctx context.Context, f *kube.Factory, by string) error
}

// NewCommand returns the command.
func NewCommand(f *kube.Factory, streams genericiooptions.IOStreams, sessions Sessions) *cobra.Command {
	flags := &Flags{Timeout: time.Minute}
	cmd := &cobra.Command{
		Use:                   "connect [--proxy[=ADDRESS:PORT]] [--via TYPE/NAME] [-- COMMAND...]",
		DisableFlagsInUseLine: true,
		Short:                 "Reach Services and pods from this machine",
		Long: templates.LongDesc(`
			Give programs on this machine the cluster's network: they reach Services and
			pods by the names and addresses that a pod of the namespace would use, as far
			as you may forward ports there. All other names and addresses are as before.

			A small helper with root's rights makes a network interface, leads the cluster's
			networks and names into it and takes everything back at the end. It is started
			with sudo, unless kubectl intercept netd install has installed it. Networks that
			this machine uses otherwise, for a VPN for instance, stay as they are: the
			cluster's part of them appears under other addresses, which status shows.

			With --proxy nothing needs root: a SOCKS5 and HTTP proxy on this machine leads
			into the cluster. What is printed sets it for programs that a shell starts.

			With --via, connections leave from one of the workload's pods: others see its
			address, and its network policies and identity in a mesh are in force. The
			interface has the cluster's networks and names there, with the pod's search list
			and host aliases; --also-proxy adds networks. The proxy has everything there, and
			names mean what they mean in the pod. --to-pod brings ports of the pod's other
			containers to localhost. The pod stays the same as long as it runs; then another
			one takes its place, and open connections are reset. This needs the right to
			"create pods/exec" in that pod. Without --via, connections leave from the
			traffic-manager, which takes no such right: this is about the whole machine, and
			most of its programs are not to be taken for the pod.

			Access stays until kubectl intercept disconnect; with a command, until that
			ends, and then there is again what there was before. Proxies of several
			namespaces can be open at once; the network interface has the names of one.`),
		Example: templates.Examples(`
			# This machine is inside the cluster, as a pod of namespace shop
			kubectl intercept connect -n shop
			curl http://quote

			# Only while a program runs
			kubectl intercept connect -n shop -- npm start

			# Without root: programs of this shell reach the Services of namespace shop
			eval "$(kubectl intercept connect --proxy -n shop)"
			curl http://quote

			# A database that admits the pods of deployment quote alone
			kubectl intercept connect -n shop --via deploy/quote -- psql -h db

			# A database that the cluster reaches, too; and a network that stays out of it
			kubectl intercept connect --also-proxy 10.20.0.0/16 --never-proxy 10.96.7.0/24`),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := flags.ToOptions(f, streams, sessions, args, cmd.ArgsLenAtDash())
			if err != nil {
				return err
			}
			return o.Run(cmd.Context())
		},
	}
	flags.add(cmd.Flags())
	return cmd
}
