// Package run is `kubectl intercept run`: one program in the cluster's
// network, without root.
package run

import (
	"context"
	"io"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/kubectl/pkg/util/templates"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/inside"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/intercept"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
)

// Sessions has the background process serve the program's network.
type Sessions interface {
	// OpenIsolated has the background process serve a network, and starts the process if
	// there is none. The maker of the network listens at d.Socket.
	OpenIsolated(ctx context.Context, f *kube.Factory, transport string, d *state.Device, progress func(string)) error
	// Resume has the process that there is, of any version, serve the network again, and
	// the intercept "NAMESPACE/NAME" of the program p, whose socket is the network's; "" is
	// none. Only if start is true it starts a process: another command may just be replacing it.
	Resume(ctx context.Context, f *kube.Factory, transport string, d *state.Device, key string, p state.Program, start bool) error
	// EnsureIsolated is intercept.Sessions.Ensure, for intercepts whose ports belong to
	// the program behind the socket.
	EnsureIsolated(ctx context.Context, f *kube.Factory, transport, socket string, progress func(string)) (*intercept.Session, error)
	// Command is that of intercept.Sessions.
	Command(f *kube.Factory, name string) (io.Closer, error)
}

// NewCommand returns the command.
func NewCommand(f *kube.Factory, streams genericiooptions.IOStreams, sessions Sessions) *cobra.Command {
	flags := &Flags{Intercept: intercept.DefaultFlags()}
	cmd := &cobra.Command{
		Use:                   "run [TYPE/NAME | NAME] [--port LOCAL[:SVCPORT[/PROTO]]] [--match NAME=REGEXP] [--publish [LOCAL:]PORT] -- COMMAND...",
		DisableFlagsInUseLine: true,
		Short:                 "Run a program in the cluster's network, without root",
		Long: templates.LongDesc(`
			Run a program with a network of its own: it reaches Services and pods by the
			names and addresses that a pod of the namespace would use, as far as you may
			forward ports there, and everything else as this machine does. Nothing on this
			machine changes, no root is needed, and any number of programs can run at once,
			each in its cluster and namespace.

			With a workload, the program stands in for one of its pods. It has the
			environment of the workload's container, and its volumes at their own paths, which
			no other program of this machine sees, and below $INTERCEPT_ROOT. A volume that
			would cover what the program needs, such as /etc or /tmp, is only there. With
			--mount=false there are none.

			All that it connects to sees the pod: the pod's address, network policies and
			identity in a mesh. Names mean what they mean in the pod, and the
			program's localhost has the ports that the pod's other containers declare.
			--to-pod adds ports that they do not declare; --to-pod none leaves all of them to
			the program. That is the default because a program that is tried out in a pod's place shall meet what it
			will meet there. Only the API server and
			--never-proxy are reached by this machine itself. The pod stays the same as
			long as it runs; then another one takes its place, and open connections are
			reset. Reaching into a pod needs the right to "create pods/exec"; with
			--via none, connections leave from the traffic-manager.

			With --port, the workload's traffic comes to the program's ports while the
			program runs, as with kubectl intercept add. Whoever leaves the intercept ends
			the program. With --match, only the HTTP requests that meet all conditions come.
			The program's localhost is its own: ports on which it listens collide with no
			others, and are reached from this machine where --publish names them.

			The exit code is the program's. This works on Linux, where users may make
			network namespaces; kubectl intercept connect --proxy works anywhere.`),
		Example: templates.Examples(`
			# A shell inside the cluster, as in a pod of namespace shop
			kubectl intercept run -n shop -- bash

			# The program gets what arrives at port http of deployment quote
			kubectl intercept run deploy/quote --port 8080:http -- npm start

			# A database that admits the pods of deployment quote alone, and no traffic
			kubectl intercept run --via deploy/quote -- psql -h db

			# Only requests that have the header x-user: alice
			kubectl intercept run quote --port 8080 --match x-user=alice -- npm start

			# A web page to look at from this machine, at http://localhost:3000
			kubectl intercept run --publish 3000 -- npm run dev`),
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
	intercept.CompleteFlags(cmd)
	return cmd
}

// NewInside returns the hidden command that is the process inside.
func NewInside() *cobra.Command {
	return &cobra.Command{
		Use:               inside.Command,
		Short:             "Supervise a program in namespaces of its own",
		Hidden:            true,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(_ *cobra.Command, args []string) error { return inside.Supervise(args) },
	}
}
