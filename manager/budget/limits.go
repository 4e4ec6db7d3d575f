package budget

import "time"

// The bounds of one replica. SECURITY.md has the same table, with the tests that hold it.
//
// Each is several times what somebody meets who works: a browser with 1,000 connections, a
// rollout of a hundred pods, a laptop that wakes up. Memory is why they end where they do. A
// flow on a carrier may leave 256 KiB here whose reader has stopped, so one user who uses
// everything up costs 1 GiB and, with windows, 128 MiB more: less than the 2 GiB that the
// chart gives to the container.
const (
	// strangersEach bounds the connections from one address whose peers have not proven who
	// they are, and strangersAll those of all addresses. Of too many the one goes that has
	// waited longest, since whoever has something to say says it at once. All sessions come
	// from the addresses of API servers, so a bound that refuses the newest would let one
	// user keep others out.
	strangersEach, strangersAll = 512, 2048
	// EnrollTime is how long an agent's connection may be without a certificate.
	EnrollTime = 30 * time.Second

	// lookups are Hellos with the name of a Session that the cache does not have, or with
	// another token. Beyond that a Hello waits until the cache has the Session.
	lookupsPerSecond, lookupsBurst = 10, 50
	// enrollments are refused beyond this; an agent tries again. The agents of a node's
	// host network share an address.
	enrollmentsPerSecond, enrollmentsBurst = 10, 100
	// reviews wait beyond this, for ReviewWait, and are refused then: the API server makes
	// the pod without a sidecar. One takes about 10 ms.
	reviewsEach, reviewsAll = 16, 32
	// ReviewSize bounds the body of a review. The API server takes objects of 3 MiB.
	ReviewSize = 4 << 20
	// ReviewWait is less than the 5 s that the API server waits for an answer.
	ReviewWait = 4 * time.Second

	// hellos are carriers that a session begins. It has eight, and begins all of them again
	// when its network changes.
	hellosPerSecond, hellosBurst = 10, 100
	// questions about traffic take a second each, and every replica looks at all its sessions.
	questionsPerSecond, questionsBurst = 1, 10
	// Carriers bounds the carriers of one session.
	Carriers = 32
	// Flows on carriers are refused beyond this. Outbound, the laptop's program is told so;
	// inbound, the application answers.
	sessionFlows, userFlows = 2048, 4096
	// Lines in use carry one flow each, and leave no bytes here. A laptop has at most 256 of
	// them. Beyond this, flows go over carriers.
	sessionLines, userLines = 1024, 4096
	// SessionWindows is how many bytes the windows of one session's flows may grow in each
	// direction, above 256 KiB for each. UserWindows bounds those of all sessions of a user,
	// and AllWindows those of all users: without it, flows are slower and nothing else.
	SessionWindows, UserWindows, AllWindows = 64 << 20, 128 << 20, 512 << 20

	// agentConnections are those of one pod's agents; each carries one flow. Those beyond are
	// closed, and the application answers.
	agentConnections = 4096
	// agentWatches are control streams of one pod's agents, one for each agent. Each of them
	// has the pod's plan made when something changes.
	agentWatches = 64
	// reports of a pod's agents wait beyond this, and hold up nobody else. An agent looks four
	// times a second whether it has something to say.
	reportsPerSecond, reportsBurst = 20, 100
	// ReportSize bounds a message of an agent, in bytes. An agent with 100 routes that have
	// conditions says about 100 KiB.
	ReportSize = 512 << 10
)
