//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// calls are what programs of a shell say to an application of test/quote: by HTTP, and by a
// datagram.
const calls = `ask() { exec 3<>"/dev/tcp/$1/$2" || return; printf 'GET %s HTTP/1.0\r\n\r\n' "${3:-/caller}" >&3; tail -n1 <&3; got=$?; exec 3>&-; return $got; }
datagram() { exec 4<>"/dev/udp/$1/$2" || return; printf caller >&4; timeout 10 dd bs=99 count=1 status=none <&4; echo; exec 4>&-; }
`

// inPodNetwork applies podnet.yaml.
func inPodNetwork(l *lab.Lab, replicas int) {
	l.Helper()
	l.Apply("podnet.yaml", "{REPLICAS}", fmt.Sprint(replicas), "{OTHER}", "elsewhere", "{ALIAS}", "192.0.2.7")
	l.Serving("quote", "http")
	l.Serving("other", "http")
}

// TestPodNetwork: what a program connects to that stands in for a pod sees the pod, names mean
// what they mean there, and the ports of its other containers are on localhost where
// --to-pod says so. A network policy that admits the pod alone admits the program, and not
// one with --via none.
func TestPodNetwork(t *testing.T) {
	for _, inject := range []v1alpha1.InjectMode{v1alpha1.InjectEphemeral, v1alpha1.InjectSidecar} {
		t.Run(string(inject), func(t *testing.T) {
			l := lab.New(t, clusters)
			inPodNetwork(l, 1)
			alice := ordinaryUser(l, l.Laptop("alice"), 12345)
			line := []string{"run", "deploy/quote", "--port", "9000:http", "--inject", string(inject), "--to-pod", "8081", "--to-pod", "8082/udp", "--"}
			out, _, code := alice.output(l.Namespace, append(line, "bash", "-c", calls+`ask other 80; datagram other 80
ask other.`+l.Namespace+`.svc.cluster.local 80
getent ahostsv4 ledger | head -n1; getent ahostsv4 ledger.example.com | head -n1
grep -E '^(search|options)' /etc/resolv.conf
ask 127.0.0.1 8081 /; datagram 127.0.0.1 8082`)...)
			pod := podOf(l, "quote")
			ip := pod.Status.PodIP
			for _, want := range []string{"called from " + ip + "\nthe cluster: caller " + ip + "\ncalled from " + ip + "\n", "192.0.2.7 ", " elsewhere.svc.cluster.local",
				"ndots:3", "answered by beside (", "beside: caller 127.0.0.1\n"} {
				if code != 0 || !strings.Contains(out, want) {
					t.Errorf("exit code %d, not %q in %q", code, want, out)
				}
			}
			if n := strings.Count(out, "192.0.2.7 "); n != 2 {
				t.Errorf("%d of the names in hostAliases are known", n)
			}

			callee := podOf(l, "other")
			_, err := l.Inside(callee).Nft("add table ip admitted; add chain ip admitted in { type filter hook input priority 0; }; " +
				"add rule ip admitted in tcp dport 8080 ip saddr != " + ip + " reject with tcp reset")
			l.Must(err)
			if out, _, code := alice.output(l.Namespace, "run", "--via", "deploy/quote", "--", "bash", "-c", calls+"ask other 80"); code != 0 || out != "called from "+ip+"\n" {
				t.Errorf("by the pod: exit code %d, %q", code, out)
			}
			if out, _, code := alice.output(l.Namespace, "run", "deploy/quote", "--via", "none", "--", "bash", "-c", calls+"ask other 80"); code == 0 {
				t.Errorf("by the traffic-manager: %q", out)
			}
			connectedByPod(l, alice, pod)
		})
	}
}

