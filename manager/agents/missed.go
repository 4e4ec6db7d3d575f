package agents

import (
	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

// reason is the API's name for what an agent reports.
func reason(r rpc.Reason) v1alpha1.NotDeliveredReason {
	switch r {
	case rpc.Reason_PROGRAM_REFUSED:
		return v1alpha1.ProgramRefused
	case rpc.Reason_PROGRAM_SILENT:
		return v1alpha1.ProgramSilent
	case rpc.Reason_SESSION_AWAY:
		return v1alpha1.SessionAway
	case rpc.Reason_SESSION_SILENT:
		return v1alpha1.SessionSilent
	case rpc.Reason_MANAGER_UNREACHABLE:
		return v1alpha1.ManagerUnreachable
	case rpc.Reason_NOT_ALLOWED:
		return v1alpha1.NotAllowed
	case rpc.Reason_TOO_SLOW:
		return v1alpha1.TooSlow
	case rpc.Reason_CUT:
		return v1alpha1.Cut
	}
	return v1alpha1.UnknownReason
}
