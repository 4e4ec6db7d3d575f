// Package inside gives one program a network of its own, without root. The program
// and what it starts have user, network and mount namespaces to themselves.
// It sees the volumes of a container at their own paths, if it stands in for one.
//
//	kubectl intercept run            laptop's network
//	 │ control                        ▲ dials for the program
//	 ▼                                │
//	supervisor ◄─ netd/handover ── session process
//	 │  TUN ═════════════════════════ netstack
//	 ▼                                the program's network
//	program
//
// The supervisor is a second process of this binary, in the new namespaces. It opens
// a TUN there, routes every address and the program's DNS into it, and gives it to the
// session as intercept-netd does (netd/handover). It also gives the session sockets
// that are connected to the program's localhost. Nothing changes on the laptop. When
// the program or the command ends, the supervisor ends the processes that are left in
// the namespaces, and the kernel removes the namespaces.
package inside

// Command is the name of the supervisor's hidden command; the program's
// command line follows it after "--".
const Command = "inside"
