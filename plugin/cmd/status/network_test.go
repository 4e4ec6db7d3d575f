package status

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/session"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/device"
)

// The line Network says of each way from which pod connections leave.
func TestNetworkLeaves(t *testing.T) {
	of := func(via, pod string) device.Status {
		return device.Status{Interface: "intercept0", Namespace: "shop", Leaves: device.Leaves{Via: via, Pod: pod}}
	}
	main := of("shop/quote-x", "shop/quote-1")
	n := &session.Network{Device: &main, Isolated: []device.Status{of("", ""), of("shop/quote-y", ""), of("shop/cart-z", "shop/cart-1"), of("", "")}}
	want := "interface intercept0, names of namespace shop, from pod shop/quote-1; " +
		"1 program with a network of its own, from no pod at present (intercept shop/quote-y); " +
		"1 program with a network of its own, from pod shop/cart-1; 2 programs with a network of its own"
	if got := network(n); got != want {
		t.Errorf("got %q\nwant %q", got, want)
	}
	text, err := json.Marshal(n)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(text); !strings.Contains(got, `"via":"shop/quote-x","pod":"shop/quote-1"`) {
		t.Errorf("the JSON is %s", got)
	}
}
