package state

import (
	"maps"
	"time"
)

const (
	// networksFor is for how long a network is remembered, and networksMax how many are.
	networksFor = time.Hour
	networksMax = 16
)

// Networks are networks with the time until which they are remembered.
type Networks map[string]time.Time

// Has says whether a network is remembered.
func (n Networks) Has(network string) bool { return time.Now().Before(n[network]) }

// With returns the networks with one of them remembered from now on, or forgotten.
func (n Networks) With(network string, remembered bool, now time.Time) Networks {
	all := maps.Clone(n)
	if all == nil {
		all = Networks{}
	}
	maps.DeleteFunc(all, func(_ string, until time.Time) bool { return !now.Before(until) })
	delete(all, network)
	for len(all) >= networksMax {
		oldest := ""
		for name, until := range all {
			if oldest == "" || until.Before(all[oldest]) {
				oldest = name
			}
		}
		delete(all, oldest)
	}
	if remembered {
		all[network] = now.Add(networksFor)
	}
	return all
}
