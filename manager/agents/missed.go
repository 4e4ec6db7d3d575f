package agents

import (
	"cmp"
	"slices"

	"github.com/kubectl-intercept/kubectl-intercept/manager/api/v1alpha1"
	"github.com/kubectl-intercept/kubectl-intercept/manager/rpc"
)

// missed adds connections to those of the same reason; the list is ordered.
func missed(list []v1alpha1.NotDelivered, m v1alpha1.NotDelivered) []v1alpha1.NotDelivered {
	i, found := slices.BinarySearchFunc(list, m.Reason, func(x v1alpha1.NotDelivered, r v1alpha1.NotDeliveredReason) int {
		return cmp.Compare(x.Reason, r)
	})
	list = slices.Clone(list)
	if found {
		list[i].Connections += m.Connections
		return list
	}
	return slices.Insert(list, i, m)
}

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
	}
	return v1alpha1.UnknownReason
}
