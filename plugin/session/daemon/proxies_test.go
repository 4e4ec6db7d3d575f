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
		connectThrough(t, n.Proxy, host+":"+port) // the answer is a refusal in any case
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

// A proxy looks a name without a namespace up in the namespaces with intercepts, too, as a
// TUN does.
func TestProxyKnowsNamesBesideIntercepts(t *testing.T) {
	end := outboundtest.New(t, outboundtest.Hello)
	end.Names = []string{"db.shop.svc.cluster.local."}
	c := newCluster(t)
	c.outbound = end.Handle
	m := newMachine(t, c.factory())
	client, s := m.mustEnsure()
	n, err := client.OpenProxy(t.Context(), state.Proxy{Address: "127.0.0.1:0", Namespace: "blog"})
	if err != nil {
		t.Fatal(err)
	}
	tell(c, &v1alpha1.SessionNetwork{ClusterDomain: "cluster.local", ServiceCIDRs: []string{"10.96.0.0/16"}})
	c.put(intercept(s.Session, 80, 8080)) // in namespace shop
	if _, err := client.Track(t.Context(), "shop", "quote", state.Program{}); err != nil {
		t.Fatal(err)
	}
	connectThrough(t, n.Proxy, "db:81")
	if opened := end.Opened(); !slices.Equal(opened, []string{"10.96.0.7:81"}) {
		t.Errorf("flows to %q", opened)
	}
}

// connectThrough asks a proxy for a connection. It ignores the answer.
func connectThrough(t *testing.T, proxy, to string) {
	t.Helper()
	conn, err := net.Dial("tcp", proxy)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "CONNECT "+to+" HTTP/1.1\r\nHost: "+to+"\r\n\r\n")
	io.Copy(io.Discard, conn)
}
