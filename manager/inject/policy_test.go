package inject

import (
	"testing"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/resolve"
)

func TestPolicy(t *testing.T) {
	for _, tt := range []struct {
		policy Policy
		wish   resolve.Wish
		want   bool
	}{
		{OnDemand, resolve.WishNone, true},
		{OnDemand, resolve.WishEnabled, true},
		{OnDemand, resolve.WishDisabled, false},
		{WhenEnabled, resolve.WishNone, false},
		{WhenEnabled, resolve.WishEnabled, true},
		{WhenEnabled, resolve.WishDisabled, false},
	} {
		if got := tt.policy.Admits(resolve.Wishes{Inject: tt.wish}); got != tt.want {
			t.Errorf("%s, wish %d: %t", tt.policy, tt.wish, got)
		}
	}
}
