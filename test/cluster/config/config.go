// Package config renders what the components of a cluster read: their
// arguments and their configuration files. It computes text and nothing else.
package config

import (
	"fmt"
	"strings"

	"github.com/kubectl-intercept/kubectl-intercept/test/cluster/plan"
)

// Image names that `up` expects among the loaded images.
const (
	PauseImage   = "kubectl-intercept.dev/test/pause:dev"
	CoreDNSImage = "kubectl-intercept.dev/test/coredns:dev"
)

// Containerd is containerd's configuration on every node. Its usual folders
// are private to the node, so it keeps its defaults.
func Containerd(cniDir string) string {
	return fmt.Sprintf(`version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %q
  restrict_oom_score_adj = true
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = %q
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
`, PauseImage, cniDir)
}

// CNI is the pod network of a node. Every pod hangs on a link of its own and
// is routed, not bridged: so pods of one node meet kube-proxy's rules on the
// way to each other, whatever the kernel does with bridges. Source addresses
// are never rewritten, because every node knows the way to every pod. A hostPort
// keeps other pods from the node and leads nowhere: portmap would run iptables eight
// times for each pod that ends.
func CNI(n plan.Node) string {
	return fmt.Sprintf(`{
  "cniVersion": "1.0.0",
  "name": "pods",
  "plugins": [
    {
      "type": "ptp",
      "ipMasq": false,
      "ipam": {
        "type": "host-local",
        "ranges": [[{"subnet": %q}]],
        "routes": [{"dst": "0.0.0.0/0"}]
      }
    }
  ]
}
`, n.Pods)
}

// Authentication is the API server's configuration of it. Who does not say who
// he is may look whether it is well; everything else is Unauthorized (401), as
// in most clusters that are managed.
func Authentication() string {
	return `apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
anonymous:
  enabled: true
  conditions:
  - path: /livez
  - path: /readyz
  - path: /healthz
`
}

// Kubelet is kubelet's configuration. A changed Secret or ConfigMap is in a pod within
// seconds rather than a minute.
func Kubelet(c plan.Cluster, n plan.Node, cgroup string) string {
	return fmt.Sprintf(`apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: %[1]s}
authorization: {mode: Webhook}
tlsCertFile: %[2]s
tlsPrivateKeyFile: %[3]s
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
cgroupDriver: cgroupfs
cgroupRoot: %[4]s
failCgroupV1: false
failSwapOn: false
oomScoreAdj: 0
clusterDNS: [%[5]s]
clusterDomain: %[6]s
resolvConf: %[7]s
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 100Mi}
maxPods: 200
syncFrequency: 10s
`, c.Path("pki", "ca.crt"), c.Path("pki", n.Name+".crt"), c.Path("pki", n.Name+".key"),
		cgroup, plan.DNSIP, plan.Domain, c.Path("resolv.conf"))
}

// Proxy is kube-proxy's configuration.
func Proxy(c plan.Cluster, n plan.Node) string {
	return fmt.Sprintf(`apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clientConnection: {kubeconfig: %s}
clusterCIDR: %s
hostnameOverride: %s
conntrack: {maxPerCore: 0}
nftables: {minSyncPeriod: 100ms}
`, c.Kubeconfig("kube-proxy"), plan.PodCIDR, n.Name)
}

// ResolvConf is a resolv.conf that names this server.
func ResolvConf(server string) string { return "nameserver " + server + "\n" }

// Args are the arguments of a component on a node.
func Args(c plan.Cluster, n plan.Node, component string) ([]string, error) {
	pki := func(file string) string { return c.Path("pki", file) }
	file := func(name string) string { return c.Path("nodes", n.Name, name) }
	switch component {
	case "etcd":
		return strings.Fields("--name=etcd --unsafe-no-fsync --log-level=warn" +
			" --data-dir=" + c.Path("etcd") +
			" --listen-client-urls=http://127.0.0.1:2379 --advertise-client-urls=http://127.0.0.1:2379" +
			" --listen-peer-urls=http://127.0.0.1:2380 --initial-advertise-peer-urls=http://127.0.0.1:2380" +
			" --initial-cluster=etcd=http://127.0.0.1:2380"), nil
	case "kube-apiserver":
		return []string{
			"--etcd-servers=http://127.0.0.1:2379",
			"--advertise-address=" + c.API().String(),
			"--bind-address=" + c.API().String(),
			fmt.Sprintf("--secure-port=%d", plan.APIPort),
			"--service-cluster-ip-range=" + plan.ServiceCIDR,
			"--tls-cert-file=" + pki("apiserver.crt"),
			"--tls-private-key-file=" + pki("apiserver.key"),
			"--client-ca-file=" + pki("ca.crt"),
			"--requestheader-client-ca-file=" + pki("front-proxy-ca.crt"),
			"--requestheader-allowed-names=front-proxy-client",
			"--requestheader-extra-headers-prefix=X-Remote-Extra-",
			"--requestheader-group-headers=X-Remote-Group",
			"--requestheader-username-headers=X-Remote-User",
			"--proxy-client-cert-file=" + pki("front-proxy-client.crt"),
			"--proxy-client-key-file=" + pki("front-proxy-client.key"),
			"--enable-aggregator-routing=true",
			"--service-account-issuer=https://kubernetes.default.svc",
			"--service-account-key-file=" + pki("sa.pub"),
			"--service-account-signing-key-file=" + pki("sa.key"),
			"--authentication-config=" + c.Path("authentication.yaml"),
			"--authorization-mode=Node,RBAC",
			"--enable-admission-plugins=NodeRestriction",
			"--allow-privileged=true",
			"--kubelet-preferred-address-types=InternalIP",
			"--kubelet-certificate-authority=" + pki("ca.crt"),
			"--kubelet-client-certificate=" + pki("apiserver-kubelet-client.crt"),
			"--kubelet-client-key=" + pki("apiserver-kubelet-client.key"),
			"--profiling=false",
		}, nil
	case "kube-controller-manager":
		return []string{
			"--kubeconfig=" + c.Kubeconfig(component),
			"--use-service-account-credentials=true",
			// Each controller fetches a token at start: the usual limit costs seconds.
			"--kube-api-qps=1000",
			"--kube-api-burst=1000",
			"--service-account-private-key-file=" + pki("sa.key"),
			"--root-ca-file=" + pki("ca.crt"),
			"--cluster-signing-cert-file=" + pki("ca.crt"),
			"--cluster-signing-key-file=" + pki("ca.key"),
			"--leader-elect=false",
			"--bind-address=127.0.0.1",
		}, nil
	case "kube-scheduler":
		return []string{"--kubeconfig=" + c.Kubeconfig(component), "--leader-elect=false", "--bind-address=127.0.0.1"}, nil
	case "containerd":
		return []string{"--config=" + file("containerd.toml"), "--log-level=warn"}, nil
	case "kubelet":
		return []string{
			"--kubeconfig=" + c.Kubeconfig(n.Name),
			"--config=" + file("kubelet.yaml"),
			"--hostname-override=" + n.Name,
			"--node-ip=" + n.Address.String(),
		}, nil
	case "kube-proxy":
		return []string{"--config=" + file("kube-proxy.yaml")}, nil
	}
	return nil, fmt.Errorf("no component %q: there are %s", component,
		strings.Join(append(append([]string{}, ControlPlane()...), OnNode()...), ", "))
}

// ControlPlane lists the components of the first node only, in the order in
// which they start.
func ControlPlane() []string {
	return []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"}
}

// OnNode lists the components of every node, in the order in which they start.
func OnNode() []string { return []string{"containerd", "kubelet", "kube-proxy"} }
