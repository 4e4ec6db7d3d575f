// Package list is `kubectl intercept list`: which workloads can be
// intercepted, which are, and by whom.
package list

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/kubectl/pkg/util/templates"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

// Flags are the command line as it was typed.
type Flags struct {
	AllNamespaces bool
	NoHeaders     bool
	Watch         bool
	Selector      string
	Print         *genericclioptions.PrintFlags
}

// NewCommand returns the command.
func NewCommand(f *kube.Factory, streams genericiooptions.IOStreams) *cobra.Command {
	flags := &Flags{Print: genericclioptions.NewPrintFlags("")}
	cmd := &cobra.Command{
		Use:                   "list",
		Aliases:               []string{"ls"},
		DisableFlagsInUseLine: true,
		Short:                 "List workloads and who intercepts them",
		Example: templates.Examples(`
			# Workloads of the current namespace
			kubectl intercept list

			# Of all namespaces, with owners, ports and connections
			kubectl intercept list -A -o wide

			# Of those with a label
			kubectl intercept list -l team=checkout`),
		Args:              noArguments,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := flags.ToOptions(f, streams)
			if err != nil {
				return err
			}
			return o.Run(cmd.Context())
		},
	}
	fs := cmd.Flags()
	fs.BoolVarP(&flags.AllNamespaces, "all-namespaces", "A", false, "List the workloads of all namespaces")
	fs.BoolVar(&flags.NoHeaders, "no-headers", false, "Print no column headings")
	fs.BoolVarP(&flags.Watch, "watch", "w", false, "After listing, print what changes")
	fs.StringVarP(&flags.Selector, "selector", "l", "", "Only workloads whose labels match, as for kubectl get: KEY=VALUE, KEY!=VALUE, KEY, 'KEY in (A, B)'")
	flags.Print.AddFlags(cmd)
	fs.Lookup("output").Usage = "Output format: wide, json, yaml, kyaml, name, jsonpath=…, go-template=…, custom-columns=… and the other forms of kubectl get"
	return cmd
}

// noArguments says what list takes instead: kubectl get has made people used to
// name a type.
func noArguments(_ *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return fmt.Errorf("list takes no arguments, but %q was given: it lists workloads of every type; -n NAMESPACE or -A says where, -l KEY=VALUE which", strings.Join(args, " "))
}

// Options are the checked flags.
type Options struct {
	genericiooptions.IOStreams

	Watch bool

	factory   *kube.Factory
	namespace string // "" means all
	selector  labels.Selector
	printer   printer
	client    client.WithWatch
	user      string
	warned    bool // about what may not be listed
	warning   sync.Mutex
}

// ToOptions checks the flags; it does not speak to the cluster.
func (f *Flags) ToOptions(factory *kube.Factory, streams genericiooptions.IOStreams) (*Options, error) {
	o := &Options{IOStreams: streams, Watch: f.Watch, factory: factory}
	var err error
	if !f.AllNamespaces {
		if o.namespace, err = factory.Namespace(); err != nil {
			return nil, err
		}
	}
	if o.selector, err = labels.Parse(f.Selector); err != nil {
		return nil, fmt.Errorf("--selector %q: %w", f.Selector, err)
	}
	o.printer, err = f.printer()
	return o, err
}

// Run lists and, with --watch, goes on until ctx ends.
func (o *Options) Run(ctx context.Context) (err error) {
	if o.client, err = o.factory.Client(); err != nil {
		return err
	}
	if o.user, err = target.User(ctx, o.client); err != nil {
		return err
	}
	if o.Watch {
		err := o.watch(ctx)
		if errors.Is(err, context.Canceled) {
			return nil
		}
		return err
	}
	all, err := o.collect(ctx)
	if err != nil {
		return err
	}
	if len(all) == 0 && o.printer.human() {
		o.sayEmpty()
		return nil
	}
	return o.printer.all(o.Out, all)
}

func (o *Options) sayEmpty() {
	if !o.selector.Empty() {
		fmt.Fprintf(o.ErrOut, "No workloads with labels %s found.\n", o.selector)
		return
	}
	if o.namespace == "" {
		fmt.Fprintln(o.ErrOut, "No workloads found.")
		return
	}
	fmt.Fprintf(o.ErrOut, "No workloads found in %s namespace.\n", o.namespace)
}
