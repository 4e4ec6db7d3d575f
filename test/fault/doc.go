// Package fault breaks things under load, and counts what callers of an intercepted
// application notice.
//
//	make fault                                    # everything a hundred times, or:
//	go test -tags e2e ./test/fault -v -times 5 -only 'agent|session' -json faults.json
//
// The suite has a pod on the second node of a cluster of package test/e2e/lab, whose ports a
// laptop takes, and three replicas of the traffic-manager. The load goes on without a pause:
//
//	whole      requests for a port that the laptop has
//	mine       requests that a personal intercept takes
//	others     requests to the same port that it does not take
//	outbound   requests of the laptop, through its TUN, to another pod
//	bulk       a stream of bytes to the laptop and back, and one from the laptop and back;
//	           every byte is compared
//	UDP        datagrams to the laptop and back
//
// Callers are on the pod's node and call the pod's own address. So what they lose is not
// lost by a Service or by the network between nodes.
//
// Each fault is injected a number of times. A request without an answer is in flight if it
// had begun when the fault was there, and else it is lost. A round is judged when all its
// requests have ended. A process counts as dead when the kernel has ended it.
//
// What a fault makes of intercepts is measured in milliseconds: how long until the
// application answers again, if it was asked at all, and how long until the laptop does. The
// second one counts from when whatever has to be brought back by somebody else is there: the
// API server answers, the user has typed a command, the network is up. After the last time,
// the user leaves and quits, and what is left on laptop and pod is counted.
//
// At the end, strangers knock at a traffic-manager with forged handshakes, and none may be
// admitted.
package fault