// connectedByPod: connect --via does for the machine what run does for a program, by a proxy and
// by an interface, and status says so. Without the right, it is refused.
func connectedByPod(l *lab.Lab, alice *ordinary, pod *corev1.Pod) {
	l.Helper()
	ip, from := pod.Status.PodIP, "from pod "+l.Namespace+"/"+pod.Name
	const through = calls + `through() { p=${http_proxy#http://}; exec 3<>"/dev/tcp/${p%:*}/${p#*:}"; printf 'GET http://%s HTTP/1.0\r\n\r\n' "$1" >&3; tail -n1 <&3; exec 3>&-; }
`
	line := []string{"connect", "--proxy", "--via", "deploy/quote", "--to-pod", "8081"}
	out, _, code := alice.output(l.Namespace, append(line, "--", "bash", "-c", through+`through other/caller; through other.`+l.Namespace+`.svc.cluster.local/caller
ask 127.0.0.1 8081 /; "$0" status; "$0" status -o json`, l.Bin("kubectl-intercept"))...)
	for _, want := range []string{"called from " + ip + "\ncalled from " + ip + "\nanswered by beside (", "names of namespace " + l.Namespace + ", " + from + "\n",
		`"pod": "` + l.Namespace + "/" + pod.Name + `"`} {
		if code != 0 || !strings.Contains(out, want) {
			l.Errorf("exit code %d, not %q in %q", code, want, out)
		}
	}
	if out, _, code := alice.output(l.Namespace, "connect", "--proxy", "--via", "none", "--", "bash", "-c", through+"through other/caller"); strings.Contains(out, "called from") {
		l.Errorf("by the traffic-manager: exit code %d, %q", code, out)
	}
	noneLeft := func() error {
		var left v1alpha1.InterceptList
		err := l.Client.List(l.Context(), &left, client.InNamespace(l.Namespace))
		if err == nil && len(left.Items) > 0 {
			err = fmt.Errorf("there is %s", left.Items[0].Name)
		}
		return err
	}
	l.Until("the intercept ends with its command", noneLeft)

	bob := l.Laptop("bob") // root
	bob.Intercept("connect", "--via", "deploy/quote", "--to-pod", "8082/udp")
	bash := func(script string) string { return bob.Try("bash", "-c", calls+script).Out }
	if out := bash(`ask other 80; datagram other 80; getent ahostsv4 ledger | head -n1 | cut -c1-10; ip route get 192.0.2.7 | grep -o "dev intercept0"; grep ^search /etc/resolv.conf; datagram 127.0.0.1 8082`); !strings.HasPrefix(out,
		"called from "+ip+"\nthe cluster: caller "+ip+"\n192.0.2.7 \ndev intercept0\n") || !strings.Contains(out, " elsewhere.svc.cluster.local") || !strings.HasSuffix(out, "beside: caller 127.0.0.1\n") {
		l.Errorf("by the interface: %q", out)
	}
	if s := bob.Status().Network; !strings.HasPrefix(s, "interface intercept0, ") || !strings.HasSuffix(s, ", "+from) {
		l.Errorf("status says %q", s)
	}
	bob.Intercept("connect", "--via", "deploy/quote", "--", "true") // shares it, and leaves it
	bob.Intercept("connect")
	l.Until("the intercept ends with its access", noneLeft)
	if out := bash("ask other 80"); strings.Contains(out, "called from") {
		l.Errorf("without --via: %q", out)
	}
	bob.Intercept("disconnect")
}

// TestPodNetworkReplaced: of two replicas one is chosen and kept, and another one takes its
// place when it is deleted. Connections of the former are reset.
func TestPodNetworkReplaced(t *testing.T) {
	l := lab.New(t, clusters)
	inPodNetwork(l, 2)
	alice := ordinaryUser(l, l.Laptop("alice"), 12345)
	r := alice.begin(l.Namespace, "run", "--via", "deploy/quote", "--", "bash", "-c", calls+`ask other 80; ask other 80
exec 5<>/dev/tcp/other/7777; echo open; cat <&5; echo over
until ask other 80; do :; done; echo done`)
	alice.says(r, "open\n")
	said := r.printed()
	if out, _, _ := alice.output(l.Namespace, "status"); !strings.Contains(out, "1 program with a network of its own, from pod "+l.Namespace+"/quote-") {
		t.Errorf("status says %q", out)
	}
	chosen := ""
	for _, p := range l.Pods() {
		if n := strings.Count(said, "called from "+p.Status.PodIP+"\n"); p.Labels["app"] == "quote" && n > 0 {
			if chosen = p.Name; n != 2 {
				t.Errorf("%d of two calls come from pod %s", n, p.Name)
			}
		}
	}
	if chosen == "" {
		t.Fatalf("calls come from no pod: %s", said)
	}
	_, err := kubectl(l, "delete", "pod", "-n", l.Namespace, chosen)
	l.Must(err)
	alice.says(r, "done\n")
	if code := alice.ends(r); code != 0 {
		t.Errorf("exit code %d", code)
	}
	rest := strings.TrimPrefix(r.printed(), said)
	replaced := false
	for _, p := range l.Pods() {
		replaced = replaced || p.Labels["app"] == "quote" && p.Name != chosen && strings.Contains(rest, "called from "+p.Status.PodIP+"\n")
	}
	if !replaced {
		t.Errorf("after the deletion of %s: %s", chosen, rest)
	}
}
