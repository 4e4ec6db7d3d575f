package complete

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/target"
)

// meant is the workload that a command line names so far: by its arguments, or by --workload.
func meant(cmd *cobra.Command, args []string) (v1alpha1.WorkloadReference, bool) {
	word := ""
	switch f := cmd.Flags().Lookup("workload"); {
	case f != nil && f.Value.String() != "":
		word = f.Value.String()
	case len(args) == 1:
		word = args[0]
	case len(args) == 2:
		word = args[0] + "/" + args[1]
	}
	ref, err := target.Parse(word)
	return ref, err == nil
}

// known reads the workload that is meant, and the Services that select it.
func known(ctx context.Context, r client.Reader, namespace string, ref v1alpha1.WorkloadReference) (*resolve.Workload, []corev1.Service, error) {
	w, err := resolve.Get(ctx, r, namespace, ref)
	if err != nil {
		return nil, nil, err
	}
	services, err := resolve.Services(ctx, r, w)
	return w, services, err
}

// ports completes LOCAL:SVCPORT[/PROTO]. The local port is the container's until one is
// typed.
func (c *Completer) ports(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	ref, ok := meant(cmd, args)
	if !ok {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	service := ""
	if f := cmd.Flags().Lookup("service"); f != nil {
		service = f.Value.String()
	}
	return c.ask(cmd, typed, func(ctx context.Context, r client.Reader, namespace string) ([]string, error) {
		w, services, err := known(ctx, r, namespace, ref)
		if err != nil {
			return nil, err
		}
		var words []string
		for _, p := range resolve.Named(w, services, service) {
			if word := mapping(typed, p); !slices.ContainsFunc(words, func(o string) bool { return before(o) == before(word) }) {
				words = append(words, word)
			}
		}
		return words, nil
	}), cobra.ShellCompDirectiveNoFileComp
}

// mapping is "8080:http", with what the port is about.
func mapping(typed string, p v1alpha1.ResolvedPort) string {
	word := local(typed, int(p.ContainerPort)) + ":" + resolve.Identifier(p)
	if p.Protocol == corev1.ProtocolUDP {
		word += "/udp"
	}
	if p.Service == "" {
		return fmt.Sprintf("%s\tport %d of the container", word, p.ContainerPort)
	}
	return fmt.Sprintf("%s\tport %d of service/%s", word, p.ServicePort, p.Service)
}

// local is [HOST:]LOCAL as it was typed. Where the number is missing, it is that of the
// container's port.
func local(typed string, containerPort int) string {
	own := strconv.Itoa(containerPort)
	i := strings.LastIndex(typed, ":")
	switch {
	case i < 0 && (!number(typed) || strings.HasPrefix(own, typed)):
		return own
	case i < 0:
		return typed
	case number(typed[strings.LastIndex(typed[:i], ":")+1 : i]):
		return typed[:i]
	}
	return typed[:i] + ":" + local(typed[i+1:], containerPort)
}

func number(s string) bool { _, err := strconv.ParseUint(s, 10, 16); return err == nil }

// before is a word without its description.
func before(word string) string {
	word, _, _ = strings.Cut(word, "\t")
	return word
}

// services completes the Services that select the workload; without a workload all of the
// namespace.
func (c *Completer) services(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	ref, ok := meant(cmd, args)
	return c.ask(cmd, typed, func(ctx context.Context, r client.Reader, namespace string) ([]string, error) {
		if !ok {
			return namesOf(ctx, r, namespace, "service")
		}
		_, services, err := known(ctx, r, namespace, ref)
		var names []string
		for _, s := range services {
			names = append(names, s.Name)
		}
		return names, err
	}), cobra.ShellCompDirectiveNoFileComp
}

// containers completes the containers that serve in the workload's pods.
func (c *Completer) containers(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return c.ofContainers(cmd, args, typed, func(k corev1.Container) []string { return []string{k.Name + "\t" + k.Image} })
}

// containerPorts completes the ports that containers of the workload declare.
func (c *Completer) containerPorts(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return c.ofContainers(cmd, args, typed, func(k corev1.Container) []string {
		var ports []string
		for _, p := range k.Ports {
			word := strconv.Itoa(int(p.ContainerPort))
			if p.Protocol == corev1.ProtocolUDP {
				word += "/UDP"
			}
			ports = append(ports, word+"\t"+strings.TrimSpace(p.Name+" of container "+k.Name))
		}
		return ports
	})
}

func (c *Completer) ofContainers(cmd *cobra.Command, args []string, typed string, words func(corev1.Container) []string) ([]cobra.Completion, cobra.ShellCompDirective) {
	ref, ok := meant(cmd, args)
	if !ok {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return c.ask(cmd, typed, func(ctx context.Context, r client.Reader, namespace string) ([]string, error) {
		w, err := resolve.Get(ctx, r, namespace, ref)
		if err != nil {
			return nil, err
		}
		var all []string
		for _, k := range resolve.Containers(&w.Spec) {
			all = append(all, words(k)...)
		}
		return all, nil
	}), cobra.ShellCompDirectiveNoFileComp
}
