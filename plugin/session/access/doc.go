// Package access is how programs on the laptop reach the cluster: proxies on localhost,
// and TUNs for the whole laptop or for one program.
//
//	program → proxy (proxyserver) ─────┐
//	                                   ├── upstream: carriers and lines → traffic-manager
//	program → TUN (device.Device) ─────┘
//
// Access owns them. Package device serves a TUN, package proxyserver a proxy, and
// package outbound opens the flows into the cluster; here is decided which of them there
// are, and for how long.
package access
