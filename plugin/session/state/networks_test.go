package state

import (
	"fmt"
	"testing"
	"time"
)

func TestNetworks(t *testing.T) {
	var n Networks
	now := time.Now()
	for i := range 2 * networksMax {
		n = n.With(fmt.Sprint(i), true, now.Add(time.Duration(i)*time.Second))
	}
	if len(n) != networksMax || n.Has("0") || !n.Has(fmt.Sprint(2*networksMax-1)) {
		t.Errorf("remembered: %v", n)
	}
	if n = n.With("20", false, now); n.Has("20") || !n.Has("21") {
		t.Errorf("20 is forgotten: %v", n)
	}
	if n = n.With("home", true, now.Add(2*networksFor)); len(n) != 1 {
		t.Errorf("much later: %v", n)
	}
}
