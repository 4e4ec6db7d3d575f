package intercept

import (
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"k8s.io/cli-runtime/pkg/genericiooptions"
	cmdutil "k8s.io/kubectl/pkg/cmd/util"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/carrier"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

// IngestOptions are those of an intercept that takes no traffic and stands in for a
// container of the workload, or for the one that kubectl exec would take. The intercept is
// for one command, see MakeForCommand, so it has a name of its own and meets no other.
func IngestOptions(factory *kube.Factory, streams genericiooptions.IOStreams, workload, container, transport string, timeout time.Duration) (*Options, error) {
	if err := carrier.CheckName(transport); err != nil {
		return nil, err
	}
	ref, err := target.Parse(workload)
	if err != nil {
		return nil, err
	}
	namespace, err := factory.Namespace()
	if err != nil {
		return nil, err
	}
	name := ref.Name[:min(len(ref.Name), maxIngest)] + "-" + strings.ToLower(rand.Text()[:6])
	return &Options{IOStreams: streams, Factory: factory, Transport: transport, Wait: true, Timeout: timeout, DryRun: cmdutil.DryRunNone, unnamed: true,
		Request: Request{Ref: ref, Namespace: namespace, Name: name, Inject: v1alpha1.InjectAuto, Ingest: true, StandIn: &v1alpha1.StandIn{Container: container}}}, nil
}

// ToIngest checks the flags of run for a command that takes no traffic and has the environment or the
// network of a container.
func (f *Flags) ToIngest(factory *kube.Factory, args []string, streams genericiooptions.IOStreams) (*Options, error) {
	workload, err := f.workload(args)
	if err != nil {
		return nil, err
	}
	about := append(aboutTraffic(), "name")
	if f.Mode != modeIngest {
		about = append(about, "mode")
	}
	if name := f.typedOf(about...); name != "" {
		return nil, fmt.Errorf("--%s is about the traffic that comes to the command: add --port, for example --port 8080:http", name)
	}
	o, err := f.ingest(factory, workload, f.StandIn, true, streams)
	if err != nil {
		return nil, err
	}
	if o.StandIn == nil {
		return nil, fmt.Errorf("with --no-env and --via none nothing of %s is left: add --port for its traffic, or leave the workload out", workload)
	}
	return o, nil
}

// toLastingIngest checks the flags of --mode ingest. Its intercept has the name of any other,
// and stays until it is left. Command says that the command line has one after "--".
func (f *Flags) toLastingIngest(factory *kube.Factory, args []string, command bool, streams genericiooptions.IOStreams) (*Options, error) {
	if name := f.typedOf(append(aboutTraffic(), "port", "preview-url")...); name != "" {
		return nil, fmt.Errorf("--%s is about traffic, which stays with the application with --mode ingest: leave one of the two out", name)
	}
	workload, err := f.workload(args)
	if err != nil {
		return nil, err
	}
	wish, unsaid := f.StandIn, !command && f.typedOf("mount", "env-file", "env-json", "to-pod") == ""
	if unsaid {
		wish.Mount = "true"
	}
	o, err := f.ingest(factory, workload, wish, command, streams)
	if err != nil {
		return nil, err
	}
	o.unnamed, o.Name = false, f.Name
	if f.Workload != "" && len(args) == 1 {
		o.Name = args[0]
	}
	if o.mountTyped = o.mountTyped && !unsaid; o.StandIn == nil {
		return nil, fmt.Errorf("with --mode ingest and these flags nothing of %s comes to this machine: add --mount, --env-file, --env-json, --to-pod or a command after --", workload)
	}
	return o, nil
}

// ingest is IngestOptions with what the flags, and wish of them, say. StandIn is nil if they ask
// for nothing of the container.
func (f *Flags) ingest(factory *kube.Factory, workload string, wish StandInFlags, command bool, streams genericiooptions.IOStreams) (*Options, error) {
	o, err := IngestOptions(factory, streams, workload, wish.Container, f.Transport, f.Timeout)
	if err != nil {
		return nil, err
	}
	o.Untyped, o.StandIn = !strings.Contains(workload, "/"), nil
	return o, wish.apply(o, command)
}

// aboutTraffic are the flags that say what traffic is taken, and how.
func aboutTraffic() []string {
	return []string{"service", "inject", "keep-established", "no-fallback", "local-tls", "local-protocol", "match", "http-match",
		"match-path", "match-path-prefix", "match-path-regex", "match-method", "match-query", "mechanism"}
}

// maxIngest bounds the workload's part of a name.
const maxIngest = 200
