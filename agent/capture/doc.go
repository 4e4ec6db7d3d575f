// Package capture redirects connections to some ports of the pod to the agent. It uses
// nftables rules, and verifies with test connections that they work.
//
// An agent in an ephemeral container writes its rules to one table. The table is owned
// by the agent's netlink socket, so the kernel removes it when the agent ends for any
// reason. Then the application gets its connections again. A sidecar's table is
// permanent; see Install.
package capture
