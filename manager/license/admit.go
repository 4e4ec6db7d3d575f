package license

import (
	"fmt"

	api "github.com/kubectl-intercept/kubectl-intercept/manager/api/license"
)

// Admit decides whether users may create personal intercepts. If not, it returns an
// error for the user with the reason and the remedy. Everything else in the product
// works without a license.
func Admit(r api.Report) error {
	if !r.Required || r.State == api.Valid {
		return nil
	}
	why := r.Message
	if r.State == api.Absent || why == "" {
		why = "there is none"
	}
	return fmt.Errorf("personal intercepts need a license in this cluster, and %s; an administrator installs one with "+
		"kubectl intercept upgrade --set-file license.key=FILE, and kubectl intercept license show tells what is there", why)
}
