package cmd

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
)

// Words that people know from other tools of this kind. Those that mean the same
// here just work: see usual. The rest is answered with what it is called here, or
// that it is not there yet; a word whose time has come leaves the table.

// verbs are answers to commands that are not there.
var verbs = map[string]string{
	"logout":     "there is nothing to log out of: kubectl intercept has kubectl's own credentials; kubectl intercept quit ends the session",
	"helm":       "what helm does here: kubectl intercept install, upgrade or uninstall",
	"exec":       "kubectl intercept run deploy/quote --port 8080:http -- COMMAND runs a program with a workload's traffic and the cluster's network",
	"replace":    "it is called kubectl intercept add --mode replace here",
	"ingest":     "it is called kubectl intercept add --mode ingest here",
	"wiretap":    "it is called kubectl intercept add --mode mirror here",
	"mirror":     "it is called kubectl intercept add --mode mirror here",
	"genyaml":    "agents need no manifest: kubectl intercept add puts them into pods, and kubectl intercept install --dry-run=client -o yaml prints what is installed",
	"test-vpn":   "kubectl intercept check says which networks of this machine and the cluster overlap",
	"docker-run": "kubectl intercept add deploy/quote --port 8080 --docker-run -- IMAGE runs a container with a workload's traffic",
	"compose":    byHand,
	"dashboard":  notYet + "; kubectl intercept list --watch shows what is intercepted",
}

// flags are answers to flags that are not there, of any command.
var flags = map[string]string{
	"http-header":        "it is called --match here",
	"http-path-equal":    "it is called --match-path here",
	"http-path-prefix":   "it is called --match-path-prefix here",
	"http-path-regex":    "it is called --match-path-regex here",
	"http-filter":        "--match NAME=REGEXP says which requests are taken",
	"http-plaintext":     "there is nothing to say: programs on this machine get clear text",
	"http-meta":          notYet,
	"local-mount-port":   notYet,
	"docker":             notYet + "; kubectl intercept connect --proxy needs no root, and changes nothing for other programs",
	"docker-build":       "build the image first, for example by docker build -t quote:dev ., and name it: --docker-run -- quote:dev",
	"docker-debug":       "what a debugger needs are flags of docker run: --docker-run -- --cap-add SYS_PTRACE --security-opt seccomp=unconfined IMAGE",
	"docker-mount":       notYet,
	"replace":            notYet + "; the program in the pod goes on running, and gets no traffic",
	"local-only":         "kubectl intercept connect -n NAMESPACE gives this machine the names of a namespace, without an intercept",
	"preview-url-banner": "there is no banner on the pages of a preview",
	"ingress-host":       "it is called --preview-host here",
	"ingress-port":       "it is called --preview-port here",
	"ingress-tls":        "it is called --preview-tls here",
	"ingress-l5":         "it is called --preview-l5host here",
	"detailed-output":    "-o yaml prints everything",
	"use":                "kubectl's --context says which session",
	"mapped-namespaces":  notYet + "; short names are those of -n NAMESPACE, and longer names reach every namespace",
	"proxy-via":          "--virtual-subnet says where addresses appear that this machine uses otherwise",
	"vnat":               "--virtual-subnet says where addresses appear that this machine uses otherwise",
	"steal":              "there is nothing to say: an intercept takes the traffic from the application",
	"target":             "name the workload as an argument, such as deploy/quote",
	"target-namespace":   "it is called -n here, as for kubectl",
	"all-agents":         "it is called kubectl intercept uninstall agent --all-agents here",
	"agent":              "it is called kubectl intercept uninstall agent here",
	"no-reports":         "there is nothing to say: nothing is reported to anybody",
}

const (
	notYet = "not there yet"
	byHand = notYet + ": start the container yourself, with the port on this machine that --port names"
)

// knownCommand refuses what is not the name of a command, as cobra does for a
// root that cannot run.
func knownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if text := verbs[args[0]]; text != "" {
		return fmt.Errorf("%s: %s", args[0], text)
	}
	s := fmt.Sprintf("unknown command %q for %q", args[0], cmd.CommandPath())
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		s += "; did you mean " + strings.Join(near, " or ") + "?"
	}
	return errors.New(s)
}

// knownFlag says what is wrong with a flag.
func knownFlag(cmd *cobra.Command, err error) error {
	if errors.Is(err, pflag.ErrHelp) {
		return err
	}
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) && flags[unknown.GetSpecifiedName()] != "" {
		return fmt.Errorf("--%s: %s", unknown.GetSpecifiedName(), flags[unknown.GetSpecifiedName()])
	}
	return fmt.Errorf("%w\nsee %s --help", err, cmd.CommandPath())
}

// usual reads what people are used to type, and says in note what it is called here:
// `helm install` as `install`, and `uninstall --everything` as `uninstall`, which
// leaves no agent either.
func usual(args []string) (as []string, note string) {
	if len(args) > 0 && args[0] == "helm" {
		n := helmVerb(args)
		if n == 0 {
			return args, ""
		}
		verb := args[n]
		as = append([]string{verb}, slices.Concat(args[1:n], args[n+1:])...)
		if k := slices.Index(as, "--upgrade"); k > 0 && verb == "install" {
			as[0], as[k], verb = "upgrade", "--install", "upgrade --install"
		}
		return as, "it is called kubectl intercept " + verb + " here"
	}
	switch {
	case len(args) == 0:
	case args[0] == "uninstall" && !slices.Contains(args, "agent"):
		as = slices.DeleteFunc(slices.Clone(args), func(a string) bool { return a == "--everything" || a == "--everything=true" })
		if len(as) < len(args) {
			note = "kubectl intercept uninstall leaves no agent either: --everything can be left out"
		}
		return as, note
	case args[0] == "quit" && args[len(args)-1] == "-s": // kubectl's -s has a value
		return append(slices.Clone(args[:len(args)-1]), "--stop-daemons"), ""
	}
	return args, ""
}

// newLogin is a command that scripts of other tools begin with: it has nothing to do, and
// that is no error.
func newLogin(streams genericiooptions.IOStreams) *cobra.Command {
	return &cobra.Command{
		Use:                "login",
		Hidden:             true,
		Short:              "Say that there is nothing to log in to",
		Args:               cobra.ArbitraryArgs,
		FParseErrWhitelist: cobra.FParseErrWhitelist{UnknownFlags: true},
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(streams.ErrOut, "there is nothing to log in to: kubectl intercept has kubectl's own credentials, which kubectl auth whoami shows")
			return err
		},
	}
}

// helmVerb is where the verb after `helm` stands; 0 if there is none. The value of
// one of kubectl's flags is none.
func helmVerb(args []string) int {
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	kube.NewFactory().AddFlags(fs)
	for n := 1; n < len(args); n++ {
		a := args[n]
		if slices.Contains([]string{"install", "upgrade", "uninstall"}, a) {
			return n
		}
		var f *pflag.Flag
		switch {
		case strings.HasPrefix(a, "--"):
			f = fs.Lookup(a[2:])
		case len(a) == 2 && a[0] == '-':
			f = fs.ShorthandLookup(a[1:])
		}
		if f != nil && f.NoOptDefVal == "" {
			n++
		}
	}
	return 0
}
