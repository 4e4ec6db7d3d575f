package network

import (
	"fmt"

	"github.com/kubectl-intercept/kubectl-intercept/test/cluster/plan"
)

// Filter is the hub's nftables ruleset. What it refuses it rejects, so that a
// test that must fail does so at once.
func Filter(c plan.Cluster) string {
	return fmt.Sprintf(`
table inet hub {
	chain input {
		type filter hook input priority filter; policy accept;
		ct state established,related accept
		iifname { "lo", %[1]q } accept
		meta l4proto { tcp, udp } reject
		drop
	}
	chain forward {
		type filter hook forward priority filter; policy drop;
		ct state established,related accept
		iifname %[1]q oifname %[1]q accept
		ip saddr != %[4]s ip daddr %[2]s tcp dport %[3]d accept
		ip saddr != %[4]s ip daddr %[4]s tcp dport %[5]d accept
		meta l4proto tcp reject with tcp reset
		reject with icmpx type admin-prohibited
	}
}
`, bridge, c.API(), plan.APIPort, c.NodeNet(), plan.OpenPort)
}
