package v1alpha1

// Reasons of an Intercept's conditions. MeaningOf says what each of them means.
const (
	ReasonResolved         = "Resolved"
	ReasonSessionNotFound  = "SessionNotFound"
	ReasonSessionForeign   = "SessionOfAnotherUser"
	ReasonWorkloadNotFound = "WorkloadNotFound"
	ReasonPortNotFound     = "PortNotFound"
	ReasonPortTaken        = "PortTaken"
	ReasonNotSupported     = "NotSupported"
	ReasonNoContainer      = "ContainerNotFound"

	ReasonAttached    = "Attached"
	ReasonAttaching   = "Attaching"
	ReasonNoPods      = "NoPods"
	ReasonPodSecurity = "PodSecurity"
	ReasonForbidden   = "Forbidden"
	ReasonAgentFailed = "AgentFailed"
	ReasonAgentsEnded = "AgentsEnded"
	ReasonHostNetwork = "HostNetwork"

	ReasonReplacing          = "Replacing"
	ReasonInjectionDisabled  = "InjectionDisabled"
	ReasonQuotaExceeded      = "QuotaExceeded"
	ReasonImagePull          = "ImagePull"
	ReasonUnschedulable      = "Unschedulable"
	ReasonWebhookUnreachable = "WebhookUnreachable"
	ReasonPodNotReady        = "PodNotReady"
	ReasonCreateFailed       = "PodCreationFailed"
	ReasonDisruptionBudget   = "DisruptionBudget"
	ReasonSidecarConflict    = "SidecarConflict"
	ReasonEvictionDenied     = "EvictionDenied"

	ReasonPodsReady = "PodsReady"

	ReasonOlderFirst = "OlderFirst"

	ReasonRequestMatched = "RequestMatched"
	ReasonNoRequest      = "NoRequestMatches"

	ReasonActive       = "Active"
	ReasonVerifying    = "Verifying"
	ReasonDisconnected = "LaptopDisconnected"
	ReasonNotResolved  = "NotResolved"
)

// Meaning is what follows from the reason of a condition that is not true.
type Meaning string

// The meanings.
const (
	// MeansReached: the condition is true.
	MeansReached Meaning = "Reached"
	// MeansWaiting: the traffic-manager is at work, or waits for pods or for the
	// laptop. Nothing is wrong.
	MeansWaiting Meaning = "Waiting"
	// MeansFailing: something is wrong, and may be right at the next attempt.
	MeansFailing Meaning = "Failing"
	// MeansFinal: something is wrong until a person changes it. The command
	// `kubectl intercept add` gives up.
	MeansFinal Meaning = "Final"
)

// MeaningOf says what a reason means. A reason of a newer version, which this one
// does not know, means Failing.
func MeaningOf(reason string) Meaning {
	switch reason {
	case ReasonResolved, ReasonAttached, ReasonActive, ReasonPodsReady, ReasonOlderFirst, ReasonRequestMatched:
		return MeansReached
	case ReasonAttaching, ReasonReplacing, ReasonDisruptionBudget, ReasonNoPods, ReasonVerifying,
		ReasonDisconnected, ReasonNotResolved, ReasonNoRequest:
		return MeansWaiting
	case ReasonSessionNotFound, ReasonAgentFailed:
		return MeansFailing
	case ReasonSessionForeign, ReasonWorkloadNotFound, ReasonPortNotFound, ReasonPortTaken, ReasonNotSupported, ReasonNoContainer,
		ReasonPodSecurity, ReasonForbidden, ReasonAgentsEnded, ReasonHostNetwork, ReasonInjectionDisabled,
		ReasonQuotaExceeded, ReasonImagePull, ReasonUnschedulable, ReasonWebhookUnreachable, ReasonPodNotReady,
		ReasonCreateFailed, ReasonSidecarConflict, ReasonEvictionDenied:
		return MeansFinal
	}
	return MeansFailing
}

// Fails says that something is wrong: the state of the Intercept is Error, and an
// Event on the workload tells why.
func (m Meaning) Fails() bool { return m == MeansFailing || m == MeansFinal }
