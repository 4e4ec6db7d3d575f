// Package kube holds the Kubernetes programs and etcd that are linked into
// the cluster binary. The binary starts itself again with the name of one of
// them as its first argument; each of them then owns the process.
package kube

import (
	"context"
	"fmt"
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

// Has reports whether name is a program of this package.
func Has(name string) bool {
	switch name {
	case "etcd", "kubectl", "kube-apiserver", "kube-controller-manager",
		"kube-scheduler", "kubelet", "kube-proxy":
		return true
	}
	return false
}

// Run becomes the program args[0] with the rest of args as its arguments and
// returns its exit code. It replaces os.Args, because the programs read it.
func Run(args []string) int {
	os.Args = args
	switch args[0] {
	case "etcd":
		etcdmain.Main(args)
		return 0
	case "kubectl":
		command := cmd.NewDefaultKubectlCommand()
		if err := cli.RunNoErrOutput(command); err != nil {
			util.CheckErr(err)
			return 1
		}
		return 0
	case "kube-apiserver":
		return cli.Run(apiserver.NewAPIServerCommand())
	case "kube-controller-manager":
		return cli.Run(controllermanager.NewControllerManagerCommand())
	case "kube-scheduler":
		return cli.Run(scheduler.NewSchedulerCommand())
	case "kubelet":
		return cli.Run(kubelet.NewKubeletCommand(context.Background()))
	case "kube-proxy":
		return cli.Run(proxy.NewProxyCommand())
	}
	fmt.Fprintf(os.Stderr, "no such program: %s\n", args[0])
	return 2
}
