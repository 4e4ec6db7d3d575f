package daemon

import (
	"io"
	"net"
	"slices"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/outbound/outboundtest"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/state"
)

// A proxy follows the chart's client.dns, as the Session object tells of it.
func TestProxyFollowsClientDNS(t *testing.T) {
	end := outboundtest.New(t, outboundtest.Hello)
	end.Names = []string{"db.shop.svc.cluster.local.", "vault.corp.test."}
	c := newCluster(t)
	c.outbound = end.Handle
	m := newMachine(t, c.factory())
	client, _ := m.mustEnsure()
	n, err := client.OpenProxy(t.Context(), state.Proxy{Address: "127.0.0.1:0", Namespace: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	// What the traffic-manager tells comes after the proxy is open.
	tell(c, &v1alpha1.SessionNetwork{ClusterDomain: "cluster.local", ServiceCIDRs: []string{"10.96.0.0/16"},
		DNS: v1alpha1.SessionDNS{IncludeSuffixes: []string{"corp.test"}, Mappings: []v1alpha1.DNSMapping{{Name: "orders.example.com", AliasFor: "db.shop"}}}})
	for port, host := range map[string]string{"81": "orders.example.com", "82": "vault.corp.test", "83": "nothing.corp.test"} {
		conn, err := net.Dial("tcp", n.Proxy)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(conn, "CONNECT "+host+":"+port+" HTTP/1.1\r\nHost: "+host+"\r\n\r\n")
		io.Copy(io.Discard, conn) // the answer is a refusal in any case
		conn.Close()
	}
	opened := end.Opened()
	slices.Sort(opened)
	if want := []string{"10.96.0.7:81", "10.96.0.7:82"}; !slices.Equal(opened, want) {
		t.Errorf("flows to %q, want %q", opened, want)
	}
	if asked := end.Asked(); !slices.Contains(asked, "nothing.corp.test.") {
		t.Errorf("the cluster was asked for %q", asked)
	}
}
