package check

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/license"
)

func (e *Env) licenseChecks() []Check {
	return []Check{{"the license is valid", "the license is not valid", e.withManager(func(ctx context.Context) Outcome {
		i, err := e.askInstalled(ctx)
		if err != nil {
			return skip("you may not read what the traffic-manager says of it")
		}
		return judgeLicense(i.License, e.Now())
	})}}
}

func judgeLicense(r *license.Report, now time.Time) Outcome {
	const renew = "kubectl intercept license id is what a license is made for; kubectl intercept upgrade --set-file license.key=FILE installs one"
	if r == nil {
		return warn("the traffic-manager has not said anything about it yet", "it does so within seconds after it has started; kubectl intercept upgrade, if it is older than the plugin").unknown()
	}
	switch {
	case r.State == license.Absent && !r.Required && r.Message == "":
		return ok("there is none, and none is needed").saying("no license is missing")
	case r.ExpiresSoon(now):
		return warn(fmt.Sprintf("%s, another %s", r, license.Days(r.ValidUntil.Sub(now))), renew).stillSo()
	case r.State == license.Valid:
		return ok(r.String())
	}
	o := warn(cmp.Or(r.Message, r.String()), renew)
	switch {
	case r.State == license.Absent:
		o.Detail, o.Says = r.Message, "there is no license"
		if r.Required {
			o.Detail = strings.TrimPrefix(r.Message+", and personal intercepts need one", ", and ")
		}
	case r.State == license.Expired:
		o.Detail = r.String()
	}
	if r.Required {
		o.Status = Failed
	}
	return o
}
