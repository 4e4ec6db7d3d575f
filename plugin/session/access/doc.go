// Package access is how programs on the laptop reach the cluster: proxies on localhost,
// and TUNs for the whole laptop or for one program.
//
//	program → proxy (outbound.Proxy) ──┐
//	                                   ├── upstream: carriers and lines → traffic-manager
//	program → TUN (device.Device) ─────┘
//
// Access owns them. Package device serves a TUN, package outbound a proxy and the flows
// into the cluster; here is decided which of them there are, and for how long.
package access
