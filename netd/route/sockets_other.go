//go:build !linux

package route

import "net/netip"

// EndConnections does nothing: darwin and windows have no call that ends another
// process's connections. Windows itself ends those of an adapter that goes; on
// darwin they end by their own time-outs.
func EndConnections([]netip.Prefix) {}
