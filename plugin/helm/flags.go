package helm

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/kube"
)

// Namespace is the release's namespace: that of -n, else the usual one. The
// namespace of the kube context is where somebody works, not where the
// traffic-manager belongs.
func Namespace(f *kube.Factory) string {
	if flag := f.ConfigFlags.Namespace; flag != nil && *flag != "" {
		return *flag
	}
	return f.ManagerNamespace
}

// ApplyFlags are the flags that install and upgrade share. They have Helm's
// names, and Helm's help where they do what Helm's do.
type ApplyFlags struct {
	ValueFlags
	ChartSource
	CreateNamespace bool
	Wait            bool
	Atomic          bool
	Timeout         time.Duration
	DryRun          string
	TakeOwnership   bool
	Force           bool
	Output          string
	Debug           bool
}

// AddFlags adds them, with their defaults. undone says what --atomic does for
// this command.
func (a *ApplyFlags) AddFlags(flags *pflag.FlagSet, undone string) {
	a.ValueFlags.AddFlags(flags)
	a.ChartSource.AddFlags(flags)
	flags.BoolVar(&a.CreateNamespace, "create-namespace", true, "Create the release namespace if not present")
	flags.BoolVar(&a.Wait, "wait", true,
		"Wait until the traffic-manager is ready before marking the release as successful. It will wait for as long as --timeout")
	flags.BoolVar(&a.Atomic, "atomic", false,
		"If set, "+undone+". The --wait flag will be set automatically if --atomic is used")
	flags.DurationVar(&a.Timeout, "timeout", 5*time.Minute, "Time to wait for any individual Kubernetes operation")
	flags.StringVar(&a.DryRun, "dry-run", string(DryRunNone),
		"Simulate the change. With no option being specified or as '--dry-run=client', nothing is changed; "+
			"'--dry-run=server' also has the API server look at it")
	flags.Lookup("dry-run").NoOptDefVal = string(DryRunClient)
	flags.BoolVar(&a.TakeOwnership, "take-ownership", false,
		"If set, ignore the check for helm annotations and take ownership of the existing resources")
	flags.BoolVar(&a.Debug, "debug", false, "Print Helm's own log to standard error")
	flags.BoolVar(&a.Force, "force", false, "Go on although Argo CD or Flux manages the traffic-manager")
	flags.StringVarP(&a.Output, "output", "o", "",
		`Print this instead of a summary: "yaml", the manifests; "values", the values that are not the chart's defaults`)
}

// ParseDryRun reads the flag --dry-run.
func ParseDryRun(text string) (DryRun, error) {
	switch d := DryRun(text); d {
	case DryRunNone, DryRunClient, DryRunServer:
		return d, nil
	case "true":
		return DryRunClient, nil
	case "false":
		return DryRunNone, nil
	}
	return "", fmt.Errorf("invalid --dry-run=%s: client, server or none", text)
}

// ToOptions checks the flags and loads chart and values.
func (a *ApplyFlags) ToOptions(ctx context.Context) (Options, error) {
	o := Options{
		CreateNamespace: a.CreateNamespace, Wait: a.Wait || a.Atomic, Atomic: a.Atomic,
		Timeout: a.Timeout, TakeOwnership: a.TakeOwnership,
	}
	var err error
	if o.DryRun, err = ParseDryRun(a.DryRun); err != nil {
		return o, err
	}
	if a.Output != "" && a.Output != "yaml" && a.Output != "values" {
		return o, fmt.Errorf("invalid --output=%s: yaml or values", a.Output)
	}
	if a.Timeout <= 0 {
		return o, fmt.Errorf("invalid --timeout=%s: it must be positive; --wait=false does not wait", a.Timeout)
	}
	if o.Chart, err = LoadChart(ctx, a.ChartSource); err != nil {
		return o, err
	}
	o.Values, err = a.Values()
	return o, err
}
