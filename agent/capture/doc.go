// Package capture turns connections to chosen ports of the pod towards the
// agent, and proves that it did.
//
// It writes one nftables table through netlink. The table is owned by the
// netlink socket that made it, so the kernel removes it when the agent ends, in
// whatever way: the application then gets its connections as before. While
// nothing is captured there is no table.
package capture
