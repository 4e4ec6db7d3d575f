// Package device is a TUN with the cluster behind it.
//
//	program → kernel → TUN → netd/stack → outbound.Dialer → cluster
//	           └ names → TUN → nameserver → cluster, or the laptop's resolvers
//
// The maker of the TUN also routes networks into it and leads DNS queries to it. It is
// asked over a socket (netd/handover): intercept-netd makes the TUN of the whole
// laptop, `kubectl intercept run` that of one program in a network namespace of its
// own. Package subnet plans what is routed, from the cluster's networks. Networks that
// the laptop uses itself appear under virtual addresses.
package device
