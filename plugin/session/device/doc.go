// Package device is a TUN with the cluster behind it.
//
//	program → kernel → TUN → netd/stack → outbound.Dialer → cluster
//	           └ names → TUN → nameserver → cluster, or the laptop's resolvers
//
// Whoever made the TUN, and leads networks and names into it, is asked over a
// socket (netd/handover): intercept-netd for the whole laptop, or `kubectl
// intercept run` for one program in a network namespace of its own. What is
// asked for is planned from the cluster's networks (package subnet); what the
// laptop cannot spare appears under virtual addresses.
package device
