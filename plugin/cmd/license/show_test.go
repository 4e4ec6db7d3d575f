package license

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/license"
)

func TestShow(t *testing.T) {
	now := time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)
	until, issued := now.AddDate(0, 0, 31), now.AddDate(-1, 0, 0)
	for want, r := range map[string]*license.Report{
		`
State       : valid
Subject     : acme
Valid until : 2027-01-01 12:00 UTC, another 31 days
Issued at   : 2025-12-01 12:00 UTC
Made for    : here
This cluster: here
Signature   : EdDSA
Required    : yes, for personal intercepts
`: {State: license.Valid, Required: true, Subject: "acme", ValidUntil: &until, IssuedAt: &issued, Licensed: []string{"here"}, Cluster: "here", Algorithm: "EdDSA"},
		`
State       : expired
Why         : the license expired on 2025-12-01 12:00 UTC
Valid until : 2025-12-01 12:00 UTC
This cluster: here
Required    : no
`: {State: license.Expired, ValidUntil: &issued, Cluster: "here", Message: "the license expired on 2025-12-01 12:00 UTC"},
		`
State   : absent
Required: no
`: {State: license.Absent},
	} {
		var out bytes.Buffer
		if err := show(&out, r, now); err != nil {
			t.Fatal(err)
		}
		if got := out.String(); got != strings.TrimPrefix(want, "\n") {
			t.Errorf("got\n%swant%s", got, want)
		}
	}
}
