// Package capture redirects connections to chosen ports of the pod to the agent by
// nftables rules, and proves that they arrive there.
//
// It writes one table through netlink. The table is owned by the netlink socket
// that made it, so the kernel removes it however the agent ends, and the
// application gets its connections as before. While nothing is captured there is
// no table.
package capture
